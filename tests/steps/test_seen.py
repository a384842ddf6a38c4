"""A model that is right on copies of what it learned and at chance on all else: both numbers, where they are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.steps.test_report import written
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.config.types import SPLITS, Dataset, Experiment
from vgg16.data import published
from vgg16.data.images import Arrays
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef, TrackedRun, TrainingRequest
from vgg16.statistics import unpaired_difference_interval
from vgg16.steps import evaluate
from vgg16.steps.data.duplicates import keep
from vgg16.steps.data.seen import seen_by_train
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

pytestmark = pytest.mark.usefixtures("tensorflow")

COUNTS = {"train": 40, "val": 20, "gate": 60, "test": 80}
FIRST = {"train": 0, "val": 40, "gate": 60, "test": 120}
COPIES = {"gate": 12, "test": 20}


@dataclass
class Heard(Silence):
    """What was said."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """An empty home; making its database takes seconds, so the tests share it."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(tmp_path_factory.mktemp("home")))
        settings.load.cache_clear()
        yield Workplace(settings.apply(), Heard())
    settings.load.cache_clear()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def planted(seed: int) -> Arrays:
    """Dark and light images, which the model tells apart. Of gate and test the first ones, the copies, are labelled as
    they look; of the others every second one."""
    splits = np.repeat(np.arange(len(SPLITS)), [COUNTS[split] for split in SPLITS]).astype(np.int8)
    light = np.random.default_rng(seed).random(len(splits)) < 0.5
    place = np.concatenate([np.arange(COUNTS[split]) for split in SPLITS])
    copies = place < np.array([COPIES.get(split, COUNTS[split]) for split in SPLITS])[splits]
    labels = np.where(copies | (place % 2 == 0), light, ~light).astype(np.int64)
    images = np.where(light, 200, 50)[:, None, None, None] + np.random.default_rng(seed + 1).integers(
        0, 40, (len(splits), 8, 8, 3)
    )
    return Arrays(images.astype(np.uint8), labels, splits, ("dark", "light"))


def pairs() -> NearDuplicates:
    """The first images of gate and test are copies of train's, by all ways that there are; and others of val's and of
    each other, which train has not seen."""
    train, val, gate, test = (FIRST[split] for split in SPLITS)
    first_equal = np.arange(sum(COUNTS.values()))
    near = [(train + row, gate + row) for row in range(12)]
    near += [(train + row, test + row) for row in range(12)]
    # Equal to an image of train, itself or an earlier one; and to one of gate that is near to train.
    first_equal[[test + 12, test + 13]] = train + 20
    first_equal[[train + 31, test + 14]] = train + 30
    first_equal[[test + row for row in range(15, 20)]] = [gate + row for row in range(5)]
    near += [(val + row, test + 20 + row) for row in range(5)]
    near += [(test + 40, test + 50), (gate + 30, test + 60)]
    equal = np.flatnonzero(first_equal != np.arange(len(first_equal)))
    rows = np.array(sorted({*near, *((int(first_equal[row]), int(row)) for row in equal)}), np.intp)
    return NearDuplicates(rows, np.ones(len(rows), np.float32), first_equal, 0.9, True, 100, 0)


