"""What a person is shown of versions: what they are warned of, and by which name each can be promoted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from vgg16.cli.show import runs as show_runs
from vgg16.cli.show import versions as show_versions
from vgg16.promotion.records import Decision
from vgg16.records import ModelVersion

WEAK = "in low contrast right on only 0.3900 (0.3154 to 0.4734) of 143 gate images, on 0.9700 of them as they are"


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_warning_stands_below_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    decided = Decision(
        name="vgg16-pets",
        version="1",
        verdict="promote",
        reasons=("nothing is in production yet",),
        warnings=(WEAK,),
        stage="Production",
        previous="",
    )
    show_versions.decision(decided.model_dump(mode="json"))
    assert f"promoted, stage Production - nothing is in production yet - warning: {WEAK}" in shown(capsys)


@pytest.mark.parametrize(("stage", "warned"), [("Production", True), ("Staging", True), ("Archived", False)])
def test_models_warns_of_what_is_used_or_waits(stage: Any, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    version = ModelVersion(name="vgg16-pets", version="1", stage=stage, run_id="r", experiment="e", warnings=(WEAK,))
    show_versions.models({"models": [version.model_dump(mode="json")]})
    assert (f"vgg16-pets version 1, warning: {WEAK}" in shown(capsys)) == warned


def test_a_study_tells_by_which_name_each_member_is_promoted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # where it is called by its name
    models = {"a": ("vgg16-pets.study", "1"), "b": ("vgg16-pets", "7"), "c": ("vgg16-pets.study", "2")}
    runs = [
        {
            "experiment": experiment,
            "run_id": "0" * 32,
            "status": "finished",
            "model": {"name": name, "version": version},
            "metrics": {},
        }
        for experiment, (name, version) in models.items()
    ]
    show_runs.study({"runs": runs, "questions": {"q": list(models)}, "failed": [], "seconds": 1, "report": "/r.html"})
    text = shown(capsys)
    for row in ("a 1", "b vgg16-pets 7", "c 2"):
        assert row in text
    assert "This judges the best on val: vgg16 promote vgg16-pets.study 1" in text
