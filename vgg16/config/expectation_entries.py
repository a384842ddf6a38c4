"""Expectations of a user's own datasets, in a file: what Great Expectations would refuse only later is refused with its
line."""

from __future__ import annotations

from collections.abc import Iterator

from vgg16.config.entries import Mistake, MistakesError
from vgg16.config.lines import KeyPath
from vgg16.config.overrides import short
from vgg16.config.types.facts import EXPECTATIONS, FACTS, TEXTS, Expectation
from vgg16.suggestions import nearest

_VALUES = ("min_value", "max_value", "value_set", "mostly")


def check(expectations: tuple[Expectation, ...], path: KeyPath) -> None:
    """Raises MistakesError for a type or column that there is not, and for values that do not go with the type."""
    mistakes = [
        mistake
        for number, expectation in enumerate(expectations)
        for mistake in _mistakes(expectation, (*path, str(number)))
    ]
    if mistakes:
        raise MistakesError(mistakes)


def _mistakes(expectation: Expectation, path: KeyPath) -> Iterator[Mistake]:
    kind = EXPECTATIONS.get(expectation.type)
    if kind is None:
        text = f"there is no expectation {short(expectation.type)}."
        yield Mistake(path=(*path, "type"), text=text, suggestion=nearest(expectation.type, list(EXPECTATIONS)))
        return
    yield from _column(expectation, path)
    takes = ", ".join(kind.takes)
    for name in sorted(expectation.model_fields_set & set(_VALUES) - set(kind.takes)):
        text = f"{expectation.type} has no {name}."
        yield Mistake(path=(*path, name), text=text, suggestion=f"It takes {takes}.")
    low, high = expectation.min_value, expectation.max_value
    if "value_set" in kind.takes and not expectation.value_set:
        yield Mistake(path=path, text="expected value_set.", suggestion='For example: value_set = ["a", "b"].')
    if "min_value" in kind.takes and low is None and high is None:
        yield Mistake(path=path, text="expected min_value, max_value or both.", suggestion=f"It takes {takes}.")
    if low is not None and high is not None and low > high:
        text = f"expected no more than max_value, {high:g}, found {low:g}."
        yield Mistake(path=(*path, "min_value"), text=text, suggestion="Exchange the two.")


def _column(expectation: Expectation, path: KeyPath) -> Iterator[Mistake]:
    """What is wrong with its column."""
    kind, column = EXPECTATIONS[expectation.type], expectation.column
    place = (*path, "column")
    if "{column}" not in kind.sentence:
        if column:
            yield Mistake(path=place, text=f"{expectation.type} has no column.", suggestion="It is about all images.")
    elif column not in FACTS:
        text = f"there is no fact {short(column)}." if column else "expected a column."
        yield Mistake(path=place, text=text, suggestion=nearest(column, FACTS))
    elif kind.numbers and column in TEXTS:
        numbers = ", ".join(name for name in FACTS if name not in TEXTS)
        text = f"expected a column of numbers, found {column}."
        yield Mistake(path=place, text=text, suggestion=f"They are {numbers}.")
