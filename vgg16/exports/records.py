"""What is written down of an exported file, and read by processes that prove none."""

from __future__ import annotations

from vgg16.config.types import Frozen


class Parity(Frozen):
    """What was proven of a file on gate images: on how many, `singles` of them one by one too; the share of them whose
    best class is the same, 0 to 1, and the largest difference of a probability.

    `typicality_ranks` is the largest difference of a typicality in ranks of `val`, None where there is none. Of an int8
    file: its top-1 on the gate and that of the float model, and the least that the difference of both may be, with the
    margin that it may not pass. `rounding` is how far the model's own float32 answers are from exact ones, where that
    was measured because the file's are further from them than the plain tolerance.
    """

    images: int
    singles: int
    same_top1: float
    max_difference: float
    typicality_ranks: float | None = None
    top1: float | None = None
    float_top1: float | None = None
    least_difference: float | None = None
    margin: float | None = None
    rounding: float | None = None
