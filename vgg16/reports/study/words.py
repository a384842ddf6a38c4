"""A study's numbers become sentences, in the report's language. Every sentence is chosen by the numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vgg16.config.types import Experiment
from vgg16.records import Evaluation
from vgg16.reports.study.compare import LEVEL, Comparison, Result, best, most_confused, settings
from vgg16.statistics import Interval
from vgg16.training.records import Diagnosis

# Top-1 on train less that on val, from which on a network is said to know its images by heart.
GAP = 0.15


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of a language, `en` or `fr`, by their keys."""
    return tomllib.loads(files("vgg16.reports.study").joinpath(f"{language}.toml").read_text(encoding="utf-8"))


# What is told of two that were not compared image by image, by which of them finished.
_UNPAIRED = {
    (True, True): "unpaired",
    (True, False): "only_one",
    (False, True): "only_other",
    (False, False): "neither",
}


# How training words the causes that a report knows.
_LOST = re.compile(r"the loss became \S+ in epoch (\d+), step (\d+)")


_STUCK = re.compile(r"accuracy stuck at chance: at most ([\d.]+) in (\d+) epochs, and [^;]* gives ([\d.]+)")


# French sets a space there, at which no line may end.
_SPACE = re.compile(r" (?=[;:?!»])|(?<=«) ")


