"""A question's answer in a line, chosen by its results."""

from __future__ import annotations

from collections.abc import Sequence

from vgg16.reports.study.changes import change
from vgg16.reports.study.compare import Comparison, Result, against_chance, best, chance_of
from vgg16.reports.study.words import Words


def short(results: Sequence[Result], comparisons: Sequence[Comparison], words: Words) -> str:
    """The best member, how it stands to chance and its equals; the differences that are shown; who has no model."""
    parts = [_best(results, words), *_tied(results, words)]
    paired = [comparison for comparison in comparisons if comparison.paired]
    parts += [_shown(comparison, words) for comparison in paired if comparison.outcome != "unclear"]
    if paired and all(comparison.outcome == "unclear" for comparison in paired):
        changes = dict.fromkeys(change(comparison, words) for comparison in paired)
        parts.append(words.say("short.unclear", changes=words.say("list").join(changes)))
    for standing in ("diverged", "running", "left_out"):
        names = [words.name(member.experiment) for member in results if member.standing == standing]
        if names:
            parts.append(words.say(f"short.{standing}", names=", ".join(names)))
    return words.say("list").join(parts) + "."


def _best(results: Sequence[Result], words: Words) -> str:
    chosen = best(results)
    if not chosen:
        return words.say(_none(results))
    key = "short.best" if len(results) > 1 else "short.only"
    values = {"name": words.name(chosen.experiment), "test": words.test(chosen)}
    if not chosen.test:
        return words.say(f"{key}.untested", **values, val=words.number(chosen.val_top1))
    where = against_chance(chosen.test)
    if where == "above":
        return words.say(key, **values)
    return words.say(f"{key}.{where}_chance", **values, chance=words.number(chance_of(chosen.test)))


def _tied(results: Sequence[Result], words: Words) -> list[str]:
    """Who is as good on val as the best one, which is the first of them."""
    chosen = best(results)
    equals = [result for result in results if chosen and result.finished and result.val_top1 == chosen.val_top1]
    names = [words.name(result.experiment) for result in equals if result is not chosen]
    return [words.say("short.tied", names=", ".join(names))] if names else []


def _none(results: Sequence[Result]) -> str:
    """The key of what is said where nobody was trained to the end."""
    standings = {result.standing for result in results}
    if not standings:
        return "short.nobody"
    if standings == {"left_out"}:
        return "short.none_ran"
    return "short.none" if standings <= {"diverged", "left_out"} else "short.none_finished"


def _shown(comparison: Comparison, words: Words) -> str:
    explained = any(difference.trains for difference in comparison.differences)
    return words.say(
        f"short.{comparison.outcome}" if explained else "short.alike",
        change=change(comparison, words),
        points=words.points(comparison.paired.difference if comparison.paired else 0.0),
        one=words.name(comparison.one.experiment),
        other=words.name(comparison.other.experiment),
    )
