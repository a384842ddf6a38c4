"""A study with its settings: its row of the catalog, and the members that follow from the best of another question.
Trains nothing, and knows no run."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from vgg16.config import canonical, catalog
from vgg16.config.catalog import Catalog
from vgg16.config.overrides import SettingError, apply_settings, renamed
from vgg16.config.types import Experiment, Question, Study
from vgg16.errors import RequestError


def choose(
    requested: str | Study, overrides: Sequence[str], rows: Catalog = catalog.SHIPPED
) -> tuple[Study, list[str]]:
    """The study, a shipped one by its name, with its settings, and notes on keys that have another name now and on
    members that a setting does not fit.

    A setting reaches every member that it fits; one whose key begins with a member's name, such as
    `course-mobilenetv2.base=PATH`, that one alone. `base` is for the members that have one and the network of the
    study's first member: weights are of one network. `language` is the report's. `rows` are those that a base and a
    dataset may name. Raises RequestError.
    """
    shipped = catalog.SHIPPED.studies
    study = catalog.find(shipped, "study", requested) if isinstance(requested, str) else requested
    notes: list[str] = []
    # Whether another setting fits may follow from the base.
    for override in sorted(overrides, key=lambda text: not text.partition("=")[0].endswith("base")):
        first, _, rest = override.partition(".")
        only = first if first in _names(study) else ""
        setting, note = renamed(rest if only else override)
        key, _, value = setting.partition("=")
        if key == "language" and not only:
            study = _in_language(study, value)
            continue
        study, misfits = _with_setting(study, setting, only, rows)
        notes += [note, *misfits] if note else misfits
    others = [member.name for member in study.members if member.dataset != study.members[0].dataset]
    if others:
        text = f"The members of a study are compared on the same images; {', '.join(others)} would have others."
        raise RequestError(text, "Set the dataset of all of them.")
    questions = {question.name: question for question in study.questions}
    for question in study.questions:
        if question.best_of:
            follow(question, questions[question.best_of].members[0], study)
    return study, notes


def follow(question: Question, best: Experiment, study: Study) -> Experiment:
    """The member of a question that follows from the best one of another."""
    (follower,), _ = apply_settings([best], question.settings)
    description = f"the best on val of {question.best_of}: {best.name}"
    return follower.model_copy(update={"name": _follower(study, question), "description": description})


def request_of(study: Study, dataset_digest: str) -> str:
    """What identifies a study: its members with all settings, and the data. 32 hexadecimal digits."""
    return canonical.study_digest(study, dataset_digest)


def _follower(study: Study, question: Question) -> str:
    return f"{study.name}-{question.name}"


def _names(study: Study) -> list[str]:
    followers = [_follower(study, question) for question in study.questions if question.best_of]
    return [member.name for member in study.members] + followers


def _in_language(study: Study, value: str) -> Study:
    try:
        return Study.model_validate(study.model_dump() | {"language": value})
    except ValidationError:
        raise RequestError(f"--set language: expected en or fr, found {value!r}.") from None


def _with_setting(study: Study, setting: str, only: str, rows: Catalog) -> tuple[Study, list[str]]:
    """The study with one setting, for all or `only` one member, and a note where it does not fit some of them."""
    key, _, value = setting.partition("=")
    misfits: dict[str, RequestError] = {}
    reached = 0

    def changed(member: Experiment) -> Experiment:
        nonlocal reached
        if only not in ("", member.name) or (key == "base" and member.base is None and not only):
            return member
        reached += 1
        try:
            if key == "base" and not only:
                _check_same_network(member, study.members[0])
            (member_with_setting,), _ = apply_settings([member], [setting])
            catalog.check(member_with_setting, rows)
            return member_with_setting
        except RequestError as error:
            misfits[member.name] = error
            return member

    def changed_question(question: Question) -> Question:
        settings = question.settings
        if only == _follower(study, question):
            settings = (*settings, setting)
        elif not only:
            # A setting of every member stands in for what this question would set.
            settings = tuple(own for own in settings if own.partition("=")[0] != key)
        return question.model_copy(update={"members": tuple(map(changed, question.members)), "settings": settings})

    study = study.model_copy(update={"questions": tuple(map(changed_question, study.questions))})
    if misfits and len(misfits) == reached:
        raise max(misfits.values(), key=lambda error: bool(error.hint))
    names_by_reason: dict[str, list[str]] = {}
    for name, error in misfits.items():
        reason = error.reason if isinstance(error, SettingError) else error.message
        names_by_reason.setdefault(reason, []).append(name)
    left_out = f"--set {key}={value} was left out for"
    return study, [f"{left_out} {', '.join(names)}: {reason}" for reason, names in names_by_reason.items()]


def _check_same_network(member: Experiment, first: Experiment) -> None:
    if member.backbone.name != first.backbone.name:
        reason = (
            f"weights of {first.backbone.name} do not fit {member.backbone.name}; it keeps its own base, "
            f"{member.base}, unless --set {member.name}.base=PATH"
        )
        raise SettingError(member.name, "base", member.base, reason, message=reason)
