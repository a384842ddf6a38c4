"""Numbers as text, written alike everywhere."""

from __future__ import annotations

from vgg16.statistics import Interval


def with_interval(value: float, interval: Interval) -> str:
    """A share or an error with its interval, four digits each."""
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"
