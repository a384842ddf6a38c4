"""Runs side by side, a column each; where a terminal has no room for that, runs as rows under a letter each, and what
differs between them by the letters of the runs that have it."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

from vgg16.cli.layout import tables
from vgg16.reports.text import metric_with_interval, number

_METRICS = (
    "best_val_top1",
    "gate_top1",
    "gate_top1_unseen",
    "gate_top1_from_seen",
    "test_top1",
    "test_top1_unseen",
    "test_top1_from_seen",
    "test_top5",
    "test_loss",
    "train_seconds",
    "images_per_s",
)
# By what two narrow tables call them, and the digits after the point where no interval stands beside it.
_SHARES = {"best_val_top1": ("best val top-1", 4), "gate_top1": ("gate top-1", 4), "test_top1": ("test top-1", 4)}
_OTHERS = {
    "test_top5": ("test top-5", 4),
    "test_loss": ("test loss", 4),
    "train_seconds": ("seconds", 0),
    "images_per_s": ("images/s", 0),
}
# Without the images that train has seen, and what these add: only where a run has that.
_COPIES = {
    "gate_top1_unseen": ("gate, unseen", 4),
    "test_top1_unseen": ("test, unseen", 4),
    "test_top1_from_seen": ("test: seen add", 4),
}
_UNSEEN = {"gate_top1_from_seen", *_COPIES}

Run = dict[str, Any]


def lines(runs: list[Run], width: int | None) -> list[str]:
    """What differs between runs, and what came out of them, in at most `width` columns; None for any number."""
    settings = _differing(runs)
    beside = _beside(runs, settings)
    return tables.lines(beside, width) if tables.fit(beside, width) else _below(runs, settings, width or 0)


def _differing(runs: list[Run]) -> list[str]:
    keys = {key for run in runs for key in run["params"]} - {"name", "description"}
    return sorted(key for key in keys if len({run["params"].get(key, "") for run in runs}) > 1)


def _known(runs: list[Run]) -> list[str]:
    return [key for key in _METRICS if key not in _UNSEEN or any(key in run["metrics"] for run in runs)]


def _beside(runs: list[Run], settings: list[str]) -> list[dict[str, str]]:
    rows: dict[str, list[str]] = {"run": [run["run_id"][:8] for run in runs]}
    rows |= {key: [run["params"].get(key, "") for run in runs] for key in settings}
    rows |= {key: [metric_with_interval(run["metrics"], key) for run in runs] for key in _known(runs)}
    rows |= {key: [run[key] for run in runs] for key in ("status", "model", "verdict")}
    names = [run["name"] for run in runs]
    return [{"": key, **dict(zip(names, values, strict=True))} for key, values in rows.items()]


def _below(runs: list[Run], settings: list[str], width: int) -> list[str]:
    # More runs than letters are told apart by the beginnings of their ids.
    marks = list(ascii_letters) if len(runs) <= len(ascii_letters) else [run["run_id"][:8] for run in runs]
    marked = list(zip(marks, runs, strict=False))
    who = [
        {"": mark, "name": run["name"], "run": run["run_id"][:8]}
        | {key: run[key] for key in ("status", "model", "verdict")}
        for mark, run in marked
    ]
    values = [{"differs": key, "value: runs": _groups(key, marked)} for key in settings]
    parts = [
        tables.lines(who, width, whole=("name",)),
        *(
            tables.lines([{"": mark} | _metrics(run["metrics"], shown) for mark, run in marked], width)
            for shown in (_SHARES, {key: _COPIES[key] for key in _COPIES if key in _known(runs)}, _OTHERS)
            if shown
        ),
        tables.lines(values, width) if values else [],
    ]
    return [line for part in parts if part for line in ("", *part)][1:]


def _metrics(metrics: dict[str, float], shown: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {
        name: metric_with_interval(metrics, key) if f"{key}_low" in metrics else number(metrics.get(key), digits)
        for key, (name, digits) in shown.items()
    }


def _groups(key: str, marked: list[tuple[str, Run]]) -> str:
    """The values of a setting, each with the runs that have it."""
    groups: dict[str, list[str]] = {}
    for mark, run in marked:
        groups.setdefault(run["params"].get(key, "-"), []).append(mark)
    return "; ".join(f"{value}: {' '.join(marks)}" for value, marks in groups.items())