def tells_dark_from_light() -> Any:
    import keras

    image = keras.Input((8, 8, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(image, dense(pooled))
    dense.set_weights([np.array([[-9.0, 9.0]] * 3), np.array([14.0, -14.0])])
    return model


def scored(
    workplace: Workplace, tiny: Experiment, ref: DatasetRef, monkeypatch: pytest.MonkeyPatch
) -> tuple[TrackedRun, list[str]]:
    """A run of that model, scored on gate and test; and what was said."""
    always = tiny.model_copy(update={"score_test": "always"})
    request = TrainingRequest(experiment=always, dataset=ref, chain=ref.name)
    with workplace.tracker.runs.start(request, {}) as run_id:
        workplace.tracker.results.log_metrics(run_id, {"best_epoch": 1, "best_val_top1": 0.9})
    classifier = Classifier(tells_dark_from_light(), ref.class_names)
    monkeypatch.setattr(workplace.tracker.registry, "load", lambda _: classifier)
    monkeypatch.setattr(workplace.tracker.registry, "megabytes", lambda _: 1.0)
    said = workplace.display.lines  # type: ignore[attr-defined]
    said.clear()
    run = evaluate.on_gate(workplace.tracker.runs.get(run_id), "models:/planted", workplace).run
    workplace.tracker.runs.mark_finished(run_id)
    return run, list(said)


def publish(workplace: Workplace, name: str, images: Arrays) -> DatasetRef:
    row = Dataset(name=name, description="", class_names=images.class_names, image_size=8, floors={"scratch": 0.5})
    return published.save(workplace.store, row, images)


def test_top1_is_told_with_and_without_the_images_that_train_has_seen(
    workplace: Workplace, tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = planted(0)
    ref = publish(workplace, "copied", images)
    keep(ref, pairs(), workplace)
    run, said = scored(workplace, tiny, ref, monkeypatch)
    for split, copies in COPIES.items():
        others = COUNTS[split] - copies
        whole = (copies + others / 2) / COUNTS[split]
        low, high = unpaired_difference_interval(copies, copies, others // 2, others)
        share = copies / COUNTS[split]
        expected = {
            "top1": whole,
            "seen_images": copies,
            "top1_unseen": 0.5,
            "top1_from_seen": whole - 0.5,
            "top1_from_seen_low": share * low,
            "top1_from_seen_high": share * high,
        }
        found = {name: run.metrics[f"{split}_{name}"] for name in expected}
        assert found == pytest.approx(expected, abs=1e-6)
        assert 0 < run.metrics[f"{split}_top1_unseen_low"] < 0.5 < run.metrics[f"{split}_top1_unseen_high"] < 1
        assert any(f"without the {copies} images that train has seen" in line for line in said)
    gate, test = workplace.tracker.results.evaluations(run.run_id)
    assert gate.unseen
    assert test.unseen
    assert (gate.unseen.seen, test.unseen.seen, test.unseen.surely_adds) == (12, 20, True)
    table = pd.read_csv(_file(workplace, run.run_id, "test/answers.csv"))
    assert table["seen"].tolist() == [1] * 20 + [0] * 60
    assert (table["label"] == table["answer"]).groupby(table["seen"]).mean().tolist() == [0.5, 1.0]
    assert "near-duplicates of 20 of them. Without these it is right on 50.0" in written(workplace, run.run_id).text


def test_where_nobody_looked_for_copies_nothing_is_said_of_them(
    workplace: Workplace, tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = publish(workplace, "unknown", planted(2))
    run, said = scored(workplace, tiny, ref, monkeypatch)
    assert "test_top1" in run.metrics
    assert not [name for name in run.metrics if "seen" in name]
    assert not [line for line in said if "seen" in line]
    assert "seen" not in pd.read_csv(_file(workplace, run.run_id, "test/answers.csv"))
    assert [evaluation.unseen for evaluation in workplace.tracker.results.evaluations(run.run_id)] == [None, None]
    assert "near-duplicates" not in written(workplace, run.run_id).text


def test_near_duplicates_of_other_images_are_not_believed(workplace: Workplace) -> None:
    images = planted(4)
    ref = publish(workplace, "other", images)
    keep(ref, pairs(), workplace)
    assert seen_by_train(ref, images.splits, "test", workplace) is not None
    assert seen_by_train(ref, images.splits[:-1], "test", workplace) is None
    file = workplace.store.local_path(ref.near_duplicates_key)
    assert file
    file.write_bytes(b"damaged")
    assert seen_by_train(ref, images.splits, "test", workplace) is None


def _file(workplace: Workplace, run_id: str, name: str) -> str:
    import mlflow

    return mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{name}", dst_path=str(workplace.home))
