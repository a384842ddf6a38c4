"""Probabilities and labels become an Evaluation. Nothing is predicted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Split
from vgg16.data.images import Labels
from vgg16.records import Bin, ClassScore, Evaluation, Unseen
from vgg16.statistics import (
    Correct,
    Probabilities,
    calibration,
    calibration_error,
    calibration_interval,
    group_counts,
    group_index,
    proportion_interval,
    unpaired_difference_interval,
)


def evaluate(  # noqa: PLR0917  # what is judged: a split, and the probabilities for its images
    split: Split,
    images_digest: str,
    probabilities: Probabilities,
    labels: Labels,
    class_names: tuple[str, ...],
    superclasses: Mapping[str, tuple[str, ...]] | None = None,
    seen: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Score the probabilities [n, k] of a split's images against labels int64 [n]; `superclasses` are groups of
    classes, and `seen` bool [n] whether train has learned a near-duplicate of each image, None where nobody knows."""
    n, k = probabilities.shape
    answers = probabilities.argmax(axis=1)
    best5 = np.argsort(-probabilities, axis=1)[:, :5]
    confusion = np.bincount(labels * k + answers, minlength=k * k).reshape(k, k)
    superclasses = superclasses or {}
    group_of = group_index(class_names, superclasses)
    likelihood = probabilities[np.arange(n), labels].astype(np.float64)
    correct = answers == labels
    correct5 = (best5 == labels[:, None]).any(axis=1)
    squares = np.square(probabilities.astype(np.float64)).sum(axis=1)
    finite = bool(np.isfinite(probabilities).all())
    table = calibration(probabilities.max(axis=1) if finite else np.zeros(n), correct)
    return Evaluation(
        split=split,
        images=n,
        images_digest=images_digest,
        top1=float(correct.mean()),
        top1_interval=proportion_interval(int(correct.sum()), n),
        top5=float(correct5.mean()),
        top5_interval=proportion_interval(int(correct5.sum()), n),
        superclass_top1=float(confusion[group_of[:, None] == group_of].sum() / n) if superclasses else None,
        unseen=None if seen is None else _unseen(correct, seen),
        # A probability of zero in float32 stands for at most the smallest number above it.
        loss=float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()),
        brier=float((squares - 2 * likelihood + 1).mean()),
        ece=calibration_error(table) if finite else float("nan"),
        ece_interval=calibration_interval(table) if finite else (0.0, 1.0),
        reliability=tuple(
            Bin(images=int(count), confidence=confidence / max(count, 1), accuracy=hits / max(count, 1))
            for count, confidence, hits in table.tolist()
        ),
        classes=class_scores(class_names, confusion),
        superclasses=class_scores(tuple(superclasses), group_counts(confusion, group_of, len(superclasses))),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _unseen(correct: Correct, seen: NDArray[np.bool_]) -> Unseen:
    """Top-1 without the images that train has seen, and what these add."""
    copies, others = correct[seen], correct[~seen]
    counts = int(copies.sum()), len(copies), int(others.sum()), len(others)
    # Top-1 on the whole is the mean of both parts' by their shares, so it is off by this share of their difference. The
    # share is known: it is of the dataset, not of the answers.
    share = len(copies) / len(correct)
    low, high = unpaired_difference_interval(*counts)
    top1 = float(others.mean()) if len(others) else 0.0
    return Unseen(
        seen=len(copies),
        top1=top1,
        top1_interval=proportion_interval(*counts[2:]),
        from_seen=float(correct.mean()) - top1 if len(copies) else 0.0,
        from_seen_interval=(share * low, share * high) if len(copies) else (0.0, 0.0),
    )


def class_scores(names: Sequence[str], confusion: NDArray[np.int64]) -> tuple[ClassScore, ...]:
    """Precision and recall of each class of a confusion matrix int64 [k, k], label by answer."""
    correct, labelled, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassScore(
            name=name,
            images=int(labelled[index]),
            precision=float(correct[index] / max(answered[index], 1)),
            recall=float(correct[index] / max(labelled[index], 1)),
            recall_interval=proportion_interval(int(correct[index]), int(labelled[index])),
        )
        for index, name in enumerate(names)
    )
