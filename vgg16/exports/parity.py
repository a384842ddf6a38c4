"""Whether a file that was read back answers as the model does that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Frozen
from vgg16.data.images import Labels, Pixels
from vgg16.errors import RefusedError
from vgg16.exports.metadata import Metadata
from vgg16.exports.records import Parity
from vgg16.statistics import PairedComparison, paired_comparison

if TYPE_CHECKING:
    from vgg16.exports.session import Answered

BATCH = 64
# A first batch of another size, and so many images one by one: what a graph holds of the batch that it was traced with,
# or takes from the batch that it is given, shows there.
FIRST_BATCH = 7
SINGLES = 100
# Images that float files are proven on, spread evenly over the gate: a fault changes the answers to nearly all.
MOST_IMAGES = 2_000

Floats = NDArray[np.float32]
# It is called with how many images are answered, of how many.
OnStep = Callable[[int, int], None]


class Opened(Protocol):
    """A file that is open in its runtime."""

    @property
    def metadata(self) -> Metadata:
        """What it says of itself."""

    def answer(self, images: NDArray[np.uint8]) -> Answered:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n] or None."""


class ParityError(RefusedError):
    """A file does not answer as its model does, or nobody can tell. Exit status 3."""


class Tolerance(Frozen):
    """How far the answers of a file may be from those of its model.

    `probability` is the largest difference of a probability. `unusualness` is the relative error that the unusualness
    behind typicality may have: an image may take any rank among those of `val` that such an error leads to, and one
    more. A fixed number of ranks would be too wide where the scores of `val` lie far apart and too narrow where many
    are equal, as those of near-duplicates are.
    """

    probability: float
    unusualness: float


# Float32 adds in another order: 3e-6 was seen of VGG-16. The distance behind unusualness is what two sums leave that
# are up to a hundred times as large.
FLOAT32 = Tolerance(probability=1e-4, unusualness=1e-3)
# Deep networks amplify rounding: sums in another order then differ by more, in TensorFlow's own SavedModel too.
# So a file may be so many times as far from the model as the model is from its exact answers; 2 was seen.
ROUNDING = 4
# Weights are rounded to 11 bits, a relative error of 5e-4 each: 8e-4 was seen.
FLOAT16 = Tolerance(probability=5e-3, unusualness=2e-2)


@dataclass(frozen=True)
class Expected:
    """What the model itself answers to images: probabilities [n, k] and, where there is a reference of `val`,
    typicality [n], unusualness [n] and the scores of `val`, ascending."""

    probabilities: Floats
    typicality: Floats | None = None
    unusualness: Floats | None = None
    scores: Floats | None = None

    def rows(self, rows: NDArray[np.intp]) -> Expected:
        """Those to some of the images."""

        def of(values: Floats | None) -> Floats | None:
            return None if values is None else values[rows]

        return Expected(self.probabilities[rows], of(self.typicality), of(self.unusualness), self.scores)


def answers_of(ask: Callable[[NDArray[np.uint8]], Answered], images: Pixels, on_step: OnStep) -> Answered:
    """The answers to all images, in batches."""
    probabilities, typicality = [], []
    for batch in _batches(len(images)):
        answered, typical = ask(np.ascontiguousarray(images[batch]))
        probabilities.append(answered)
        if typical is not None:
            typicality.append(typical)
        on_step(batch.stop, len(images))
    return np.concatenate(probabilities), np.concatenate(typicality) if typicality else None


def _batches(count: int) -> Iterator[slice]:
    edges = [0, *range(FIRST_BATCH, count, BATCH), count]
    for start, stop in pairwise(edges):
        if start < stop:
            yield slice(start, stop)


