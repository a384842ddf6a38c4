"""Numbers as text, written alike everywhere."""

from __future__ import annotations

from collections.abc import Mapping

from vgg16.config.types import Reviewed

# No line ends between a number and its sign.
_PERCENT = "\N{NO-BREAK SPACE}%"


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A share or an error with its interval, four digits each."""
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"


def difference_with_interval(value: float, interval: tuple[float, float]) -> str:
    """A difference of shares with its interval, four digits each, with signs."""
    return f"{value:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})"


def number(value: float | None, digits: int = 4) -> str:
    """A metric, "" where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def metric_with_interval(metrics: Mapping[str, float], name: str) -> str:
    """A metric, "" where there is none, with its 95 % interval where that is logged beside it."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    value = number(metrics.get(name))
    return value if low is None else f"{value} ({number(low, 3)} to {number(high, 3)})"


def percent(share: float) -> str:
    """A share of 0 to 1 in per cent, one digit after the point."""
    return f"{100 * share:.1f}{_PERCENT}"


def percent_interval(interval: tuple[float, float]) -> str:
    """An interval of shares in per cent, as `48.0 to 89.1 %`."""
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f}{_PERCENT}"


def plural(count: int, word: str, several: str = "") -> str:
    """A count with its word, as `1 class` and `1,000 classes`; the plural is the word with an s unless it is given."""
    return f"{count:,} {word if count == 1 else several or word + 's'}"


def people_changed(reviewed: Reviewed) -> str:
    """How many images of a dataset's version people changed; "" for none."""
    counts = {"dropped": reviewed.dropped, "relabelled": reviewed.relabelled}
    listed = ", ".join(f"{count:,} {done}" for done, count in counts.items() if count)
    return f"People changed {plural(sum(counts.values()), 'image')} of this data: {listed}" if listed else ""


def duration(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 120:
        return plural(round(seconds), "second")
    return plural(round(seconds / 60), "minute") if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def grouped(causes: Mapping[str, str]) -> dict[str, list[str]]:
    """What each cause has happened to."""
    names: dict[str, list[str]] = {}
    for name, cause in causes.items():
        names.setdefault(cause, []).append(name)
    return names


def by_cause(causes: Mapping[str, str]) -> str:
    """Each cause once, behind all that it has happened to."""
    return "; ".join(f"{', '.join(names)}: {cause}" for cause, names in grouped(causes).items())
