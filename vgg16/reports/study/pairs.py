"""Comparisons become sentences: what two members differ in, which of them is better, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Sequence

from vgg16.reports.study.changes import change
from vgg16.reports.study.compare import ALPHA, Comparison, Result
from vgg16.reports.study.words import Words, capitalised


def pair(comparison: Comparison, words: Words) -> str:
    """What a comparison shows."""
    one, other, paired = comparison.one, comparison.other, comparison.paired
    values: dict[str, object] = {
        "Change": capitalised(change(comparison, words)),
        "one_name": words.name(one.experiment),
        "other_name": words.name(other.experiment),
        "one_top1": words.test(one),
        "other_top1": words.test(other),
    }
    if not paired:
        return _unpaired(comparison, values, words)
    low, high = map(words.points, paired.interval)
    return words.say(
        f"pair.{_finding(comparison)}",
        **values,
        points=words.points(paired.difference),
        low=low,
        high=high,
        p=words.p_value(paired.two_sided_p),
        among=comparison.among,
    )


def _finding(comparison: Comparison) -> str:
    paired = comparison.paired
    if comparison.outcome != "unclear" or not paired:
        return comparison.outcome
    if paired.wins == paired.losses:
        return "equal"
    return "among" if paired.two_sided_p <= ALPHA else "unclear"


def _unpaired(comparison: Comparison, values: dict[str, object], words: Words) -> str:
    one, other = comparison.one, comparison.other
    standings = (one.standing, other.standing)
    if standings == ("scored", "scored"):
        return words.say("pair.unpaired", **values)
    if standings == ("diverged", "diverged"):
        return words.say("pair.neither", **values)
    # Who did not come as far is told first.
    first, second = (other, one) if one.standing == "scored" else (one, other)
    return words.say("pair.apart", **values, first=_clause(first, words), second=_clause(second, words))


def _clause(result: Result, words: Words) -> str:
    return words.say(f"clause.{result.standing}", name=words.name(result.experiment), top1=words.test(result))


def whys(comparisons: Sequence[Comparison], words: Words) -> list[str]:
    """Why changes may have done what they are shown to do, each once: the course's own explanations. A member that
    learned, against one that diverged, is better."""
    reasons = []
    for comparison in comparisons:
        one, other = comparison.one, comparison.other
        standings = {one.standing, other.standing}
        if comparison.paired:
            outcome: str = comparison.outcome
        elif standings == {"scored", "diverged"}:
            outcome = "better" if one.standing == "scored" else "worse"
        else:
            continue
        if comparison.differences:
            key = f"why.{comparison.differences[0].key}.{outcome}"
            reasons.append(words.own_change(key, comparison.differences, (one.experiment, other.experiment)))
    return [reason for reason in dict.fromkeys(reasons) if reason]
