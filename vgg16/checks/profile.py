"""The profile of a user's own dataset, from the facts of one version of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from vgg16.checks import facts_file
from vgg16.checks.facts import SPREADS
from vgg16.config.types import MEASURES, Profile

# A first version whose images are all alike in a measure, such as gray ones in colour, does not bind later ones to that
# exactly: one level of 255; of the labels' signal a fifth of what photographs have.
LEAST_SPREADS = dict.fromkeys(MEASURES, 1.0) | {"label_signal": 0.1}
COLUMNS = (*MEASURES, *SPREADS)


def measured(facts: Path) -> Profile:
    """The profile of all images of a Parquet file of facts."""
    rows = (row for part in facts_file.rows(facts, COLUMNS) for row in part)
    return of((1, dict(zip(COLUMNS, row, strict=True))) for row in rows)


def of(parts: Iterable[tuple[int, Mapping[str, float]]]) -> Profile:
    """The mean of each of MEASURES over all images and the standard deviation among them, from COLUMNS of parts of so
    many images."""
    images, sums, squares = 0, dict.fromkeys(MEASURES, 0.0), dict.fromkeys(MEASURES, 0.0)
    for count, values in parts:
        images += count
        for name in MEASURES:
            sums[name] += count * values[name]
            squares[name] += count * values[f"{name}_spread"] ** 2
    spreads = {name: max(math.sqrt(squares[name] / images), LEAST_SPREADS[name]) for name in MEASURES}
    typical = {name: (_rounded(sums[name] / images), _rounded(spreads[name])) for name in MEASURES}
    return Profile.model_validate({"images": images, **typical})


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1 else round(value, 3)
