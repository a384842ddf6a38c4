"""Settings become phrases: a value, what tells two members apart by both values, and what a question asks, from the
settings in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from vgg16.config.catalog import KEPT_WEIGHTS, is_weights_file
from vgg16.config.types import Experiment, Question, Study
from vgg16.reports.study.compare import Comparison
from vgg16.reports.study.course import covered
from vgg16.reports.study.differences import Difference, general, phase_of, place, settings
from vgg16.reports.study.words import Words

# A sentence bears no more: of more differences the first two are named, and the others counted.
NAMED_AT_MOST = 3

# What is said of members that have it in common; what differs is always said.
_TELLING = (
    "backbone.name",
    "base",
    "image_size",
    "normalization",
    "phases.trains",
    "phases.optimizer.name",
    "phases.optimizer.learning_rate",
    "phases.epochs",
    "batch_size",
)


def change(comparison: Comparison, words: Words) -> str:
    """What tells two members apart, as a noun: each setting that differs with both values, or the first two and how
    many more."""
    one, other = comparison.one.experiment, comparison.other.experiment
    training = [difference for difference in comparison.differences if difference.trains]
    names = {"one_name": words.name(one), "other_name": words.name(other)}
    text = _listed(training, one, other, words) if training else words.say("alike", **names)
    after = [difference for difference in comparison.differences if not difference.trains]
    return words.say("beside", change=text, others=_listed(after, one, other, words)) if after else text


def _listed(differences: Sequence[Difference], one: Experiment, other: Experiment, words: Words) -> str:
    phrases: list[str] = []
    left = list(differences)
    while left:
        key = f"change.{left[0].key}"
        own = words.own_change(key, left, (one, other))
        phrases.append(own or _difference(left[0], one, other, words))
        named = {left[0].key, *(covered(key) if own else ())}
        left = [difference for difference in left if difference.key not in named]
    if len(phrases) > NAMED_AT_MOST:
        phrases = [*phrases[:2], words.say("others", count=len(phrases) - 2)]
    return words.join(phrases)


def _difference(difference: Difference, one: Experiment, other: Experiment, words: Words) -> str:
    key = difference.key
    if key == "phases":
        return words.say("in_place", one=_phases(difference.one, words), other=_phases(difference.other, words))
    ours, theirs = phrase(key, difference.one, words), phrase(key, difference.other, words)
    if ours == theirs:  # they differ by less than is written
        ours, theirs = (
            words.say("setting.other", key=key, value=value) for value in (difference.one, difference.other)
        )
    elif not any(_special(key, value, words) for value in (difference.one, difference.other)):
        theirs = plain(key, difference.other, words)
    text = words.say("in_place", one=ours, other=theirs)
    number = phase_of(key)
    several = number is not None and max(len(one.phases), len(other.phases)) > 1
    return words.say("in_phase", setting=text, phase=(number or 0) + 1) if several else text


def _phases(phases: Iterable[tuple[str, int]], words: Words) -> str:
    return words.say("then").join(
        words.say(
            "phase",
            trains=phrase("phases.trains", trains, words),
            epochs=phrase("phases.epochs", epochs, words),
        )
        for trains, epochs in phases
    )


def phrase(key: str, value: Any, words: Words) -> str:
    """A setting with its value, as a noun."""
    special = _special(key, value, words)
    if special:
        return words.say(special)
    template = f"setting.{general(key)}"
    template = template if words.has(template) else "setting.other"
    return words.say(template, key=key, value=plain(key, value, words))


def plain(key: str, value: Any, words: Words) -> str:
    """A value by itself; a weights file without its folder, which is of one machine, or by the first digits of its
    sha256."""
    if key == "base" and isinstance(value, str):
        return _base(value)
    if isinstance(value, list | tuple):
        return words.join([plain(key, part, words) for part in value])
    if isinstance(value, float):
        return f"{value:g}".replace(".", words.say("decimal"))
    return value if isinstance(value, str) else json.dumps(value)


def _base(base: str) -> str:
    if base.startswith(KEPT_WEIGHTS):
        file = PurePath(base.removeprefix(KEPT_WEIGHTS))
        return f"{file.stem[:8]}{file.suffix}"
    return PurePath(base).name if is_weights_file(base) else base


def _special(key: str, value: Any, words: Words) -> str:
    """The key of the text of a value that needs words of its own, "" for none."""
    if isinstance(value, list | tuple):
        name = "" if not value else "some"
    else:
        name = "none" if value is None else value if isinstance(value, str) else f"{json.dumps(value)}"
    if isinstance(value, float) and value.is_integer():
        name = str(int(value))
    key = f"value.{general(key)}.{name}"
    return key if words.has(key) else ""


def question_asked(study: Study, question: Question, title: str, words: Words) -> str:
    """What a question asks; `title` is that of the question that it takes the best of."""
    compared = {name for pair in question.compared for name in pair}
    about = [member for member in study.members if member in question.members or member.name in compared]
    own = words.own(f"asked.{question.name}", about)
    if own and words.course and words.course.asks(question):
        return own
    if question.best_of:
        key = "asked.best_of" if question.settings else "asked.best_of_alike"
        return words.say(key, question=title, settings=", ".join(question.settings))
    return _asked_of(question.members, words)


def _asked_of(members: Sequence[Experiment], words: Words) -> str:
    dotted = [settings(member) for member in members]
    counts = {len(member.phases) for member in members}
    common: list[str] = []
    varying: list[str] = []
    for key in sorted(dict.fromkeys(key for values in dotted for key in values), key=place):
        if len(counts) > 1 and general(key) in ("phases.trains", "phases.epochs"):
            continue
        values = [values[key] for values in dotted if key in values]
        number = phase_of(key)
        phrases = list(dict.fromkeys(phrase(key, value, words) for value in values))
        if len(phrases) > 1:
            text = words.join(phrases, "or")
        elif general(key) in _TELLING and (number is None or number == 0 or len(values) == len(members)):
            text = phrases[0]
        else:
            continue
        if max(counts) > 1 and number is not None:
            text = words.say("in_phase", setting=text, phase=number + 1)
        (varying if len(phrases) > 1 else common).append(text)
    if len(counts) > 1:
        forms = dict.fromkeys(tuple((phase.trains, phase.epochs) for phase in member.phases) for member in members)
        varying.insert(0, f" {words.say('or')} ".join(_phases(form, words) for form in forms))
    if len(members) == 1:
        return words.say("asked.one", common=", ".join(common))
    key = "asked.members" if varying else "asked.alike"
    return words.say(key, count=len(members), common=", ".join(common), varying=words.say("list").join(varying))
