"""A user's own pictures, from the folder to a champion that reads new ones, in a team's store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT
from tests.data.test_folder import classes, picture
from tests.system.conftest import Stack
from vgg16.storage.addresses import open_store

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL = ["backbone.width=0.1", "phases.0.epochs=1", "phases.1.epochs=1", "phases.2.epochs=8", "batch_size=16"]
SMALL += ["phases.2.optimizer.learning_rate=0.01"]
FORGIVING = ["gate.floor=0", "gate.max_ece=1"]


def test_two_commands_from_a_folder_to_a_champion_that_predicts(
    reader_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "photos", 60)
    added = reader_stack.command("data", "add", "insects", "photos", "--image-size", "32", "--json", cwd=tmp_path)
    assert added.status == 0, added.stderr
    for name, value in reader_stack.environment.items():
        monkeypatch.setenv(name, value)
    bucket = "/".join(reader_stack.environment["VGG16_STORE"].split("/")[:3])
    store = open_store(f"{bucket}/photos")
    for file in (tmp_path / "photos").rglob("*.png"):
        store.upload(file, file.relative_to(tmp_path / "photos").as_posix())
    of_s3 = reader_stack.command("data", "add", "of-s3", f"{bucket}/photos", "--json", cwd=tmp_path)
    assert of_s3.status == 0, of_s3.stderr
    assert of_s3.json["digest"] == added.json["digest"]
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
    # Pictures that arrive by themselves become a version by the flow, which knows the source from the store.
    picture(tmp_path / "photos" / "ant" / "arrived.png", (200, 30, 30), 9999)
    flow = "from vgg16.flows.add import add; ref, report = add('insects'); print(ref.digest, report.ok)"
    done = subprocess.run(
        [sys.executable, "-c", flow],
        cwd=tmp_path,
        env=ENVIRONMENT | reader_stack.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digest, ok = done.stdout.split()[-2:]
    assert (ok, digest != added.json["digest"]) == ("True", True)
