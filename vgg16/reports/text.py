"""Numbers as text, written alike everywhere."""

from __future__ import annotations

from collections.abc import Mapping


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A share or an error with its interval, four digits each."""
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"


def number(value: float | None, digits: int = 4) -> str:
    """A metric, "" where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def metric_with_interval(metrics: Mapping[str, float], name: str) -> str:
    """A metric, "" where there is none, with its 95 % interval where that is logged beside it."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    value = number(metrics.get(name))
    return value if low is None else f"{value} ({number(low, 3)} to {number(high, 3)})"
