"""A challenger beside a champion that knows other classes, or takes another size: models of planted answers, on images
that differ in brightness alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.config.types import SPLITS, Dataset, Framing, GateRules
from vgg16.data.images import Arrays
from vgg16.errors import Vgg16Error
from vgg16.network.classifier import Classifier
from vgg16.promotion.records import GateResult, LedgerEntry, Standing
from vgg16.records import DatasetRef, ModelVersion
from vgg16.steps.data.duplicates import keep
from vgg16.storage.store import FolderStore

pytestmark = pytest.mark.usefixtures("tensorflow")

# Each class by the brightness that its images vary around, by up to 28 either way.
BRIGHTNESS = {"ant": 40.0, "bee": 100.0, "cat": 160.0, "dog": 220.0}
OF_EACH = 60
# As far off, a model takes about one in eight of a class for its neighbour.
OFF = 7.0


def images_at(side: int) -> Arrays:
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(4), OF_EACH)
    means = np.array([*BRIGHTNESS.values()])[labels] + random.uniform(-28, 28, len(labels))
    images = np.broadcast_to(means[:, None, None, None], (len(labels), side, side, 3)).astype(np.uint8)
    gate = np.full(len(labels), SPLITS.index("gate"), np.int8)
    return Arrays(images, labels, gate, tuple(BRIGHTNESS))


class Files(Arrays):
    """As a dataset of files is: its pictures at any side."""

    def at(self, side: int, framing: Framing | None = None) -> Arrays:  # shades have no edges
        return images_at(side)


def model_of(classes: dict[str, float], side: int = 16) -> Any:
    """A model that answers the class whose brightness is nearest."""
    import keras

    centres = np.array([*classes.values()]) / 255
    inputs = keras.Input((side, side, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    dense = keras.layers.Dense(len(classes), activation="softmax")
    model = keras.Model(inputs, dense(pooled))
    dense.set_weights([1500 * np.repeat(2 * centres[None] / 3, 3, axis=0), -1500 * centres**2])
    return model


class Shelf:
    """Registered models in memory: the champion is version 1, the challenger 2."""

    def __init__(self, champion: Classifier, challenger: Classifier) -> None:
        self.models = {"models:/vgg16-shades/1": champion, "models:/vgg16-shades/2": challenger}

    def load(self, uri: str) -> Classifier:
        return self.models[uri]

    def megabytes(self, _: str) -> float:
        return 1.0

    def version(self, name: str, version: str) -> ModelVersion:
        return ModelVersion(name=name, version=version, stage="None", run_id=version, experiment="shades-scratch")


@pytest.fixture
def place(tmp_path: Path) -> SimpleNamespace:
    """What a judgement needs of a workplace, but for the models."""
    rules = GateRules(floor=0.6)
    run = SimpleNamespace(metrics={}, trained_on=ref(), run_id="2")
    return SimpleNamespace(
        store=FolderStore(tmp_path),
        dataset=lambda _: images_at(16),
        dataset_row=lambda _: Dataset(name="shades", description="", class_names=tuple(BRIGHTNESS)),
        tracker=SimpleNamespace(
            runs=SimpleNamespace(get=lambda _: run),
            results=SimpleNamespace(experiment=lambda _: SimpleNamespace(gate=rules)),
        ),
    )


def ref() -> DatasetRef:
    return DatasetRef(
        name="shades", digest="d" * 64, key="datasets/shades", class_names=tuple(BRIGHTNESS), splits={"gate": 240}
    )


def judged(place: SimpleNamespace, champion: Any, challenger: Any, history: tuple[LedgerEntry, ...] = ()) -> GateResult:
    from vgg16.steps import fresh_process
    from vgg16.steps.judge import judge

    place.tracker.registry = Shelf(champion, challenger)

    class SameProcess:
        def ask(self, name: str, versions: tuple[str, ...], dataset: DatasetRef, folder: Path) -> Any:
            asked = fresh_process.Question(name=name, versions=versions, dataset=dataset, folder=folder)
            return fresh_process.answer(asked, place)  # type: ignore[arg-type]

    version = ModelVersion(name="vgg16-shades", version="2", stage="None", run_id="2", experiment="shades-scratch")
    standing = Standing(history=history, champion="1", before="", reference="1")
    return judge(version, standing, "production", SameProcess(), place)  # type: ignore[arg-type]


def knows(**classes: float) -> Classifier:
    return Classifier(model_of(classes), tuple(classes))


THREE = {"cat": 160.0, "ant": 40.0, "bee": 100.0}
WORSE = {"cat": 160.0 + OFF, "ant": 40.0 + OFF, "bee": 100.0 + OFF}
OF_THREE = "on the same 180 gate images of 3 of the 4 classes, those that both know; the champion does not know dog): "

# What the champion and the challenger know, the verdict, and what its reasons say.
CASES: dict[str, tuple[dict[str, float], dict[str, float], str, tuple[str, ...]]] = {
    "better on the classes that both know": (
        WORSE,
        BRIGHTNESS,
        "promote",
        ("better than the champion (version 1", OF_THREE + "+", "(0.9842 to 1.0000) on 240 gate images reaches 0.6"),
    ),
    "as good on the classes that both know": (THREE, BRIGHTNESS, "refuse", ("points better than", OF_THREE + "+0.0 ")),
    # A third of the cats are dogs to it, and would be cats among the three: that is for its floor.
    "takes others for the new class": (
        WORSE,
        BRIGHTNESS | {"dog": 180.0},
        "promote",
        (OF_THREE + "+", "on 240 gate images reaches 0.6"),
    ),
    "worse on the classes that both know": (
        THREE,
        BRIGHTNESS | {"ant": 40.0 + OFF, "bee": 100.0 + OFF, "cat": 160.0 + OFF},
        "refuse",
        ("worse than the champion", OF_THREE + "-"),
    ),
    "a class renamed": (
        {"ant": 40.0, "bee": 100.0, "kitten": 160.0, "dog": 220.0},
        BRIGHTNESS,
        "refuse",
        ("points better than", "does not know cat; kitten, which the champion knows, left out): +0.0 points"),
    ),
    "a class gone": (
        BRIGHTNESS | {"elk": 130.0},
        BRIGHTNESS,
        "refuse",
        ("points better than", "on the same 240 gate images; elk, which the champion knows, left out): +0.0 points"),
    ),
    "the same classes in another order": (THREE | {"dog": 220.0}, BRIGHTNESS, "refuse", ("240 gate images): +0.0",)),
    "one class in common": (
        {"ant": 40.0, "elk": 100.0},
        BRIGHTNESS,
        "undecided",
        ("the champion, version 1: it cannot be used: of the dataset's classes", "knows only ant; at least 2"),
    ),
    "none in common": ({"elk": 40.0, "fly": 100.0}, BRIGHTNESS, "undecided", ("knows none; at least 2",)),
    "the challenger's own are in another order": (
        BRIGHTNESS,
        THREE | {"dog": 220.0},
        "refuse",
        ("it cannot be used: models:/vgg16-shades/2 knows other classes than the dataset, or in another order.",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_models_that_know_different_classes_are_compared_on_those_that_both_know(place: Any, case: str) -> None:
    champion, challenger, verdict, reasons = CASES[case]
    result = judged(place, knows(**champion), knows(**challenger))
    assert result.verdict.verdict == verdict, result.verdict.reasons
    text = "; ".join(result.verdict.reasons)
    assert all(reason in text for reason in reasons), text


@pytest.mark.parametrize(("promoted", "verdict"), [("d1", "promote"), ("", "promote"), ("other", "undecided")])
def test_a_champion_that_is_not_what_came_into_production_is_compared_with_nothing(
    place: Any, promoted: str, verdict: str
) -> None:
    facts = {"number": 1, "name": "vgg16-shades", "action": "promote", "version": "1", "previous": "", "by": "me"}
    rest = {"at": "now", "verdict": "promote", "reasons": ("good",), "model_digest": promoted}
    entry = LedgerEntry.model_validate(facts | rest)
    champion, challenger = knows(**WORSE)._replace(digest="d1"), knows(**BRIGHTNESS)._replace(digest="d2")
    result = judged(place, champion, challenger, (entry,))
    assert (result.verdict.verdict, result.model_digest) == (verdict, "d2")
    told = "version 1: it is not what came into production: the ledger has digest other..., found d1..."
    assert (told in "; ".join(result.verdict.reasons)) == (verdict == "undecided")


def test_the_ledger_keeps_how_many_images_were_compared(place: Any) -> None:
    numbers = judged(place, knows(**WORSE), knows(**BRIGHTNESS)).evidence
    assert (numbers["gate_images"], numbers["champion_gate_images"]) == (240, 180)
    assert numbers["champion_gate_top1"] < numbers["challenger_gate_top1"] == 1
    assert "champion_gate_images" not in judged(place, knows(**BRIGHTNESS), knows(**BRIGHTNESS)).evidence


def test_gate_images_that_train_has_seen_are_counted_and_warned_of(place: Any) -> None:
    whole = images_at(16)
    # All but the cats, of which the challenger takes a third for dogs, have a copy in train.
    splits = np.array(whole.splits)
    splits[:4] = SPLITS.index("train")
    place.dataset = lambda _: Arrays(whole.images, whole.labels, splits, whole.class_names)
    challenger = knows(**BRIGHTNESS | {"dog": 180.0})
    before = judged(place, knows(**WORSE), challenger)
    assert "gate_seen_images" not in before.evidence
    seen = np.flatnonzero(whole.labels[4:] != 2) + 4
    pairs = np.stack([np.zeros_like(seen), seen], axis=1)
    alike = np.ones(len(pairs), np.float32)
    keep(ref(), NearDuplicates(pairs, alike, np.arange(240), 0.9, True, 100, 0), place)
    after = judged(place, knows(**WORSE), challenger)
    assert after.evidence["gate_seen_images"] == len(seen) == 177
    assert after.evidence["challenger_gate_top1_unseen"] < after.evidence["challenger_gate_top1"]
    (warning,) = set(after.verdict.warnings) - set(before.verdict.warnings)
    assert warning.endswith("without the 177 of its 236 images that train has seen")
    assert (after.verdict.verdict, after.evidence["p"]) == (before.verdict.verdict, before.evidence["p"])


def test_each_model_sees_pictures_of_files_at_its_own_side(place: Any) -> None:
    small = Classifier(model_of(WORSE, side=8), tuple(WORSE))
    # Arrays have one side: a model of another cannot be asked.
    result = judged(place, small, knows(**BRIGHTNESS))
    assert result.verdict.verdict == "undecided"
    reason = "version 1: it cannot be used: it takes images of (8, 8, 3), those of the dataset are (16, 16, 3)."
    assert result.verdict.reasons == (f"nothing can be measured against the champion, {reason}",)
    result = judged(place, knows(**WORSE), Classifier(small.model, tuple(BRIGHTNESS)))
    assert (result.verdict.verdict, "it takes images of (8, 8, 3)" in result.verdict.reasons[0]) == ("refuse", True)
    arrays = images_at(16)
    place.dataset = lambda _: Files(arrays.images, arrays.labels, arrays.splits, arrays.class_names)
    result = judged(place, small, knows(**BRIGHTNESS))
    assert (result.verdict.verdict, result.evidence["champion_gate_images"]) == ("promote", 180)


def test_a_gate_without_an_image_of_the_shared_classes_decides_nothing(place: Any) -> None:
    whole = images_at(16)
    dogs_and_cats = np.isin(whole.labels, (2, 3))
    rest = Arrays(*(each[dogs_and_cats] for each in (whole.images, whole.labels, whole.splits)), whole.class_names)
    place.dataset = lambda _: rest
    result = judged(place, knows(ant=40.0, bee=100.0), knows(**BRIGHTNESS))
    assert result.verdict.verdict == "undecided"
    assert "the gate has no image of the 2 classes that both know" in result.verdict.reasons[0]


def grown(place: Any, images: int) -> list[str]:
    """The champion was trained on so many of the images, under another digest; what is said of it."""
    whole = images_at(16)
    lines: list[str] = []
    first = DatasetRef(name="shades", digest="first", key="datasets/first", class_names=(), splits={})
    runs = {"1": SimpleNamespace(trained_on=first), "2": place.tracker.runs.get("2")}
    place.tracker.runs = SimpleNamespace(get=runs.__getitem__)
    place.dataset = lambda asked: whole.rows(np.arange(images)) if asked == first else whole
    place.say = lines.append
    return lines


def test_images_that_the_champion_s_dataset_did_not_have_are_judged_apart(place: Any) -> None:
    before = judged(place, knows(**WORSE), knows(**BRIGHTNESS))
    lines = grown(place, 120)
    after = judged(place, knows(**WORSE), knows(**BRIGHTNESS))
    # A shade that was there before is no new image, and of dogs the champion knows nothing.
    whole = images_at(16)
    before_it = set(map(bytes, whole.content[:120]))
    shown = [
        label != 3 and bytes(content) not in before_it
        for label, content in zip(whole.labels, whole.content, strict=True)
    ]
    assert after.evidence["gate_newer_images"] == sum(shown) > 30
    assert after.evidence["difference_newer"] > 0
    added = {name for name in after.evidence if "newer" in name} | {"difference_older"}
    assert {name for name in after.evidence if name not in added} == set(before.evidence)
    assert all(after.evidence[name] == before.evidence[name] for name in ("difference", "difference_low", "p"))
    assert any(
        f"on the {sum(shown)} newer than it +" in reason and "older" in reason for reason in after.verdict.reasons
    )
    assert not any("newer" in reason for reason in before.verdict.reasons)
    assert lines == []


def test_where_the_champion_s_dataset_is_gone_nothing_is_judged_apart_and_that_is_said(place: Any) -> None:
    before = judged(place, knows(**WORSE), knows(**BRIGHTNESS))
    lines, there = grown(place, 120), place.dataset

    def read(asked: DatasetRef) -> Arrays:
        if asked.digest == "first":
            raise Vgg16Error("datasets/first is not whole.", "Fetch it again.")
        return there(asked)  # type: ignore[no-any-return]

    place.dataset = read
    after = judged(place, knows(**WORSE), knows(**BRIGHTNESS))
    assert "better than the champion" in before.verdict.reasons[1]
    assert after.verdict.reasons[:5] == before.verdict.reasons[:5]
    assert set(after.evidence) == set(before.evidence)
    (line,) = lines
    assert line.startswith("no gate image is judged as newer than version 1, whose dataset cannot be read: datasets/")
