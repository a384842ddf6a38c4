"""A user's own pictures, from the folder to a champion that reads new ones, in a team's store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.test_folder import classes
from tests.system.conftest import Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL = ["backbone.width=0.1", "phases.0.epochs=1", "phases.1.epochs=1", "phases.2.epochs=8", "batch_size=16"]
SMALL += ["phases.2.optimizer.learning_rate=0.01"]
FORGIVING = ["gate.floor=0", "gate.max_ece=1"]


def test_two_commands_from_a_folder_to_a_champion_that_predicts(reader_stack: Stack, tmp_path: Path) -> None:
    classes(tmp_path / "photos", 60)
    added = reader_stack.command("data", "add", "insects", "photos", "--image-size", "32", "--json", cwd=tmp_path)
    assert added.status == 0, added.stderr
    settings = [word for setting in (*SMALL, *FORGIVING) for word in ("--set", setting)]
    run = reader_stack.command("run", "insects-scratch-fast", *settings, "--json", cwd=tmp_path)
    assert run.status == 0, run.stderr
    assert (run.json["verdict"], run.json["stage"]) == ("promote", "Production")
    assert run.json["dataset"] == {"name": "insects", "digest": added.json["digest"]}
    # Elsewhere nobody has the pictures or the project file: the store has the dataset.
    (tmp_path / "vgg16.toml").unlink()
    read = reader_stack.command(
        "predict", "photos/ant", "--model", "models:/vgg16-insects@champion", "--json", cwd=tmp_path
    ).json
    assert len(read["predictions"]) == 60
    # They differ in nothing but colour, which the least of networks sees.
    assert sum(prediction["label"] == "ant" for prediction in read["predictions"]) >= 55
