"""A study's rows, and how far a setting reaches."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from vgg16.config import catalog, studies
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Experiment, Study
from vgg16.errors import RequestError
from vgg16.network.describe import Description, describe


def course_with(*settings: str) -> Study:
    return studies.choose("course", list(settings))[0]


def member(study: Study, name: str) -> Experiment:
    return next(experiment for experiment in study.members if experiment.name == f"course-{name}")


@pytest.mark.parametrize("row", SHIPPED.studies.values(), ids=lambda row: row.name)
def test_members_of_a_study_fit_together_and_are_told_apart(row: Study) -> None:
    study, notes = studies.choose(row.name, [])
    assert notes == []
    names = [experiment.name for experiment in study.members]
    assert len(set(names)) == len(names)
    assert len({experiment.dataset for experiment in study.members}) == 1
    assert all(experiment.score_test == "always" and experiment.precision == "auto" for experiment in study.members)
    comparable = {*names, *(question.name for question in study.questions)}
    assert comparable >= {name for question in study.questions for pair in question.compared for name in pair}


def test_the_course_asks_for_six_from_scratch_then_the_best_six_frozen_and_three_more() -> None:
    study = course_with()
    assert study.members[0].dataset.name == "cifar100"
    assert [len(question.members) for question in study.questions] == [6, 0, 6, 3]
    scratch, optimal, frozen, _ = study.questions
    for experiment in scratch.members:
        (phase,) = experiment.phases
        assert (phase.optimizer.learning_rate, experiment.batch_size, phase.epochs) == (0.1, 64, 10)
        assert experiment.backbone.width == 1
        assert experiment.head.units == (512,)
    best = studies.follow(optimal, scratch.members[3], study)
    assert (best.name, best.epochs, best.backbone) == ("course-optimal", 20, scratch.members[3].backbone)
    frozen_settings = [
        (experiment.phases[0].optimizer.learning_rate, experiment.epochs, experiment.normalization)
        for experiment in frozen.members
    ]
    assert frozen_settings == [
        (rate, epochs, pixels) for rate, epochs in ((0.1, 15), (0.01, 100)) for pixels in ("raw", "dataset", "weights")
    ]


def described(name: str) -> Description:
    from vgg16.network.build import build

    experiment = member(course_with(), name)
    row = catalog.backbone(experiment.backbone.name)
    return describe(build(row, experiment.backbone, experiment.head, input_size=32, classes=10), name)


@pytest.mark.usefixtures("tensorflow")
def test_thirteen_normalisations_add_16896_parameters_and_eight_dropouts_none() -> None:
    reference, normalised, dropped = map(described, ("reference-sgd", "batchnorm-sgd", "dropout-sgd"))
    assert normalised.parameters - reference.parameters == 16_896
    assert normalised.trainable - reference.trainable == 8_448
    assert dropped.parameters == normalised.parameters
    kinds = [row.kind for row in dropped.layers]
    assert (kinds.count("BatchNormalization"), kinds.count("Dropout")) == (13, 8)
    for before, after in pairwise(kinds):
        assert {before, after} != {"Dropout", "MaxPooling2D"}


def test_a_setting_reaches_every_member_and_what_follows_from_them() -> None:
    study = course_with("dataset=cifar10", "seed=7", "phases.0.epochs=2")
    assert {
        (experiment.dataset.name, experiment.seed, experiment.phases[0].epochs) for experiment in study.members
    } == {("cifar10", 7, 2)}
    scratch, optimal, *_ = study.questions
    assert studies.follow(optimal, scratch.members[0], study).epochs == 2


def test_a_base_reaches_those_that_have_one_of_the_same_network(tmp_path: Path) -> None:
    weights = tmp_path / "vgg16.h5"
    weights.touch()
    study, (note,) = studies.choose("course", [f"base={weights}"])
    assert {member.base for member in study.questions[0].members} == {None}
    assert {member.base for member in study.questions[2].members} == {str(weights)}
    assert member(study, "mobilenetv2").base == "imagenet"
    assert "weights of vgg16 do not fit mobilenetv2" in note
    assert "course-mobilenetv2.base=PATH" in note


def test_a_setting_with_a_members_name_reaches_that_one_alone(tmp_path: Path) -> None:
    weights = tmp_path / "mobilenet.h5"
    weights.touch()
    study = course_with(f"course-mobilenetv2.base={weights}", "course-optimal.phases.0.epochs=3")
    assert member(study, "mobilenetv2").base == str(weights)
    assert member(study, "larger").base == "imagenet"
    assert studies.follow(study.questions[1], study.members[0], study).epochs == 3


def test_who_a_setting_does_not_fit_goes_without_and_is_told() -> None:
    study, notes = studies.choose("course", ["backbone.width=0.1"])
    assert member(study, "reference-sgd").backbone.width == 0.1
    assert member(study, "larger").backbone.width == 1
    assert any("the ImageNet weights are of vgg16 with width 1" in note and "course-larger" in note for note in notes)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("backbone.width=0.1", "the ImageNet weights are of vgg16 with width 1 and without batch normalisation."),
        ("phases.1.epochs=2", "--set phases.1.epochs: no such setting."),
        ("normalization=weights", "normalization=weights needs a base, whose weights were trained with it."),
    ],
)
def test_a_note_gives_one_reason_for_all_who_go_without(setting: str, reason: str) -> None:
    study, notes = studies.choose("course", [setting])
    (note,) = (note for note in notes if note.endswith(reason))
    names, _, _ = note.removeprefix(f"--set {setting} was left out for ").partition(":")
    assert len(names.split(", ")) > 1
    assert {*names.split(", ")} < {experiment.name for experiment in study.members}


def test_small_weights_let_every_member_of_their_network_be_small(tmp_path: Path) -> None:
    weights = tmp_path / "small.keras"
    weights.touch()
    study = course_with("backbone.width=0.1", f"base={weights}")
    assert {experiment.backbone.width for experiment in study.members if experiment.backbone.name == "vgg16"} == {0.1}


def test_language_is_the_reports_and_not_another_study() -> None:
    french, english = course_with("language=fr"), course_with()
    assert (french.language, english.language) == ("fr", "en")
    assert studies.request_of(french, "d") == studies.request_of(english, "d")
    assert (
        studies.request_of(course_with("seed=2"), "d")
        != studies.request_of(english, "d")
        != studies.request_of(english, "e")
    )


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("curse", [], "Did you mean course"),
        ("course", ["language=de"], "expected en or fr, found 'de'"),
        ("course", ["colour=blue"], "no such setting"),
        ("course", ["dataset=cifar1000"], "no dataset 'cifar1000'"),
        ("course", ["base=/nowhere/weights.h5"], "there is none"),
        ("course", ["course-larger.image_size=4"], "greater than or equal to 8"),
        ("course", ["course-larger.nonsense=4"], "no such setting"),
        ("course", ["course-optimal.nonsense=4"], "no such setting"),
    ],
)
def test_a_wrong_study_or_setting_is_refused(name: str, settings: list[str], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        studies.choose(name, settings)
    assert reason in str(refused.value)