def prove(
    file: Opened,
    expected: Expected,
    images: Pixels,
    tolerance: Tolerance,
    on_step: OnStep = lambda *_: None,
) -> Parity:
    """Ask a file on images in batches and one by one. Raises ParityError where an answer is further from the expected
    one than the tolerance.

    A changed best class needs no rule of its own: it can only change where the two best are closer than twice the
    difference.
    """
    answered = answers_of(file.answer, images, on_step)
    singles = np.linspace(0, len(images) - 1, min(SINGLES, len(images))).astype(np.intp)
    one_by_one = [file.answer(np.ascontiguousarray(images[row : row + 1])) for row in singles.tolist()]
    alone = (
        np.concatenate([probabilities for probabilities, _ in one_by_one]),
        None if answered[1] is None else np.concatenate([typical for _, typical in one_by_one if typical is not None]),
    )
    _check_shapes(file, expected, answered)
    parities = [
        _compare(part, expected.rows(rows), tolerance, how)
        for part, rows, how in (
            (answered, np.arange(len(images)), f"in batches of {BATCH}"),
            (alone, singles, "one by one"),
        )
    ]
    ranks = [parity.typicality_ranks for parity in parities if parity.typicality_ranks is not None]
    return parities[0].model_copy(
        update={
            "singles": len(singles),
            "max_difference": max(parity.max_difference for parity in parities),
            "typicality_ranks": max(ranks) if ranks else None,
        }
    )


def prove_float32(
    file: Opened,
    expected: Expected,
    images: Pixels,
    rounding: Callable[[], float],
    on_step: OnStep = lambda *_: None,
) -> Parity:
    """`prove` a float32 file. Where it is outside the plain tolerance, `rounding` measures how far the model's own
    answers are from exact ones, and ROUNDING times that may be between file and model. Raises ParityError."""
    try:
        return prove(file, expected, images, FLOAT32, on_step)
    except ParityError:
        own = rounding()
        if not ROUNDING * own > FLOAT32.probability:
            raise
    wider = FLOAT32.model_copy(update={"probability": ROUNDING * own})
    return prove(file, expected, images, wider, on_step).model_copy(update={"rounding": own})


def _check_shapes(file: Opened, expected: Expected, answered: Answered) -> None:
    names = file.metadata.class_names
    if answered[0].shape != expected.probabilities.shape or len(names) != expected.probabilities.shape[1]:
        raise ParityError(
            f"The file answers {answered[0].shape} and names {len(names)} classes; the model answers "
            f"{expected.probabilities.shape}."
        )
    if (answered[1] is None) != (expected.typicality is None):
        raise ParityError("Of the file and the model, only one answers typicality.")


def _compare(answered: Answered, expected: Expected, tolerance: Tolerance, how: str) -> Parity:
    probabilities, typicality = answered
    count = len(probabilities)
    difference = float(np.abs(probabilities.astype(np.float64) - expected.probabilities).max())
    same = probabilities.argmax(axis=1) == expected.probabilities.argmax(axis=1)
    # NaN is within nothing.
    if not difference <= tolerance.probability:
        raise ParityError(
            f"The file does not answer as the model does: asked {how} on {count:,} gate images, a probability differs "
            f"by {difference:.2g}, more than {tolerance.probability:g}, and {count - int(same.sum()):,} best classes "
            "are others."
        )
    ranks = None
    if typicality is not None and expected.typicality is not None:
        ranks = _compare_typicality(typicality, expected, tolerance, how)
    return Parity(
        images=count,
        singles=0,
        same_top1=float(same.mean()),
        max_difference=difference,
        typicality_ranks=ranks,
    )


def _compare_typicality(typicality: Floats, expected: Expected, tolerance: Tolerance, how: str) -> float:
    """The largest difference in ranks. Raises ParityError."""
    assert expected.typicality is not None and expected.unusualness is not None  # noqa: S101, PT018  # all or none
    assert expected.scores is not None  # noqa: S101
    of, error = len(expected.scores) + 1, tolerance.unusualness * np.abs(expected.unusualness)
    ranks = np.abs(typicality.astype(np.float64) - expected.typicality) * of
    low, high = (np.searchsorted(expected.scores, expected.unusualness + sign * error) for sign in (-1, 1))
    allowed = high - low + 1.5
    if not (ranks <= allowed).all():
        worst = int(np.argmax(ranks - allowed))
        raise ParityError(
            f"The file does not answer as the model does: asked {how} on {len(ranks):,} gate images, a typicality "
            f"differs by {ranks[worst]:.0f} of {of:,} ranks, more than {allowed[worst]:.0f}."
        )
    return float(ranks.max())


