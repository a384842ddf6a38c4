"""A trained run becomes a version: of the dataset's model, or of the one for members of studies until somebody asks
for its promotion; and the code of its card runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ENVIRONMENT, VGG16
from tests.system.pictures import opened
from vgg16.config.types import Experiment
from vgg16.data.images import Arrays
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef, TrackedRun, TrainingRequest
from vgg16.steps import register
from vgg16.training.prepare import build_for
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace, open_workplace

NAMES = ("dark", "bright", "grey")
REF = DatasetRef(name="patches", digest="d" * 64, key="", class_names=NAMES, splits={"train": 2, "gate": 2})
TINY = {"backbone": {"name": "vgg11", "width": 0.05}, "head": {"units": [8]}, "dataset": {"name": "digits"}}
EXPERIMENT = Experiment.model_validate({"name": "patches-scratch", "description": "tiny", **TINY})
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)


def trained(workplace: Workplace) -> tuple[TrackedRun, str]:
    """A run with its logged model, as the flow `train` hands it on."""
    data = Arrays(IMAGES, np.arange(8) % 3, np.repeat(np.arange(4, dtype=np.int8), 2), NAMES)
    tracker = workplace.tracker
    with tracker.runs.start(TrainingRequest(experiment=EXPERIMENT, dataset=REF), {}) as run_id:
        uri = tracker.registry.log_model(Classifier(build_for(EXPERIMENT, data), NAMES), IMAGES[:2])
    return tracker.runs.get(run_id), uri


@pytest.fixture(scope="module")
def workplace(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A home with a question of its own kind in its name: a blank."""
    home = tmp_path_factory.mktemp("register") / "my home"
    home.mkdir()
    with opened(home):
        yield open_workplace()


def test_a_studys_member_is_a_version_of_the_datasets_model_once_somebody_promotes_it(workplace: Workplace) -> None:
    registry, request = workplace.tracker.registry, TrainingRequest(experiment=EXPERIMENT, dataset=REF)
    run, uri = trained(workplace)
    member = register.register(run, uri, workplace, of_study=True).model
    assert member
    assert (member.uri, registry.versions("vgg16-patches")) == ("models:/vgg16-patches.study/1", [])
    assert registry.with_version(run).model == member
    assert register.find_base(request, workplace) == member.uri
    entered = register.enter(member, workplace)
    assert register.enter(member, workplace).version == entered.version == "1"
    assert registry.with_version(run).model == registry.versions("vgg16-patches")[0]
    assert register.find_base(request, workplace) == "models:/vgg16-patches/1"
    # What a chain trains is the dataset's at once.
    chained = register.register(*trained(workplace), workplace).model
    assert chained
    assert (chained.uri, registry.names()) == ("models:/vgg16-patches/2", ["vgg16-patches", "vgg16-patches.study"])
    about = registry.client.get_registered_model("vgg16-patches.study").description  # type: ignore[attr-defined]
    assert "`vgg16 promote vgg16-patches.study VERSION` makes one a version of `vgg16-patches` too" in about


def card_of(workplace: Workplace, number: str) -> str:
    client = workplace.tracker.registry.client  # type: ignore[attr-defined]
    return str(client.get_model_version("vgg16-patches", number).description)


def blocks(card: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", card, re.DOTALL)


def runs_as_it_stands(card: str, folder: Path) -> None:
    (code,) = blocks(card, "python")
    seen = "import sys\nprint(sorted({'vgg16', 'mlflow'} & set(sys.modules)))"
    bare = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("VGG16_")}
    program = [sys.executable, "-c", f"{code}\n{seen}"]
    done = subprocess.run(program, cwd=folder, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *answers, modules = done.stdout.splitlines()
    assert [answer.split()[0] in NAMES for answer in answers] == [True]
    assert modules == "['mlflow']"


def test_the_cards_code_runs_as_it_stands_on_a_laptop(workplace: Workplace, tmp_path: Path) -> None:
    number = register.register(*trained(workplace), workplace).model
    assert number
    card = card_of(workplace, number.version)
    runs_as_it_stands(card, tmp_path)
    Image.fromarray(IMAGES[0]).save(tmp_path / "photo.jpg")
    predict = blocks(card, "sh")[0].splitlines()[0].replace(" vgg16 ", f" {VGG16} ")
    bare = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("VGG16_")}
    done = subprocess.run(predict, shell=True, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"by {number.uri}" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"photo.jpg"}


def test_the_cards_code_runs_as_it_stands_for_a_team(
    tensorflow: Any, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("VGG16_HOME", str(tmp_path / "home"))
    settings.load.cache_clear()
    try:
        team = open_workplace()
        version = register.register(*trained(team), team).model
        assert version
        card = card_of(team, version.version)
        assert f"export MLFLOW_TRACKING_URI={mlflow_server}" in card
        assert "MLFLOW_TRACKING_USERNAME" in card
        runs_as_it_stands(card, tmp_path)
    finally:
        settings.load.cache_clear()