@dataclass(frozen=True)
class Words:
    """The words of one language; `prefix` is what the names of all members begin with, left out in sentences."""

    language: str
    prefix: str

    def say(self, key: str, **values: object) -> str:
        """The text of this key."""
        return _SPACE.sub("\u202f", texts(self.language)[key].format(**values))

    def known(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in texts(self.language)

    def number(self, value: float, digits: int = 3, sign: str = "-") -> str:
        """With the language's comma or point, and a real minus."""
        text = f"{value:{sign},.{digits}f}".replace(",", "\0").replace(".", self.say("decimal"))
        return text.replace("\0", self.say("thousands")).replace("-", "\u2212")

    def points(self, value: float) -> str:
        """A difference of top-1 in points, with its sign."""
        return self.number(100 * value, 1, "+")

    def share(self, value: float, interval: Interval) -> str:
        """A share with its interval."""
        low, high = map(self.number, interval)
        return self.say("range", value=self.number(value), low=low, high=high)

    def name(self, experiment: Experiment) -> str:
        """The short name of a member."""
        return experiment.name.removeprefix(self.prefix)

    def test(self, result: Result) -> str:
        """Top-1 on test with its interval, "" where it was not scored."""
        return self.share(result.test.top1, result.test.top1_interval) if result.test else ""

    # Pairs

    def pair(self, found: Comparison) -> str:
        """What a comparison shows."""
        change = self.change(found)
        names = {"one_name": self.name(found.one.experiment), "other_name": self.name(found.other.experiment)}
        told = {**names, "Change": change[:1].upper() + change[1:]}
        if not found.paired:
            key = _UNPAIRED[found.one.finished, found.other.finished]
            return self.say(f"pair.{key}", **told, one_top1=self.test(found.one), other_top1=self.test(found.other))
        low, high = map(self.points, found.interval)
        among = found.outcome == "unclear" and found.p <= LEVEL
        return self.say(
            "pair.among" if among else f"pair.{found.outcome}",
            **told,
            one_top1=self.test(found.one),
            other_top1=self.test(found.other),
            points=self.points(found.difference),
            low=low,
            high=high,
            p=self._p(found.p),
            among=found.among,
        )

    def change(self, found: Comparison) -> str:
        """What tells two members apart, as a noun."""
        ours, theirs = (settings(each.experiment) for each in (found.one, found.other))
        return self.say(
            f"change.{found.change}",
            one=self._value(ours.get(found.change)),
            other=self._value(theirs.get(found.change)),
            one_epochs=found.one.experiment.epochs,
            other_epochs=found.other.experiment.epochs,
            one_name=self.name(found.one.experiment),
            other_name=self.name(found.other.experiment),
        )

    def whys(self, comparisons: Sequence[Comparison]) -> list[str]:
        """Why changes may have done what they are shown to do, each once. A member that learned, against one that
        diverged, is better."""
        keys = []
        for each in comparisons:
            outcome: str = each.outcome
            if not each.paired and each.one.finished == each.other.finished:
                continue
            if each.one.finished != each.other.finished:
                outcome = "better" if each.one.finished else "worse"
            keys.append(f"why.{each.change}.{outcome}")
        return [self.say(key) for key in dict.fromkeys(keys) if self.known(key)]

    def _value(self, value: object) -> str:
        if isinstance(value, float):
            return f"{value:g}".replace(".", self.say("decimal"))
        return self.say(f"value.{value}") if self.known(f"value.{value}") else str(value)

    def _p(self, value: float) -> str:
        return f"= {self.number(value)}" if value >= 0.001 else f"< {self.number(0.001)}"

    # Members

    def diverged(self, result: Result) -> str:
        """How a member diverged, and what is wrong inside it."""
        cause = result.run.cause if result.run else ""
        name = self.name(result.experiment)
        if lost := _LOST.match(cause):
            told = self.say("diverged.nan", name=name, epoch=lost[1], step=lost[2])
        elif stuck := _STUCK.match(cause):
            most, chance = (self.number(float(stuck[each])) for each in (1, 3))
            told = self.say("diverged.stuck", name=name, best=most, epochs=stuck[2], chance=chance)
        else:
            told = self.say("diverged.other", name=name, cause=cause.partition("; ")[0])
        inside = self._inside(result.diagnosis) if result.diagnosis else []
        return self.say("list").join([told, *inside]) + "."

    def _inside(self, found: Diagnosis) -> list[str]:
        if found.broken:
            return [self.say("diagnosis.broken", count=len(found.broken), layer=found.broken[0])]
        told = []
        if found.silent or found.dead > found.units / 2:
            key = "silent" if found.silent else "dead"
            dead, units = (self.number(each, 0) for each in (found.dead, found.units))
            told.append(self.say(f"diagnosis.{key}", dead=dead, units=units, layer=found.silent))
        if found.share >= 0.9:
            told.append(self.say("diagnosis.one", share=self.number(100 * found.share, 0), answer=found.answer))
        return told

    def why_diverged(self, results: Sequence[Result]) -> list[str]:
        """The kinds of divergence among these, explained once each."""
        found = [each.diagnosis for each in results if each.diagnosis]
        kinds = ["broken" if each.broken else "dead" if each.silent else "stuck" for each in found]
        return [self.say(f"why.{kind}") for kind in dict.fromkeys(kinds)]

    def fit(self, result: Result) -> list[str]:
        """How far the best epoch, and the last one, of a member are from the end and from knowing all by heart."""
        last, name = result.epochs[-1], self.name(result.experiment)
        epoch = int(result.run.metrics["best_epoch"]) if result.run else 0
        told = []
        if last.train_top1 - last.val_top1 > GAP:
            of_train, of_val = (self.number(100 * each, 0) for each in (last.train_top1, last.val_top1))
            told.append(self.say("fit.gap", name=name, train=of_train, val=of_val))
        if epoch == last.epoch:
            told.append(self.say("fit.rising", name=name, epoch=epoch))
        else:
            told.append(self.say("fit.past", name=name, epoch=epoch, epochs=last.epoch))
        return told

    def confused(self, result: Result, test: Evaluation) -> str:
        """What it confuses most often; its best and its worst class."""
        label, answer, count, of = most_confused(test)
        ranked = sorted(test.classes, key=lambda each: each.recall)
        return self.say(
            "confused",
            name=self.name(result.experiment),
            label=label,
            answer=answer,
            count=count,
            of=of,
            surest=ranked[-1].name,
            surest_recall=self.number(ranked[-1].recall),
            hardest=ranked[0].name,
            hardest_recall=self.number(ranked[0].recall),
        )

    def short(self, results: Sequence[Result], comparisons: Sequence[Comparison]) -> str:
        """A question's answer in a line."""
        chosen = best(results)
        told = []
        if chosen:
            key = "short.best" if len(results) > 1 else "short.only"
            told.append(self.say(key, name=self.name(chosen.experiment), test=self.test(chosen)))
        else:
            told.append(self.say("short.none" if results else "short.nobody"))
        for each in comparisons:
            if each.outcome != "unclear":
                names = {"one": self.name(each.one.experiment), "other": self.name(each.other.experiment)}
                told.append(
                    self.say(
                        f"short.{each.outcome}", change=self.change(each), points=self.points(each.difference), **names
                    )
                )
        if any(each.paired for each in comparisons) and all(each.outcome == "unclear" for each in comparisons):
            changes = [self.change(each) for each in comparisons if each.paired]
            told.append(self.say("short.unclear", changes=", ".join(dict.fromkeys(changes))))
        for key, those in (
            ("diverged", [each for each in results if each.run and each.run.status == "diverged"]),
            ("left_out", [each for each in results if not each.run]),
        ):
            if those:
                told.append(self.say(f"short.{key}", names=", ".join(self.name(each.experiment) for each in those)))
        return self.say("list").join(told) + "."
