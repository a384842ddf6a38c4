"""The commands of a user's own project file, as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ENVIRONMENT

Command = Callable[..., Any]

MINE = '[experiments.mine]\nextends = "digits-scratch"\ndataset.limit = 30\n'


def test_init_writes_a_file_of_twenty_lines_at_most_that_can_be_run_and_never_over_another(
    vgg16: Command, tmp_path: Path
) -> None:
    begun = vgg16("init", "--json", cwd=tmp_path, VGG16_HOME="")
    path = tmp_path / "vgg16.toml"
    assert begun.json == {"project": str(path)}
    text = path.read_text()
    assert len(text.splitlines()) <= 20
    assert list(tmp_path.iterdir()) == [path]
    again = vgg16("init", "--json", cwd=tmp_path, VGG16_HOME="")
    assert (again.status, path.read_text()) == (2, text)
    # What is commented out is right too.
    uncommented = text.replace("# phases", "phases").replace("# dataset", "dataset").replace("# gate", "gate")
    uncommented = (
        uncommented.replace("# [studies", "[studies").replace("# members", "members").replace("# base", "base")
    )
    assert tomllib.loads(uncommented)["studies"]
    path.write_text(uncommented)
    listed = vgg16("list", "--json", cwd=tmp_path, VGG16_HOME="").json
    assert "mine" in [row["name"] for row in listed["experiments"]]
    assert [row["name"] for row in listed["studies"]] == ["course", "sizes"]


def test_settings_are_shown_with_value_range_and_meaning(vgg16: Command, tmp_path: Path) -> None:
    (tmp_path / "vgg16.toml").write_text(MINE)
    shown = vgg16("show", "mine", "--settings", "--set", "seed=7", "--json", cwd=tmp_path).json["settings"]
    by_key = {setting["key"]: setting for setting in shown}
    assert by_key["seed"]["value"] == 7
    assert by_key["dataset.limit"] == {
        "key": "dataset.limit",
        "value": 30,
        "allowed": "whole number from 10 to 1000000000 or none",
        "meaning": by_key["dataset.limit"]["meaning"],
    }
    assert by_key["phases.0.optimizer.name"]["allowed"] == "adam, sgd"
    assert by_key["backbone.name"]["allowed"].startswith("vgg11, vgg13, vgg16")
    assert all(setting["meaning"] and setting["allowed"] for setting in shown)
    text = vgg16("show", "mine", "--settings", cwd=tmp_path).stdout
    assert "phases.0.optimizer.learning_rate" in text
    refused = vgg16("show", "vgg16", "--settings", "--json")
    assert (refused.status, refused.json["error"]["message"]) == (2, "--settings belongs to an experiment.")


def test_the_schema_is_printed_alike_with_and_without_json(vgg16: Command) -> None:
    plain, as_json = json.loads(vgg16("schema").stdout), vgg16("schema", "--json").json
    assert plain == as_json
    assert plain["properties"].keys() == {"datasets", "experiments", "studies"}


def test_a_first_home_is_made_beside_the_project_file(vgg16: Command, tmp_path: Path) -> None:
    (tmp_path / "vgg16.toml").write_text(MINE)
    below = tmp_path / "photos"
    below.mkdir()
    assert vgg16("data", "fetch", "digits", "--json", cwd=below, VGG16_HOME="").status == 0
    assert (tmp_path / ".vgg16" / "store" / "datasets" / "digits").is_dir()
    assert list(below.iterdir()) == []


def test_a_broken_file_is_told_with_its_line_before_anything_is_made_or_imported(tmp_path: Path) -> None:
    (tmp_path / "vgg16.toml").write_text(MINE + "phases.0.epohs = 3\n")
    program = """
import sys
sys.argv = ["vgg16", "run", "mine"]
from vgg16.cli.main import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=ENVIRONMENT | {"VGG16_HOME": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    told = f"vgg16: {tmp_path}/vgg16.toml, line 4: experiments.mine.phases.0.epohs: no such setting."
    assert done.stderr == f"{told} Did you mean epochs?\n"
    heavy = {"tensorflow", "keras", "prefect", "mlflow", "great_expectations", "numpy", "pandas", "boto3"}
    assert not heavy & set(done.stdout.split())
    assert list(tmp_path.iterdir()) == [tmp_path / "vgg16.toml"]


def test_the_mistakes_of_a_file_are_facts_in_json_too(vgg16: Command, tmp_path: Path) -> None:
    (tmp_path / "vgg16.toml").write_text(MINE + "sede = 3\nbath_size = 3\n")
    refused = vgg16("run", "mine", "--json", cwd=tmp_path, VGG16_HOME="")
    assert refused.status == 2
    first, second = refused.json["mistakes"]
    assert (first["line"], first["suggestion"]) == (4, "Did you mean seed?")
    assert second["line"] == 5
    assert second["suggestion"].startswith("Did you mean batch_size")
