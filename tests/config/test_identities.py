"""What version 0.1 calls equal, this version calls equal: digests of trainings, studies and datasets.

`identities_0_1.json` was written by 0.1 itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vgg16.config import canonical, catalog, studies
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import KEPT, DatasetChoice, Experiment, GateRules
from vgg16.data.images import Arrays
from vgg16.data.sources import generated
from vgg16.data.splits import choose
from vgg16.network.normalization import RAW, Normalization

OLD: dict[str, Any] = json.loads(Path(__file__).with_name("identities_0_1.json").read_text())
CHANGED = {" ".join([*case["names"], *case["settings"]]): case for case in OLD["changed"]}
STUDIES = {case["title"]: case for case in OLD["studies"]}
DATASETS = {f"{name} {title}": (name, title) for name, parts in OLD["datasets"].items() for title in parts}


def request_digest(experiment: Experiment) -> str:
    base_uri = "" if experiment.base is None else f"base:{experiment.base}"
    return canonical.request_digest(experiment, OLD["ref_digest"], base_uri)


def json_sha256(experiment: Experiment) -> str:
    return hashlib.sha256(canonical.experiment_json(experiment).encode()).hexdigest()


@pytest.mark.parametrize("name", OLD["requests"])
def test_every_experiment_of_0_1_is_the_same_request(name: str) -> None:
    experiment = SHIPPED.experiments[name]
    assert json_sha256(experiment) == OLD["experiment_json"][name], canonical.experiment_json(experiment)
    assert request_digest(experiment) == OLD["requests"][name]


@pytest.mark.parametrize("case", CHANGED)
def test_with_the_same_settings_too(case: str) -> None:
    old = CHANGED[case]
    experiments, notes = catalog.choose(old["names"], old["settings"])
    assert [note for note in notes if " is now " not in note] == old["notes"]
    assert {experiment.name: json_sha256(experiment) for experiment in experiments} == old["experiment_json"]
    assert {experiment.name: request_digest(experiment) for experiment in experiments} == old["digests"]


@pytest.mark.parametrize("title", STUDIES)
def test_a_study_its_members_and_what_follows_from_them_are_the_same(title: str) -> None:
    old = STUDIES[title]
    study, notes = studies.choose(old["study"], old["settings"])
    assert notes == old["notes"]
    assert {member.name: request_digest(member) for member in study.members} == old["members"]
    questions = {question.name: question for question in study.questions}
    followers = [
        studies.follow(question, questions[question.best_of].members[0], study)
        for question in study.questions
        if question.best_of
    ]
    assert {follower.name: request_digest(follower) for follower in followers} == old["followers"]
    assert studies.request_of(study, OLD["ref_digest"]) == old["digest"]


@pytest.mark.parametrize(
    "settings",
    [
        ("gate.level=0.05", "gate.policy=no-worse", "gate.worth=0.01", "gate.margin=0.01"),
        ("gate.alpha=0.05", "gate.policy=non-inferior", "gate.min_gain=0.01", "gate.noninferiority_margin=0.01"),
    ],
)
def test_a_study_is_the_same_by_the_old_and_the_new_names_of_its_settings(settings: tuple[str, ...]) -> None:
    *own, everybodys = settings
    study, _ = studies.choose("course", [*(f"course-optimal.{setting}" for setting in own), everybodys])
    # What 0.1 computed for the first of the two.
    assert studies.request_of(study, OLD["ref_digest"]) == "24cab23d58f9bb2c22476ce45d341e77"


def images_digest(arrays: Arrays, split: Any) -> str:
    images, labels = arrays.part(split)
    return hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


@pytest.fixture(scope="module")
def made() -> dict[str, Arrays]:
    return {name: generated.make(catalog.dataset(name)) for name in OLD["datasets"]}


@pytest.mark.parametrize("case", DATASETS)
def test_what_this_machine_makes_is_the_same_dataset(case: str, made: dict[str, Arrays]) -> None:
    name, title = DATASETS[case]
    old = OLD["datasets"][name][title]
    parts = {} if title == "whole" else {key: int(value) for key, value in (w.split("=") for w in title.split())}
    arrays = choose(catalog.dataset(name), made[name], DatasetChoice.model_validate({"name": name} | parts))
    assert arrays.digest() == old["digest"]
    assert arrays.counts() == old["splits"]
    assert {split: images_digest(arrays, split) for split in old["images_digest"]} == old["images_digest"]


# A saved model's layer `normalize` holds these; a base's are read from it.
@pytest.mark.parametrize("name", OLD["pretrained"])
def test_the_pixels_that_weights_were_trained_with_are_bit_by_bit_the_same(name: str) -> None:
    if name == "RAW":
        normalization = RAW
    else:
        pretrained = catalog.backbone(name).pretrained
        assert pretrained is not None
        normalization = Normalization.of_pixels(pretrained.mean, pretrained.std)
    assert [repr(value) for value in normalization.mean] == OLD["pretrained"][name]["mean"]
    assert [repr(value) for value in normalization.variance] == OLD["pretrained"][name]["variance"]


# What MLflow keeps of a run is an experiment as 0.1 wrote it.
@pytest.mark.parametrize(
    "experiment",
    [
        *SHIPPED.experiments.values(),
        *catalog.choose(["digits-adam"], ["gate.alpha=0.01", "gate.policy=non-inferior", "gate.min_gain=0"])[0],
    ],
    ids=lambda row: f"{row.name} {row.gate.policy}",
)
def test_an_experiment_as_0_1_wrote_it_is_read_as_what_it_is_now(experiment: Experiment) -> None:
    read = Experiment.model_validate(json.loads(canonical.experiment_json(experiment)))
    assert read.model_copy(update={"description": experiment.description}) == experiment


def test_one_gate_rule_by_both_its_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="level"):
        GateRules.model_validate({"level": 0.05, "alpha": 0.025})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1000, "1000.0"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (2.5e-7, "2.5e-7"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (float("inf"), "null"),
    ],
)
def test_numbers_are_written_as_0_1_wrote_them(value: float, written: str) -> None:
    gate = GateRules.model_validate({"max_latency_ms": value}, context=KEPT)
    experiment = SHIPPED.experiments["digits-scratch"].model_copy(update={"gate": gate})
    assert f'"max_latency_ms":{written},' in canonical.experiment_json(experiment)


@pytest.mark.parametrize("kind", canonical.FIELDS, ids=lambda kind: kind.__name__)
def test_every_field_has_its_place_in_what_identifies_a_request(kind: type) -> None:
    old, newer = canonical.FIELDS[kind], tuple(canonical.NEWER.get(kind, ()))
    named = (*old, *newer, *canonical.IGNORED.get(kind, ()))
    assert sorted(named) == sorted(kind.model_fields)  # type: ignore[attr-defined]


def test_a_setting_newer_than_0_1_changes_a_request_only_where_it_asks_for_something_else(monkeypatch) -> None:
    class NewerRules(GateRules):
        patience: int = 0

    monkeypatch.setitem(canonical.FIELDS, NewerRules, canonical.FIELDS[GateRules])
    monkeypatch.setitem(canonical.NEWER, NewerRules, canonical.NEWER[GateRules] | {"patience": 0})
    monkeypatch.setitem(canonical.OLD_NAMES, NewerRules, canonical.OLD_NAMES.get(GateRules, {}))
    old = SHIPPED.experiments["digits-scratch"]

    def patient(patience: int) -> Experiment:
        return old.model_copy(update={"gate": NewerRules(floor=old.gate.floor, patience=patience)})

    assert canonical.experiment_json(patient(0)) == canonical.experiment_json(old)
    assert '"approval":false,"patience":2}' in canonical.experiment_json(patient(2))


def test_balanced_classes_are_another_request_and_classes_as_they_come_the_one_that_it_was() -> None:
    (experiment,), _ = catalog.choose(["digits-scratch"], ["balance_classes=false"])
    assert request_digest(experiment) == OLD["requests"]["digits-scratch"]
    (balanced,), _ = catalog.choose(["digits-scratch"], ["balance_classes=true"])
    assert request_digest(balanced) != request_digest(experiment)
    assert '"score_test":"promoted","balance_classes":true}' in canonical.experiment_json(balanced)


def test_a_new_field_without_a_neutral_value_is_an_error(monkeypatch) -> None:
    class Unplaced(GateRules):
        patience: int = 0

    monkeypatch.setitem(canonical.FIELDS, Unplaced, canonical.FIELDS[GateRules])
    with pytest.raises(KeyError):
        canonical.experiment_json(SHIPPED.experiments["digits-scratch"].model_copy(update={"gate": Unplaced()}))


def test_another_description_of_a_shipped_row_is_the_same_request(monkeypatch) -> None:
    old = SHIPPED.experiments["digits-scratch"]
    new = old.model_copy(update={"description": "VGG-16, small, from random weights"})
    assert request_digest(new) != request_digest(old)
    monkeypatch.setitem(canonical.OLD_DESCRIPTIONS, (new.name, new.description), old.description)
    assert request_digest(new) == request_digest(old)


def test_which_members_are_compared_is_no_part_of_a_study() -> None:
    study, _ = studies.choose("course", [])
    less = study.model_copy(
        update={"questions": tuple(question.model_copy(update={"compared": ()}) for question in study.questions)}
    )
    assert studies.request_of(less, "d") == studies.request_of(study, "d")
