"""Entries of studies become studies: their members, each an entry that extends an experiment or a member before it, and
which of them are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from vgg16.config.entries import Mistake, MistakesError, check_name, experiment, extended, row, table
from vgg16.config.lines import KeyPath
from vgg16.config.overrides import MergeError, apply_settings, merge
from vgg16.config.types import Experiment, Frozen, Question, Study
from vgg16.errors import RequestError
from vgg16.suggestions import nearest


class QuestionEntry(Frozen):
    """A question of a study in a file."""

    members: tuple[dict[str, Any], ...] = ()
    """The experiments that answer it: entries with `extends`, a `name` and settings; `extends` may name a member before
    it too."""
    best_of: str = ""
    """An earlier question, whose best member on val is trained again under this question's name."""
    settings: tuple[str, ...] = ()
    """With best_of: what it is trained with, each KEY=VALUE."""
    compared: tuple[tuple[str, str], ...] = ()
    """Pairs whose difference the report gives: members, or questions for the best member of each; without, each member
    and the first."""


class StudyEntry(Frozen):
    """A study in a file."""

    description: str = ""
    """One line for people."""
    dataset: str = ""
    """The dataset of all members; without, that of what they extend."""
    language: Literal["en", "fr"] = "en"
    """Of the report."""
    questions: dict[str, QuestionEntry] = Field(min_length=1)
    """What is asked, in this order."""


def study(
    name: str, entry: Any, by_name: Mapping[str, Experiment], shipped: Mapping[str, Mapping[str, Any]]
) -> tuple[Study, dict[str, KeyPath]]:
    """A study from its entry and, by the names of its members, where each is in the file. `by_name` are the experiments
    that members may extend, `shipped` the entries of studies that it may extend itself. Raises MistakesError."""
    path = ("studies", name)
    check_name(name, path)
    values = dict(table(entry, path))
    base = values.pop("extends", "")
    if base != "" and (not isinstance(base, str) or base not in shipped):
        text, hint = f"there is no shipped study {base!r}.", nearest(str(base), shipped)
        raise MistakesError([Mistake(path=(*path, "extends"), text=text, suggestion=hint)])
    try:
        values = merge(dict(shipped[base]), values) if base else values
    except MergeError as error:
        raise MistakesError([Mistake(path=(*path, *error.path), text=error.text, suggestion=error.hint)]) from None
    fields = row(StudyEntry, values, path)
    members: dict[str, Experiment] = {}
    places: dict[str, KeyPath] = {}
    questions: list[Question] = []
    for title, question in fields.questions.items():
        within = (*path, "questions", title)
        check_name(title, within)
        own = []
        for number, member in enumerate(question.members):
            place = (*within, "members", str(number))
            short, made = _member(member, place, name, fields, {**by_name, **members})
            if short in fields.questions:
                text = f"{short} is the name of a question, and of a member."
                raise MistakesError([Mistake(path=place, text=text, suggestion='Give it another: name = "...".')])
            if short in members:
                other = ".".join(places[f"{name}-{short}"])
                text = f"{short} is the name of two members; the other is {other}."
                raise MistakesError([Mistake(path=place, text=text, suggestion='Give it another: name = "...".')])
            first = next(iter(members.values()), made)
            if made.dataset != first.dataset:
                text = f"{made.name} has other images than {first.name}."
                hint = "The members of a study are compared on the same; say dataset.limit of all or of none."
                raise MistakesError([Mistake(path=(*place, "dataset"), text=text, suggestion=hint)])
            members[short], places[f"{name}-{short}"] = made, place
            own.append(short)
        _check_question(question, own, questions, within)
        _check_settings(question, questions, within)
        pairs = question.compared or _each_with_the_first(title, question, own)
        questions.append(
            Question(
                name=title,
                members=tuple(members[short] for short in own),
                best_of=question.best_of,
                settings=question.settings,
                compared=tuple(
                    _pair(pair, name, members, fields.questions, (*within, "compared", str(number)))
                    for number, pair in enumerate(pairs)
                ),
            )
        )
    described = fields.description or f"{len(members)} experiments, compared"
    return Study(name=name, description=described, questions=tuple(questions), language=fields.language), places


