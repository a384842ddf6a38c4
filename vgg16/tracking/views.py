"""Ready-made views of an experiment in the MLflow UI: which runs, columns and charts it opens with. Plain data.

A view is the value of an experiment's tag, in the form that the UI's own `Views > Save current view` writes (MLflow
3.17, `savedViewEnvelope.ts`). The address of a page names the view, and the menu `Views` lists it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# An experiment's tag, followed by the view's key, and the parameter of an address that names the key.
TAG = "mlflow.sharedViewState."
PARAMETER = "viewStateShareKey"
ALL, LAST = "vgg16-all", "vgg16-last"
# Each with its width in pixels, in this order.
COLUMNS = {
    "tags.`vgg16.experiment`": 140,
    "tags.`vgg16.verdict`": 100,
    "tags.`vgg16.model`": 120,
    "metrics.`best_val_top1`": 115,
    "metrics.`gate_top1`": 100,
    "metrics.`test_top1`": 100,
    "params.`phases.0.optimizer.learning_rate`": 220,
    "params.`phases.0.optimizer.name`": 190,
    "params.`backbone.batch_norm`": 175,
    "attributes.`Duration`": 90,
}
_CURVES = ("val_top1", "val_loss", "train_loss")
_BARS = ("best_val_top1", "test_top1", "images_per_s")
_AXES = ("phases.0.optimizer.learning_rate", "phases.0.optimizer.name", "backbone.batch_norm")
# More lines than these between axes cannot be followed by the eye.
_MOST_AXES = 6
# Parameters that are words about a run.
_WORDS = ("name", "description")
_PIXELS = 130
_EPOCHS = {"xAxisKey": "step", "useGlobalXaxisKey": False, "lineSmoothness": 0, "useGlobalLineSmoothing": False}
_DIFFERENCES = {
    "chartName": "Settings that differ",
    "compareGroups": ["Parameters"],
    "showDifferencesOnly": True,
    "showChangeFromBaseline": False,
}
# In the order of the page. What no chart here shows, MLflow puts into the last two, its own, which are folded.
_SECTIONS: tuple[dict[str, Any], ...] = (
    {"name": "What differs", "columns": 1},
    {"name": "Results"},
    {"name": "Curves"},
    {"name": "Settings", "columns": 1},  # narrower, its axes lose their names
    {"name": "Model metrics", "display": False},
    {"name": "System metrics", "display": False},
)
# So many runs are drawn at first; the others are listed, and drawn by their eye.
_DRAWN = 20
# Okabe and Ito's: colour-blind people tell them apart too.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")


def complete(chain: str = "") -> str:
    """The UI's filter for complete runs, where given for those of one chain."""
    every = "tags.`vgg16.status` != ''"
    return f"{every} and tags.`vgg16.chain` = '{chain}'" if chain else every


def differing(params: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The settings that all runs have and by which they differ, those that people compare by first; none where they
    are alike. A run without a setting would be drawn on no axis of any."""
    shared = set[str].intersection(*map(set, params)) if params else set()
    keys = [*(key for key in _AXES if key in shared), *sorted(shared - {*_AXES, *_WORDS})]
    return tuple(key for key in keys if len({each[key] for each in params}) > 1)


def view(name: str, runs: str, place: int, apart: Sequence[str] = ()) -> str:
    """The tag's value of a view of this name over the runs of a filter; the menu lists the largest `place` first.
    `apart` are the settings by which these runs differ, where that is known: its columns and axes."""
    settings = {f"params.`{key}`": _PIXELS for key in apart[:_MOST_AXES]}
    columns = {key: width for key, width in COLUMNS.items() if not (apart and key.startswith("params."))} | settings
    lines = {"selectedParams": apart[:_MOST_AXES] or _AXES, "selectedMetrics": ["best_val_top1"], "showAllRuns": True}
    charts: list[dict[str, Any]] = [
        *([_chart("DIFFERENCE", "What differs", **_DIFFERENCES)] if apart else []),
        *(_chart("LINE", "Curves", metricKey=each, selectedMetricKeys=[each], **_EPOCHS) for each in _CURVES),
        _chart("PARALLEL", "Settings", **lines),
        *(_chart("BAR", "Results", metricKey=each) for each in _BARS),
    ]
    state = {
        "searchFilter": runs,
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": columns,
        "runsHiddenMode": f"FIRST_{_DRAWN}_RUNS",
        "compareRunCharts": [chart | {"uuid": f"vgg16-{index}"} for index, chart in enumerate(charts)],
        "compareRunSections": [
            {"uuid": each["name"], "display": True, "isReordered": True, **each}
            for each in (_SECTIONS if apart else _SECTIONS[1:])
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    return json.dumps({"name": name, "createdAt": place, "state": json.dumps(state)})


def _chart(kind: str, section: str, **settings: Any) -> dict[str, Any]:
    every = {"deleted": False, "isGenerated": False, "runsCountToCompare": _DRAWN}
    return {"type": kind, "metricSectionId": section, **every, **settings}
