"""Figures say what the evaluation says, for two classes and for a hundred."""

import numpy as np
import pytest

from vgg16.config import catalog
from vgg16.evaluation.metrics import evaluate
from vgg16.records import EpochMetrics, Evaluation
from vgg16.reports import figures
from vgg16.statistics import tempered
from vgg16.training.records import TrainingResult


def evaluations(classes: int, images: int = 500) -> tuple[Evaluation, Evaluation, dict[str, tuple[str, ...]]]:
    """Before and after a temperature of 0.5, of CIFAR-100's classes or of some digits."""
    row = catalog.dataset("cifar100" if classes == 100 else "digits")
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    powers = np.exp(random.normal(size=(images, classes)) + 3 * np.eye(classes)[labels])
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    before, after = (
        evaluate("test", "", answered, labels, row.class_names[:classes], row.superclasses)
        for answered in (probabilities, tempered(probabilities, 0.5))
    )
    return before, after, row.superclasses


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_every_figure_is_drawn_for_few_classes_and_for_many(classes: int) -> None:
    before, after, superclasses = evaluations(classes)
    drawn = figures.of_evaluation(after, before, 0.5, superclasses, "a run")
    drawn["corruptions"] = figures.corrupted(after, {"noise": 0.5, "blur": 0.25}, 100, "a run")
    names = {"confusion_matrix", "reliability", "recall_classes", "corruptions"}
    assert set(drawn) == names | ({"recall_superclasses"} if superclasses else set())
    for figure in drawn.values():
        assert figures.as_data_uri(figure).startswith("data:image/png;base64,")
        assert len(figure.texts) + len(figure.axes[0].get_title()) > 0


def test_a_hundred_classes_are_sorted_by_superclass_and_counted_right() -> None:
    _, after, superclasses = evaluations(100)
    axes = figures.confusion_matrix(after, superclasses, "a run").axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [name for group in superclasses.values() for name in group]
    shares = np.asarray(axes.collections[0].get_array())
    class_names = [score.name for score in after.classes]
    for label, answer in ((0, 0), (3, 77), (99, 98)):
        row, column = class_names.index(names[label]), class_names.index(names[answer])
        assert shares[label, answer] == pytest.approx(after.confusion[row][column] / sum(after.confusion[row]))
    outer = [text.get_text().replace("\n", " ") for text in axes.child_axes[1].get_yticklabels()]
    assert outer == [name.replace("_", " ") for name in superclasses]


def test_learning_curves_are_those_of_both_splits_with_the_best_epoch_marked() -> None:
    epochs = tuple(
        EpochMetrics(
            epoch=epoch,
            train_loss=2.0 / epoch,
            train_top1=0.1 * epoch,
            val_loss=float("nan") if epoch == 1 else 3.0 / epoch,
            val_top1=0.05 * epoch,
            learning_rate=0.1,
            at=epoch,
        )
        for epoch in (1, 2, 3)
    )
    result = TrainingResult(
        status="finished",
        best_epoch=2,
        seconds=1,
        seconds_of_phases=(1,),
        images_per_s=1,
        peak_memory_megabytes=1,
        device="cpu",
        precision="float32",
        epochs=epochs,
    )
    for axes, metric in zip(figures.learning_curves(result, "a run").axes, ("loss", "top1"), strict=True):
        train, val, best = axes.get_lines()
        for line, split in ((train, "train"), (val, "val")):
            assert list(line.get_xdata()) == [1, 2, 3]
            assert np.array_equal(line.get_ydata(), [getattr(epoch, f"{split}_{metric}") for epoch in epochs], True)
        assert set(best.get_xdata()) == {2}
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == ["train", "val", "best epoch (2)"]


def test_the_reliability_diagram_names_both_errors_and_the_temperature() -> None:
    before, after, _ = evaluations(10)
    above = figures.reliability(before, after, 0.5, "a run").axes[:2]
    titles = [axes.get_title() for axes in above]
    assert f"ECE {before.ece:.2%}" in titles[0]
    assert f"ECE {after.ece:.2%}" in titles[1]
    assert "T = 0.50" in titles[1]
    heights = [[bar.get_height() for bar in axes.patches] for axes in above]
    for drawn, evaluation in zip(heights, (before, after), strict=True):
        assert drawn == [bin_.accuracy for bin_ in evaluation.reliability if bin_.images]


def test_recalls_are_drawn_with_the_worst_at_the_top() -> None:
    _, after, _ = evaluations(10)
    axes = figures.recalls(after.classes, "a run").axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(score.recall for score in after.classes)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