def _member(
    member: Mapping[str, Any], path: KeyPath, study_name: str, fields: StudyEntry, by_name: Mapping[str, Experiment]
) -> tuple[str, Experiment]:
    """The short name of a study's member, and its experiment, which the study's name is put before."""
    base = extended(member, path, by_name)
    short = member.get("name", base)
    if not isinstance(short, str) or not short:
        hint = 'For example: { extends = "digits-scratch", name = "small" }.'
        raise MistakesError([Mistake(path=path, text="names neither extends nor a name.", suggestion=hint)])
    check_name(short, path)
    settings = {key: value for key, value in member.items() if key != "name"}
    if fields.dataset:
        settings["dataset"] = _with_dataset(settings.get("dataset", {}), fields.dataset)
    described = f"{base} in the study {study_name}" if base else short
    # A report compares members on test.
    settings = {"score_test": "always"} | settings
    return short, experiment(f"{study_name}-{short}", settings, by_name.get(base), path, described)


def _with_dataset(choice: Any, name: str) -> Any:
    return {"name": name} | choice if isinstance(choice, dict) else choice


def _check_question(question: QuestionEntry, own: Sequence[str], earlier: Sequence[Question], path: KeyPath) -> None:
    if bool(own) == bool(question.best_of):
        text, hint = "expected members, or best_of an earlier question.", "One of the two says who answers."
        raise MistakesError([Mistake(path=path, text=text, suggestion=hint)])
    answered = [other.name for other in earlier if other.members]
    if question.best_of and question.best_of not in answered:
        text = f"there is no question {question.best_of!r} with members before it."
        hint = nearest(question.best_of, answered)
        raise MistakesError([Mistake(path=(*path, "best_of"), text=text, suggestion=hint)])


def _check_settings(question: QuestionEntry, earlier: Sequence[Question], path: KeyPath) -> None:
    """Raises MistakesError for settings that whoever turns out to be the best could not have."""
    if not question.best_of:
        if question.settings:
            text, hint = "settings belong to best_of.", "Those of a member stand in its entry."
            raise MistakesError([Mistake(path=(*path, "settings"), text=text, suggestion=hint)])
        return
    candidates = next(other.members for other in earlier if other.name == question.best_of)
    for number, setting in enumerate(question.settings):
        place = (*path, "settings", str(number))
        if setting.partition("=")[0].partition(".")[0] in ("dataset", "base"):
            text, hint = f"{setting}: the best is trained again on the same images, from what it started from.", ""
            raise MistakesError([Mistake(path=place, text=text, suggestion=hint or "Set it for the members.")])
        try:
            apply_settings(candidates, [setting])
        except RequestError as error:
            text = error.message.removeprefix("--set ")
            raise MistakesError([Mistake(path=place, text=text, suggestion=error.hint)]) from None


def _each_with_the_first(title: str, question: QuestionEntry, own: Sequence[str]) -> Sequence[tuple[str, str]]:
    return [(title, question.best_of)] if question.best_of else [(other, own[0]) for other in own[1:]]


def _pair(
    pair: tuple[str, str], study_name: str, members: Mapping[str, Experiment], questions: Iterable[str], path: KeyPath
) -> tuple[str, str]:
    """A pair of compared ones by their full names."""
    first, second = (
        f"{study_name}-{short}" if short in members else short if short in questions else "" for short in pair
    )
    for number, (short, full) in enumerate(zip(pair, (first, second), strict=True)):
        if not full:
            text = f"there is no member or question {short!r} up to here."
            hint = nearest(short, [*members, *questions])
            raise MistakesError([Mistake(path=(*path, str(number)), text=text, suggestion=hint)])
    return first, second
