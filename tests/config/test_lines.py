"""The lines of keys in TOML, in every form that keys and values have."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vgg16.config.lines import key_lines, line_of

TEXT = '''# a comment with [brackets] and = signs
title = "one # no comment"

[experiments.mine]  # its table
extends = 'literal "text"'
phases.0.epochs = 5
"quoted key" = 1979-05-27 07:32:00
head = { units = [512, 256], dropout = 0.5 }
long = """
several = "lines"
[not.a.table]
"""
list = [
  "a", # one
  { key = 1 },
  [2,
   3],
]

[[experiments.mine.rows]]
name = "first"
[experiments.mine.rows.inner]
x = 1
[[experiments.mine.rows]]
name = "second"
[a . "b.c"]
d=true
'''
LINES = {
    "title": 2,
    "experiments": 4,
    "experiments/mine": 4,
    "experiments/mine/extends": 5,
    "experiments/mine/phases/0/epochs": 6,
    "experiments/mine/quoted key": 7,
    "experiments/mine/head/units": 8,
    "experiments/mine/head/units/1": 8,
    "experiments/mine/head/dropout": 8,
    "experiments/mine/long": 9,
    "experiments/mine/list": 13,
    "experiments/mine/list/0": 14,
    "experiments/mine/list/1/key": 15,
    "experiments/mine/list/2/1": 17,
    "experiments/mine/rows/0": 20,
    "experiments/mine/rows/0/name": 21,
    "experiments/mine/rows/0/inner/x": 23,
    "experiments/mine/rows/1": 24,
    "experiments/mine/rows/1/name": 25,
    "a/b.c": 26,
    "a/b.c/d": 27,
}


def paths(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The paths of all keys and values of arrays that tomllib reads."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {prefix} - {()} | {path for key, inner in pairs for path in paths(inner, (*prefix, str(key)))}


def test_every_key_has_its_line_and_there_are_no_others() -> None:
    lines = key_lines(TEXT)
    assert set(lines) == paths(tomllib.loads(TEXT))
    assert {path: lines[tuple(path.split("/"))] for path in LINES} == LINES


def test_a_path_that_the_text_lacks_is_at_the_nearest_one_above() -> None:
    lines = key_lines(TEXT)
    assert line_of(("experiments", "mine", "head", "dropout", "deeper"), lines) == 8
    assert line_of(("experiments", "other"), lines) == 4
    assert line_of(("nothing",), lines) == 1
    assert key_lines("") == {}


VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text("ab\"'\\#[]{}=,.\n ", max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab_-1", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[\n" + "".join(f"{written(inner)},\n" for inner in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(inner)}" for key, inner in value.items()) + "}"
    return str(value)


@given(st.dictionaries(st.text("ab_-1", min_size=1), VALUES, max_size=4))
def test_the_paths_of_any_tables_are_those_that_tomllib_reads(tables: dict[str, Any]) -> None:
    text = "".join(f"# {key}\n{key} = {written(value)}\n" for key, value in tables.items())
    lines = key_lines(text)
    assert set(lines) == paths(tomllib.loads(text))
    for key in tables:
        assert text.splitlines()[lines[key,] - 1].startswith(f"{key} =")
