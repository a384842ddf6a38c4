"""Experiments written as a project file, in full: what a run keeps, and what a later `vgg16.toml` may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from vgg16.config.types import Experiment


def project_file(experiments: Iterable[Experiment], shipped: Iterable[str]) -> str:
    """A project file of these experiments with all their settings; what is shipped by the same name is `my-NAME`."""
    rows, theirs = list(experiments), set(shipped)
    taken = theirs | {row.name for row in rows}
    entries = []
    for row in rows:
        name = row.name
        while name in taken and row.name in theirs:
            name = f"my-{name}"
        entries.append(_entry(name, row.model_dump(mode="json")))
    return "\n".join(entries)


def _entry(name: str, values: Mapping[str, Any]) -> str:
    head = f"experiments.{name}"
    lines = [f"[{head}]"]
    lines += [f"{key} = {_value(value)}" for key, value in values.items() if key not in ("name", "phases")]
    for phase in values["phases"]:
        lines += [f"[[{head}.phases]]", *(f"{key} = {_value(value)}" for key, value in phase.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's texts are TOML's but for the letter DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
