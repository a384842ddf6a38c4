"""A study's numbers become sentences, in the report's language. Every sentence is chosen by the numbers."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vgg16.config.types import Experiment
from vgg16.records import Evaluation
from vgg16.reports.study.compare import ALPHA, Comparison, Result, best, most_confused, settings
from vgg16.statistics import Interval
from vgg16.training.records import Diagnosis, Divergence

# Top-1 on train less that on val, from which on a network is said to know its images by heart.
GAP = 0.15


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of a language, `en` or `fr`, by their keys."""
    return tomllib.loads(files("vgg16.reports.study").joinpath(f"{language}.toml").read_text(encoding="utf-8"))


# The sentence about two members that were not compared image by image, by which of them finished.
_UNPAIRED = {
    (True, True): "unpaired",
    (True, False): "only_one",
    (False, True): "only_other",
    (False, False): "neither",
}

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

    def has(self, key: str) -> bool:
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

    def pair(self, comparison: Comparison) -> str:
        """What a comparison shows."""
        one, other, paired = comparison.one, comparison.other, comparison.paired
        change = self.change(comparison)
        values: dict[str, object] = {
            "Change": change[:1].upper() + change[1:],
            "one_name": self.name(one.experiment),
            "other_name": self.name(other.experiment),
            "one_top1": self.test(one),
            "other_top1": self.test(other),
        }
        if not paired:
            return self.say(f"pair.{_UNPAIRED[one.finished, other.finished]}", **values)
        low, high = map(self.points, paired.interval)
        shown_alone = comparison.outcome == "unclear" and paired.two_sided_p <= ALPHA
        return self.say(
            "pair.among" if shown_alone else f"pair.{comparison.outcome}",
            **values,
            points=self.points(paired.difference),
            low=low,
            high=high,
            p=self._p(paired.two_sided_p),
            among=comparison.among,
        )

    def change(self, comparison: Comparison) -> str:
        """The setting that two members differ in, as a noun."""
        one, other = comparison.one.experiment, comparison.other.experiment
        return self.say(
            f"change.{comparison.change}",
            one=self._value(settings(one).get(comparison.change)),
            other=self._value(settings(other).get(comparison.change)),
            one_epochs=one.epochs,
            other_epochs=other.epochs,
            one_name=self.name(one),
            other_name=self.name(other),
        )

    def whys(self, comparisons: Sequence[Comparison]) -> list[str]:
        """Why changes may have done what they are shown to do, each once. A member that learned, against one that
        diverged, is better."""
        keys = []
        for comparison in comparisons:
            outcome: str = comparison.outcome
            both_or_neither = comparison.one.finished == comparison.other.finished
            if not comparison.paired and both_or_neither:
                continue
            if not both_or_neither:
                outcome = "better" if comparison.one.finished else "worse"
            keys.append(f"why.{comparison.change}.{outcome}")
        return [self.say(key) for key in dict.fromkeys(keys) if self.has(key)]

    def _value(self, value: object) -> str:
        if isinstance(value, float):
            return f"{value:g}".replace(".", self.say("decimal"))
        return self.say(f"value.{value}") if self.has(f"value.{value}") else str(value)

    def _p(self, value: float) -> str:
        return f"= {self.number(value)}" if value >= 0.001 else f"< {self.number(0.001)}"

    # Members

    def diverged(self, result: Result) -> str:
        """How a member diverged, and what is wrong inside it."""
        cause = result.run.cause if result.run else ""
        divergence = result.divergence or Divergence(kind="other", epoch=0, text=cause)
        sentence = self.say(
            f"diverged.{divergence.kind}",
            name=self.name(result.experiment),
            epoch=divergence.epoch,
            step=divergence.step,
            value=self._not_finite(divergence.loss),
            best=self.number(divergence.best),
            chance=self.number(divergence.chance),
            text=divergence.text,
        )
        # The text of version 0.1 has the diagnosis in it.
        inside = self._inside(result.diagnosis) if result.diagnosis and divergence.kind != "other" else []
        return self.say("list").join([sentence, *inside]) + "."

    def _not_finite(self, loss: float | None) -> str:
        # JSON keeps neither: a loss that was read from it may be None.
        if loss is None:
            return self.say("value.not_finite")
        return self.say("value.infinite" if math.isinf(loss) else "value.nan")

    def _inside(self, diagnosis: Diagnosis) -> list[str]:
        if diagnosis.broken:
            return [self.say("diagnosis.broken", count=len(diagnosis.broken), layer=diagnosis.broken[0])]
        parts = []
        if diagnosis.mostly_dead:
            key = "silent" if diagnosis.silent else "dead"
            dead, units = self.number(diagnosis.dead, 0), self.number(diagnosis.units, 0)
            parts.append(self.say(f"diagnosis.{key}", dead=dead, units=units, layer=diagnosis.silent))
        if diagnosis.one_answer:
            share = self.number(100 * diagnosis.share, 0)
            parts.append(self.say("diagnosis.one", share=share, answer=diagnosis.answer))
        return parts

    def why_diverged(self, results: Sequence[Result]) -> list[str]:
        """The kinds of divergence among these, explained once each."""
        diagnoses = [result.diagnosis for result in results if result.diagnosis]
        kinds = ["broken" if inside.broken else "dead" if inside.silent else "stuck" for inside in diagnoses]
        return [self.say(f"why.{kind}") for kind in dict.fromkeys(kinds)]

    def fit(self, result: Result) -> list[str]:
        """How far the best epoch, and the last one, of a member are from the end and from knowing all by heart."""
        last, name = result.epochs[-1], self.name(result.experiment)
        epoch = int(result.run.metrics["best_epoch"]) if result.run else 0
        sentences = []
        if last.train_top1 - last.val_top1 > GAP:
            train, val = self.number(100 * last.train_top1, 0), self.number(100 * last.val_top1, 0)
            sentences.append(self.say("fit.gap", name=name, train=train, val=val))
        if epoch == last.epoch:
            sentences.append(self.say("fit.rising", name=name, epoch=epoch))
        else:
            sentences.append(self.say("fit.past", name=name, epoch=epoch, epochs=last.epoch))
        return sentences

    def confused(self, result: Result, test: Evaluation) -> str:
        """The pair of classes that it confuses most often; its best and its worst class."""
        label, answer, count, of = most_confused(test)
        ranked = sorted(test.classes, key=lambda score: score.recall)
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

    # Questions

    def short(self, results: Sequence[Result], comparisons: Sequence[Comparison]) -> str:
        """A question's answer in a line."""
        parts = [self._best(results)]
        paired = [comparison for comparison in comparisons if comparison.paired]
        parts += [self._shown(comparison) for comparison in paired if comparison.outcome != "unclear"]
        if paired and all(comparison.outcome == "unclear" for comparison in paired):
            changes = dict.fromkeys(self.change(comparison) for comparison in paired)
            parts.append(self.say("short.unclear", changes=", ".join(changes)))
        for key, members in (
            ("diverged", [result for result in results if result.diverged]),
            ("left_out", [result for result in results if not result.run]),
        ):
            if members:
                names = ", ".join(self.name(member.experiment) for member in members)
                parts.append(self.say(f"short.{key}", names=names))
        return self.say("list").join(parts) + "."

    def _best(self, results: Sequence[Result]) -> str:
        chosen = best(results)
        if not chosen:
            return self.say("short.none" if results else "short.nobody")
        key = "short.best" if len(results) > 1 else "short.only"
        return self.say(key, name=self.name(chosen.experiment), test=self.test(chosen))

    def _shown(self, comparison: Comparison) -> str:
        return self.say(
            f"short.{comparison.outcome}",
            change=self.change(comparison),
            points=self.points(comparison.paired.difference if comparison.paired else 0.0),
            one=self.name(comparison.one.experiment),
            other=self.name(comparison.other.experiment),
        )
