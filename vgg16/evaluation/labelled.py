"""What is said of labelled images as a whole: metrics, classes, what is confused, and whether the model holds."""

from __future__ import annotations

from vgg16.config.types import Frozen, Split
from vgg16.evaluation.holds import Holds, Judged, compare
from vgg16.evaluation.metrics import class_scores
from vgg16.evaluation.tally import Metrics
from vgg16.evaluation.truth import Counted
from vgg16.records import ClassScore

# Of more classes a confusion matrix is listed by what it has, not field by field.
FIELDS = 100


class Confused(Frozen):
    """So many images of a class were answered as another one, or right."""

    label: str
    answer: str
    images: int


class Labelled(Frozen):
    """Images whose true class the source tells, against their answers.

    `metrics` are of all images of classes that the model knows; `new` of those that it has not met: images of its own
    train, val and gate prove nothing new, and `met` counts them. None where there is no such image. `unknown` counts
    images of classes that the model does not know, by class, and `unusual` those of them that typicality flags at 0.01,
    None for a model that has none; `unlabelled` those that the source says nothing of; of images that cannot be read
    `unread` had a label. `confusion` has each pair that occurs, the most frequent ones
    first. `holds` is about the new images, None where nothing can be said, for the `reason`.
    """

    metrics: Metrics | None
    new: Metrics | None
    met: dict[Split, int]
    unknown: dict[str, int]
    unusual: dict[str, int] | None
    unlabelled: int
    unread: int
    classes: tuple[ClassScore, ...]
    confusion: tuple[Confused, ...]
    holds: Holds | None
    reason: str


def labelled(counted: Counted, class_names: tuple[str, ...], judged: Judged | str, unread: int) -> Labelled:
    """What the counts say, beside what the model was judged on, or why that is not known."""
    whole = counted.all
    holds, reason = _holds(counted, class_names, judged)
    pairs = [
        Confused(label=class_names[row], answer=class_names[column], images=int(whole.confusion[row, column]))
        for row, column in zip(*whole.confusion.nonzero(), strict=True)
    ]
    return Labelled(
        metrics=whole.metrics() if whole.images else None,
        new=counted.new.metrics() if counted.new.images else None,
        met=dict(counted.splits),
        unknown=dict(sorted(counted.unknown.items(), key=lambda item: (-item[1], item[0]))),
        unusual=None if counted.unusual is None else {name: counted.unusual.get(name, 0) for name in counted.unknown},
        unlabelled=counted.unlabelled,
        unread=unread,
        classes=class_scores(class_names, whole.confusion),
        confusion=tuple(sorted(pairs, key=lambda pair: (-pair.images, pair.label, pair.answer))),
        holds=holds,
        reason=reason,
    )


def _holds(counted: Counted, class_names: tuple[str, ...], judged: Judged | str) -> tuple[Holds | None, str]:
    if isinstance(judged, str):
        return None, judged
    if not counted.new.images:
        if counted.met.images:
            return None, "the model has met all of these images, so they say nothing of how it holds"
        return None, "no image here has a class that the model knows"
    holds = compare(*counted.new.by_class, judged, class_names)
    if holds is None:
        return None, "no class has images both here and in the gate"
    return holds, holds.reason
