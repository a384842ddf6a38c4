"""A study's rows, and how far a setting reaches."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from vgg16.config import catalog, course, studies
from vgg16.config.types import Experiment, Study
from vgg16.errors import RequestError
from vgg16.network.describe import Description, describe
from vgg16.reports.study.compare import CHANGES
from vgg16.reports.study.words import texts


def asked(*settings: str) -> Study:
    return studies.choose("course", list(settings))[0]


def member(study: Study, name: str) -> Experiment:
    return next(each for each in study.members if each.name == f"course-{name}")


@pytest.mark.parametrize("row", course.STUDIES.values(), ids=lambda row: row.name)
def test_members_of_a_study_fit_together_and_are_told_apart(row: Study) -> None:
    study, notes = studies.choose(row.name, [])
    assert notes == []
    names = [each.name for each in study.members]
    assert len(set(names)) == len(names)
    assert len({each.dataset for each in study.members}) == 1
    assert all(each.score_test == "always" and each.precision == "auto" for each in study.members)
    known = {*names, *(each.name for each in study.questions)}
    assert known >= {name for each in study.questions for pair in each.compared for name in pair}
    assert all(
        f"asked.{each.name}" in texts("en") and f"question.{each.name}" in texts("fr") for each in study.questions
    )
    assert {f"change.{key}" for key in CHANGES} <= texts("en").keys()


def test_the_course_asks_for_six_from_scratch_then_the_best_six_frozen_and_three_more() -> None:
    study = asked()
    assert study.members[0].dataset.name == "cifar100"
    assert [len(each.members) for each in study.questions] == [6, 0, 6, 3]
    scratch, optimal, frozen, _ = study.questions
    for each in scratch.members:
        (phase,) = each.phases
        assert (phase.optimizer.learning_rate, each.batch_size, phase.epochs) == (0.1, 64, 10)
        assert each.backbone.width == 1
        assert each.head.units == (512,)
    best = studies.follow(optimal, scratch.members[3], study)
    assert (best.name, best.epochs, best.backbone) == ("course-optimal", 20, scratch.members[3].backbone)
    found = [(each.phases[0].optimizer.learning_rate, each.epochs, each.normalization) for each in frozen.members]
    assert found == [
        (rate, epochs, pixels) for rate, epochs in ((0.1, 15), (0.01, 100)) for pixels in ("raw", "dataset", "weights")
    ]


def described(name: str) -> Description:
    from vgg16.network.build import build

    each = member(asked(), name)
    row = catalog.backbone(each.backbone.name)
    return describe(build(row, each.backbone, each.head, input_size=32, classes=10), name)


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
    study = asked("dataset=cifar10", "seed=7", "phases.0.epochs=2")
    assert {(each.dataset.name, each.seed, each.phases[0].epochs) for each in study.members} == {("cifar10", 7, 2)}
    scratch, optimal, *_ = study.questions
    assert studies.follow(optimal, scratch.members[0], study).epochs == 2


def test_a_base_reaches_those_that_have_one_of_the_same_network(tmp_path: Path) -> None:
    weights = tmp_path / "vgg16.h5"
    weights.touch()
    study, (note,) = studies.choose("course", [f"base={weights}"])
    assert {each.base for each in study.questions[0].members} == {None}
    assert {each.base for each in study.questions[2].members} == {str(weights)}
    assert member(study, "mobilenetv2").base == "imagenet"
    assert "weights of vgg16 do not fit mobilenetv2" in note
    assert "course-mobilenetv2.base=PATH" in note


def test_a_setting_with_a_members_name_reaches_that_one_alone(tmp_path: Path) -> None:
    weights = tmp_path / "mobilenet.h5"
    weights.touch()
    study = asked(f"course-mobilenetv2.base={weights}", "course-optimal.phases.0.epochs=3")
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
    assert {*names.split(", ")} < {each.name for each in study.members}


def test_small_weights_let_every_member_of_their_network_be_small(tmp_path: Path) -> None:
    weights = tmp_path / "small.keras"
    weights.touch()
    study = asked("backbone.width=0.1", f"base={weights}")
    assert {each.backbone.width for each in study.members if each.backbone.name == "vgg16"} == {0.1}


def test_language_is_the_reports_and_not_another_study() -> None:
    french, english = asked("language=fr"), asked()
    assert (french.language, english.language) == ("fr", "en")
    assert studies.request_of(french, "d") == studies.request_of(english, "d")
    assert (
        studies.request_of(asked("seed=2"), "d") != studies.request_of(english, "d") != studies.request_of(english, "e")
    )


@pytest.mark.parametrize(
    ("name", "settings", "told"),
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
def test_a_wrong_study_or_setting_is_refused(name: str, settings: list[str], told: str) -> None:
    with pytest.raises(RequestError) as refused:
        studies.choose(name, settings)
    assert told in str(refused.value)
