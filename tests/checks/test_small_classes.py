"""Classes that are too small to judge: by setting they learn, and whatever judges goes on without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.checks.test_validation import judged
from vgg16.config import catalog
from vgg16.config.dataset_entries import dataset as dataset_of_entry
from vgg16.config.types import SPLITS, Dataset, Experiment
from vgg16.data.images import Arrays
from vgg16.data.sources import generated
from vgg16.evaluation.metrics import evaluate
from vgg16.records import DatasetRef, Evaluation, ModelVersion
from vgg16.reports import figures
from vgg16.reports.card import model_card

NAMES = ("cat", "dog", "rare")


def own(arrays: Arrays, small: tuple[str, ...]) -> Dataset:
    """The row of an entry, as it is published with these arrays."""
    row = dataset_of_entry("pets", {"source": "photos", "small_classes": "learn"}, ("scratch",))
    assert row.small_classes == "learn"
    side = arrays.images.shape[1]
    return row.model_copy(update={"class_names": arrays.class_names, "small": small, "image_size": side})


def failed(row: Dataset, arrays: Arrays) -> dict[str, tuple[str, str]]:
    results = judged(row, arrays)
    return {result.rule.name: (result.rule.expected, result.observed) for result in results if not result.ok}


def only(arrays: Arrays, kept: np.ndarray) -> Arrays:
    return replace(arrays, images=arrays.images[kept], labels=arrays.labels[kept], splits=arrays.splits[kept])


# Of which classes only what is in `train` is left, or nothing; which the row calls small; what must be missing.
CASES = {
    "all are whole": ((), (), (), ""),
    "one learns": (("3",), (), ("3",), ""),
    "one learns unsaid": (("3",), (), (), "missing: gate/3 test/3 val/3"),
    "another learns": (("3",), (), ("4",), "missing: gate/3 test/3 val/3"),
    "one is not there at all": ((), ("3",), ("3",), "missing: train/3"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_class_that_is_called_small_must_be_in_train_and_every_other_in_all(case: str) -> None:
    learning, gone, small, missing = CASES[case]
    arrays = generated.make(catalog.dataset("digits"))
    names, train = np.array(arrays.class_names)[arrays.labels], arrays.splits == SPLITS.index("train")
    left = only(arrays, ~np.isin(names, gone) & (train | ~np.isin(names, learning)))
    rules = failed(own(left, small), left)
    found = rules.pop("every_class_in_every_split", ("", ""))
    assert sorted(found[1].replace(",", "").split()) == sorted(missing.split())
    assert ("; in train 1 that are too small" in found[0]) == bool(small and missing)
    assert rules == {}


def evaluation() -> Evaluation:
    """Of 20 images of two classes, of which the third has none, though two are answered by it."""
    labels = np.arange(20) % 2
    answers = np.where(np.arange(20) < 2, 2, labels)
    probabilities = np.eye(3, dtype=np.float32)[answers] * 0.9 + np.float32(0.1 / 3)
    return evaluate("test", "", probabilities, labels, NAMES, {"all": NAMES})


def test_of_a_class_without_images_nothing_is_known_and_the_rest_is_counted_as_without_it() -> None:
    of_all = evaluation()
    rare = of_all.classes[2]
    assert (rare.images, rare.recall, rare.precision, rare.recall_interval) == (0, 0.0, 0.0, (0.0, 1.0))
    assert of_all.top1 == pytest.approx(0.9)
    assert [score.recall for score in of_all.classes[:2]] == pytest.approx([0.9, 0.9])
    assert of_all.confusion[2] == (0, 0, 0)


def test_a_class_without_images_is_in_no_ranking_and_the_card_says_so(tiny: Experiment) -> None:
    drawn = figures.of_evaluation(evaluation(), evaluation(), 1.0, {}, "a run")
    assert [text.get_text() for text in drawn["recall_classes"].axes[0].get_yticklabels()] == ["cat", "dog"]
    assert [text.get_text() for text in drawn["confusion_matrix"].axes[0].get_yticklabels()] == [*NAMES]
    ref = DatasetRef(name="pets", digest="d" * 64, key="k", class_names=NAMES, splits={"train": 80, "test": 20})
    version = ModelVersion(name="vgg16-pets", version="1", stage="None", run_id="abc", experiment="pets-scratch")
    facts_ = dict.fromkeys(("run", "date", "code", "base", "reasons", "reviewed", "address", "home", "env"), "")
    card = model_card(version, tiny, ref, [evaluation()], facts_).replace("&emsp;", "")
    assert "| worst class, recall | cat: 0.9000" in card
    assert "- How good it is on rare nobody knows: `test` has no image of it." in card
