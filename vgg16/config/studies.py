"""A study as it was asked for: its row of the catalog with the settings, and what follows from an answer. Trains
nothing, and knows no run."""

from __future__ import annotations

from pydantic import ValidationError

from vgg16.config import canonical, catalog
from vgg16.config.overrides import apply_settings
from vgg16.config.types import Experiment, Question, Study
from vgg16.errors import RequestError


def choose(name: str, overrides: list[str]) -> tuple[Study, list[str]]:
    """The study with its settings, and notes on members that a setting does not fit.

    A setting reaches every member that it fits; one whose key begins with a member's name, such as
    `course-mobilenetv2.base=PATH`, that one alone. `base` is for the members that have one and the network of the
    study's first member: weights are of one network. `language` is the report's. Raises RequestError.
    """
    row = catalog.study(name)
    notes: list[str] = []
    # Whether another setting fits may follow from the base.
    for setting in sorted(overrides, key=lambda each: not each.partition("=")[0].endswith("base")):
        key, _, value = setting.partition("=")
        if key == "language":
            row = _in_language(row, value)
            continue
        only, _, rest = key.partition(".")
        row, found = _with(row, f"{rest}={value}", only) if only in _names(row) else _with(row, setting)
        notes += found
    for question in row.questions:
        if question.best_of:
            follow(question, next(each for each in row.questions if each.name == question.best_of).members[0], row)
    return row, notes


def follow(question: Question, best: Experiment, study: Study) -> Experiment:
    """The member of a question that follows from the best one of another."""
    (found,), _ = apply_settings([best], list(question.settings))
    about = f"the best on val of {question.best_of}: {best.name}"
    return found.model_copy(update={"name": _follower(study, question), "description": about})


def request_of(study: Study, dataset_digest: str) -> str:
    """What identifies a study: its members with all settings, and the data. 32 hexadecimal digits."""
    return canonical.study_digest(study, dataset_digest)


def _follower(study: Study, question: Question) -> str:
    return f"{study.name}-{question.name}"


def _names(study: Study) -> list[str]:
    return [each.name for each in study.members] + [_follower(study, each) for each in study.questions if each.best_of]


def _in_language(study: Study, value: str) -> Study:
    try:
        return Study.model_validate(study.model_dump() | {"language": value})
    except ValidationError:
        raise RequestError(f"--set language: expected en or fr, found {value!r}.") from None


def _with(study: Study, setting: str, only: str = "") -> tuple[Study, list[str]]:
    """The study with one setting, for all or `only` one member, and a note where it does not fit some of them."""
    key, _, value = setting.partition("=")
    misfits: dict[str, RequestError] = {}
    reached = 0

    def member(each: Experiment) -> Experiment:
        nonlocal reached
        if only not in ("", each.name) or (key == "base" and each.base is None and not only):
            return each
        reached += 1
        try:
            if key == "base" and not only:
                _same_network(each, study.members[0])
            (changed,), _ = apply_settings([each], [setting])
            catalog.check(changed)
            return changed
        except RequestError as error:
            misfits[each.name] = error
            return each

    def question(each: Question) -> Question:
        settings = each.settings
        if only == _follower(study, each):
            settings = (*settings, setting)
        elif not only:
            # What everybody is told stands in for what this question would say.
            settings = tuple(own for own in settings if own.partition("=")[0] != key)
        return each.model_copy(update={"members": tuple(map(member, each.members)), "settings": settings})

    found = study.model_copy(update={"questions": tuple(map(question, study.questions))})
    if misfits and len(misfits) == reached:
        raise max(misfits.values(), key=lambda error: bool(error.hint))
    by_reason: dict[str, list[str]] = {}
    for name, error in misfits.items():
        reason = error.message.removeprefix(f"{name}: ").replace(f" in {name}", "")
        by_reason.setdefault(reason, []).append(name)
    told = f"--set {key}={value} was left out for"
    return found, [f"{told} {', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def _same_network(member: Experiment, first: Experiment) -> None:
    if member.backbone.name != first.backbone.name:
        raise RequestError(
            f"weights of {first.backbone.name} do not fit {member.backbone.name}; it keeps its own base, "
            f"{member.base}, unless --set {member.name}.base=PATH"
        )
