"""A fact before and now, drawn small: two histograms over each other, as SVG of a page."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

BINS = 30
WIDTH, HEIGHT = 240, 56
# The rarest pictures would make the others one column.
_OUTER = 0.002


def histograms(before: NDArray[np.floating], now: NDArray[np.floating]) -> Markup:
    """The shares of the pictures in equally wide bins, before as an area and now as a line; what is beyond all but the
    rarest pictures of both is counted in the outermost bins."""
    ends = [np.quantile(values, [_OUTER, 1 - _OUTER]) for values in (before, now)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values) for values in (before, now)]
    top = max(share.max() for share in shares)
    area, line = (_steps(share / top) for share in shares)
    return Markup(  # noqa: S704  # of numbers alone
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<path class="before" d="M0 {HEIGHT}{area}L{WIDTH} {HEIGHT}Z"/><path class="now" d="M0 {HEIGHT}{line}"/></svg>'
    )


def _steps(heights: NDArray[np.float64]) -> str:
    width = WIDTH / len(heights)
    return "".join(
        f"L{at * width:.1f} {HEIGHT - 1 - height * (HEIGHT - 3):.1f}H{(at + 1) * width:.1f}"
        for at, height in enumerate(heights)
    )
