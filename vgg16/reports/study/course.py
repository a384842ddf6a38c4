"""The course's own words. They are true of its own settings alone, so each is looked up only where the study is the
course as it ships and the settings that the text speaks of are its own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from vgg16.config import catalog, studies
from vgg16.config.types import Experiment, Question, Study
from vgg16.reports.study.compare import Result, best
from vgg16.reports.study.differences import Difference, settings

NAME = "course"


@cache
def course_texts(language: str) -> dict[str, str]:
    """The course's texts of a language, by their keys."""
    return tomllib.loads(_read(f"course.{language}.toml"))


@cache
def conditions() -> dict[str, dict[str, Any]]:
    """By the keys of the course's texts: the settings that each speaks `of`, and those that a change `covers`."""
    return {key: row for key, row in tomllib.loads(_read("course.toml")).items() if key != "direction"}


@cache
def directions() -> dict[str, dict[str, Any]]:
    """By the settings that the course changes: the values `one` and `other` that its words are about."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(_read("course.toml"))["direction"]
    return rows


def _read(name: str) -> str:
    return files("vgg16.reports.study").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Course:
    """The course's members by their names, as they ship and as they follow from the best ones; and its questions."""

    members: Mapping[str, Experiment]
    questions: Mapping[str, Question]

    def allows(self, key: str, about: Iterable[Experiment]) -> bool:
        """Whether the course's text of this key is true of these members."""
        return key in conditions() and all(self._owns(experiment, conditions()[key]["of"]) for experiment in about)

    def changes(self, key: str, differences: Sequence[Difference]) -> bool:
        """Whether the text of this key is about the first of these differences, in its direction, and about those of
        the others that it covers."""
        by_key = {difference.key: difference for difference in differences}
        first = differences[0].key
        wanted = {first: directions().get(first)} | covered(key)
        return all(_goes(by_key.get(setting), direction) for setting, direction in wanted.items())

    def asks(self, question: Question) -> bool:
        """Whether a question trains its best one with the course's own settings."""
        return self.questions[question.name].settings == question.settings

    def _owns(self, experiment: Experiment, keys: Sequence[str]) -> bool:
        shipped = self.members.get(experiment.name)
        return shipped is not None and all(_part(experiment, key) == _part(shipped, key) for key in keys)


def course_of(study: Study, results: Sequence[Result]) -> Course | None:
    """The course, where this study is it: the same questions, members and comparisons, whatever their settings."""
    if study.name != NAME:
        return None
    shipped = catalog.SHIPPED.studies[NAME]
    if [_shape(question) for question in study.questions] != [_shape(question) for question in shipped.questions]:
        return None
    members = {member.name: member for member in shipped.members}
    for question in shipped.questions:
        chosen = best(result for result in results if result.question == question.best_of)
        if chosen and chosen.name in members:
            follower = studies.follow(question, members[chosen.name], shipped)
            members[follower.name] = follower
    return Course(members, {question.name: question for question in shipped.questions})


def covered(key: str) -> dict[str, dict[str, Any]]:
    """The settings that the course's text of this key tells of beside its own, with their values."""
    covers: dict[str, dict[str, Any]] = conditions().get(key, {}).get("covers", {})
    return covers


def _goes(difference: Difference | None, direction: Mapping[str, Any] | None) -> bool:
    if difference is None or direction is None:
        return False
    values = {"one": _toml(difference.one), "other": _toml(difference.other)}
    return all(values[side] == value for side, value in direction.items())


def _shape(question: Question) -> tuple[object, ...]:
    return question.name, question.best_of, question.compared, tuple(member.name for member in question.members)


def _toml(value: Any) -> Any:
    """A value as TOML writes it, which has no tuples and nothing that is none."""
    if isinstance(value, tuple):
        return [_toml(part) for part in value]
    return "none" if value is None else value


def _part(experiment: Experiment, path: str) -> dict[str, Any]:
    return {key: value for key, value in settings(experiment).items() if key == path or key.startswith(f"{path}.")}