def prove_noninferior(  # noqa: PLR0917  # two models, the images they are compared on, and by which rule
    file: Opened,
    expected: Expected,
    images: Pixels,
    labels: Labels,
    alpha: float,
    margin: float,
    on_step: OnStep = lambda *_: None,
) -> Parity:
    """Ask a file whose answers may differ on all gate images: its top-1 must be at most `margin` below that of the
    float model on the same images, by the gate's rule at `alpha`. Raises ParityError where it is not, and where the
    images are too few to tell, with how many would be enough."""
    answered = answers_of(file.answer, images, on_step)
    _check_shapes(file, expected, answered)
    probabilities, best = answered[0], expected.probabilities.argmax(axis=1)
    own = probabilities.argmax(axis=1)
    comparison = paired_comparison(own == labels, best == labels)
    least, _ = comparison.interval_at(1 - 2 * alpha)
    if not np.isfinite(probabilities).all():
        raise ParityError("The file answers probabilities that are no numbers.")
    if least < -margin:
        raise ParityError(*_inferior(comparison, least, alpha, margin))
    ranks = None
    if answered[1] is not None and expected.typicality is not None and expected.scores is not None:
        ranks = float(np.abs(answered[1] - expected.typicality).max() * (len(expected.scores) + 1))
    return Parity(
        images=len(images),
        singles=0,
        same_top1=float((own == best).mean()),
        max_difference=float(np.abs(probabilities - expected.probabilities).max()),
        typicality_ranks=ranks,
        top1=float((own == labels).mean()),
        float_top1=float((best == labels).mean()),
        least_difference=least,
        margin=margin,
    )


def _inferior(comparison: PairedComparison, least: float, alpha: float, margin: float) -> tuple[str, str]:
    """Message and hint."""
    found = (
        f"on {comparison.images:,} gate images it is {100 * comparison.difference:+.1f} points beside its float model "
        f"({comparison.wins} images won, {comparison.losses} lost), at alpha {alpha:g} at the least "
        f"{100 * least:+.1f}; asked is {100 * -margin:+.1f}"
    )
    needed = images_needed(comparison, alpha, margin)
    if needed is None:
        return f"The int8 file is worse than its float model: {found}.", "Use float16: --quantize float16"
    return (
        f"The gate is too small to tell whether the int8 file is as good as its float model: {found}.",
        f"With {needed:,} gate images it could be told; --quantize float16 needs no more.",
    )


def check_enough(images: int, alpha: float, margin: float) -> None:
    """Raises ParityError for a gate of so few images that even a file with the same answers could not be told to be as
    good."""
    needed = images_needed(PairedComparison(wins=0, losses=0, images=1), alpha, margin)
    if needed is not None and images < needed:
        raise ParityError(
            f"The gate is too small for int8: {images:,} images cannot tell whether a file is at most "
            f"{100 * margin:g} points worse than its float model at alpha {alpha:g}, were all answers the same.",
            f"At least {needed:,} are needed. Use float16, which needs no more: --quantize float16",
        )


def images_needed(comparison: PairedComparison, alpha: float, margin: float) -> int | None:
    """With how many images, were as large a part of them won and lost, the difference would surely be above `-margin`;
    None where no number is enough."""
    won, lost = (count / comparison.images for count in (comparison.wins, comparison.losses))
    if won - lost <= -margin:
        return None

    def enough(images: int) -> bool:
        some = PairedComparison(wins=round(won * images), losses=round(lost * images), images=images)
        return some.interval_at(1 - 2 * alpha)[0] >= -margin

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
