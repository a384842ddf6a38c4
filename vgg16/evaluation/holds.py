"""Whether a model is still as good as when it was judged, on labelled images that came later: a verdict with known
error rates, from counts alone.

Other images than those of the gate, so the comparison is not paired: chance moves both. It is made class by class, so
that a harder mix of the same classes is no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vgg16.config.types import Frozen, GateRules
from vgg16.evaluation.strata import Counts, Strata
from vgg16.statistics import Interval


class Holds(Frozen):
    """Whether a model holds, on `images` here beside `gate_images` on which it was judged, of the classes that both
    have; without the classes in `left_out`, of which one of both has no image.

    `worse`: less is surely answered right, at most one of 1 / `alpha` models that are as good as ever is called so.
    `holds`: surely no more than `least_effect` was lost, with the same chance to be wrong. Else `undecided`. `top1` and
    `gate_top1` are on the same mix of classes where `by_class`, `difference` is the first less the second and
    `interval` its interval of confidence 1 - 2 `alpha`; all are shares, 0 to 1.

    A loss of `detectable` is found with a chance of 0.8. With `needed` images here in the same mix, a model that lost
    nothing is shown to hold with that chance: None where no number is enough, for the gate has too few.
    """

    verdict: Literal["holds", "worse", "undecided"]
    images: int
    top1: float
    gate_images: int
    gate_top1: float
    by_class: bool
    difference: float
    interval: Interval
    alpha: float
    least_effect: float
    detectable: float
    needed: int | None
    left_out: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        low, high = self.interval
        mix = " on the same mix of classes" if self.by_class else ""
        compared = (
            f"{_points(self.difference)} points ({_points(low)} to {_points(high)}, alpha {self.alpha:g}): top-1 "
            f"{self.top1:.4f} of {self.images:,} images here, {self.gate_top1:.4f} of {self.gate_images:,} gate images"
            f"{mix}"
        )
        least = f"{100 * self.least_effect:g} points"
        if self.verdict == "worse":
            return f"worse than when it was judged: {compared}"
        if self.verdict == "holds":
            return f"as good as when it was judged, to less than {least}: {compared}"
        return (
            f"not shown to be worse, nor to have lost less than {least}: {compared}. A loss of "
            f"{100 * self.detectable:.1f} points would have been found with a chance of 80 %. {self._wanted(least)}"
        )

    def _wanted(self, least: str) -> str:
        if self.needed is None:
            return (
                f"No number of images can show a loss below {least}: the {self.gate_images:,} of the gate are too few"
            )
        return f"To show that less than {least} were lost takes about {_round(self.needed)} images like these"


@dataclass(frozen=True)
class Judged:
    """What a model was judged on: the rules, and of each of its classes the right answers and the images on gate, int64
    [k] both; of one class that stands for all where no more is known."""

    rules: GateRules
    right: Counts
    images: Counts


def compare(right: Counts, images: Counts, judged: Judged, class_names: tuple[str, ...]) -> Holds | None:
    """Right answers and images of each class, int64 [k], beside what the model was judged on; None where no class has
    images in both."""
    by_class = len(judged.images) == len(images)
    here = (right, images) if by_class else (right.sum(keepdims=True), images.sum(keepdims=True))
    there = judged.right, judged.images
    strata = Strata.of(here, there)
    if not len(strata.images):
        return None
    alpha, least = judged.rules.alpha, judged.rules.noninferiority_margin
    low, high = strata.interval(1 - 2 * alpha)
    top1, gate_top1 = strata.top1
    verdict: Literal["holds", "worse", "undecided"] = "worse" if high < 0 else "undecided"
    return Holds(
        verdict="holds" if low >= -least else verdict,
        images=int(strata.images.sum()),
        top1=top1,
        gate_images=int(strata.other_images.sum()),
        gate_top1=gate_top1,
        by_class=by_class,
        difference=strata.difference,
        interval=(low, high),
        alpha=alpha,
        least_effect=least,
        detectable=strata.detectable(alpha),
        needed=strata.needed(alpha, least),
        left_out=tuple(
            name
            for name, mine, other in zip(class_names, images.tolist(), judged.images.tolist(), strict=False)
            if by_class and (mine > 0) != (other > 0)
        ),
    )


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _round(number: int) -> str:
    """A number of two digits and zeros, as an estimate is told."""
    return f"{float(f'{number:.1e}'):,.0f}"
