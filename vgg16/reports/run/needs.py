"""Which classes want more images, and how many: a class that is surely harder than the rest, and one that so few images
of the split leave open. Plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from scipy.stats import hypergeom

from vgg16.records import ClassScore, Evaluation
from vgg16.statistics import holm

Kind = Literal["harder", "open"]
# An interval of recall wider than this leaves open what the class is like.
WIDE = 0.2
# The chance that of a network that is equally good at all classes any is called harder, at most.
HARDER_ALPHA = 0.05


@dataclass(frozen=True)
class Need:
    """A class that wants more images: `harder` than the rest, its recall surely below that of all `others` together,
    0 to 1, or `open`, what its recall is. So many `more` of it in the split would halve its interval, were they
    answered alike."""

    score: ClassScore
    kind: Kind
    others: float
    more: int


def needs(evaluation: Evaluation) -> list[Need]:
    """The classes of a split that want more images: first those that are harder than the others, then those that are
    open, of each the lowest interval first. A class without an image in the split is neither."""
    scores = [score for score in evaluation.classes if score.images]
    names = harder(scores)
    kinds: dict[str, Kind] = {score.name: "open" for score in scores if _width(score) > WIDE}
    kinds |= dict.fromkeys(names, "harder")
    listed = sorted(scores, key=lambda score: (score.name not in names, score.recall_interval))
    return [
        Need(score, kinds[score.name], _share_of_others(score, scores), images_to_halve(correct(score), score.images))
        for score in listed
        if score.name in kinds
    ]


def harder(scores: Sequence[ClassScore]) -> list[str]:
    """The classes whose recall is surely below that of all others together, of so many images each: Fisher's exact
    test, one-sided, at a level that Holm's procedure holds for all classes together."""
    total, right = sum(score.images for score in scores), sum(correct(score) for score in scores)
    p_values = {
        # So few right answers, or fewer, among the images of the class, drawn out of all.
        score.name: float(hypergeom.cdf(correct(score), total, right, score.images))
        for score in scores
    }
    return holm(p_values, HARDER_ALPHA)


def correct(score: ClassScore) -> int:
    """How many images of a class are answered right."""
    return round(score.recall * score.images)


def images_to_halve(count: int, images: int) -> int:
    """So many images more halve the 95 % interval of `count` in `images` where the share stays: Wilson's formula, whose
    half width falls with every image."""
    share, goal = count / images, half_width(count / images, images) / 2
    least, most = images, 2 * images
    while half_width(share, most) > goal:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if half_width(share, middle) > goal else (least, middle)
    return most - images


def half_width(share: float, images: int) -> float:
    """Half the width of Wilson's 95 % interval of a share, 0 to 1, of so many images."""
    z = NormalDist().inv_cdf(0.975)
    return z / (images + z**2) * math.sqrt(images * share * (1 - share) + z**2 / 4)


def _share_of_others(score: ClassScore, scores: Sequence[ClassScore]) -> float:
    images = sum(other.images for other in scores) - score.images
    right = sum(correct(other) for other in scores) - correct(score)
    return right / images if images else 0.0


def _width(score: ClassScore) -> float:
    low, high = score.recall_interval
    return high - low
