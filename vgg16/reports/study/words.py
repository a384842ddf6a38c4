"""A language: its texts, and how it writes numbers, lists and names. The sentences are chosen elsewhere, by the
numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vgg16.config.types import Experiment, Study
from vgg16.reports.study.compare import Result
from vgg16.reports.study.course import Course, course_of, course_texts
from vgg16.reports.study.differences import Difference
from vgg16.statistics import Interval


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of a language, `en` or `fr`, by their keys; the course's own are apart."""
    return tomllib.loads(files("vgg16.reports.study").joinpath(f"{language}.toml").read_text(encoding="utf-8"))


# French sets a space there, at which no line may end.
_SPACE = re.compile(r" (?=[;:?!»])|(?<=«) ")


@dataclass(frozen=True)
class Words:
    """The words of one language; `prefix` is what the names of all members begin with, left out in sentences. Of the
    course, its own words where they are true."""

    language: str
    prefix: str
    course: Course | None = None

    def say(self, key: str, /, **values: object) -> str:
        """The text of this key."""
        return _SPACE.sub("\u202f", texts(self.language)[key].format(**values))

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in texts(self.language)

    def count(self, key: str, number: int, /, **values: object) -> str:
        """The text of this key for so many, which may be another one for a single one."""
        return self.say(f"{key}.one" if number == 1 else key, **values)

    def own(self, key: str, about: Iterable[Experiment], /, **values: object) -> str:
        """The course's own text of this key about these members, "" where it has none or is not true of them."""
        if not self.course or not self.course.allows(key, about):
            return ""
        return _SPACE.sub("\u202f", course_texts(self.language)[key].format(**values))

    def own_change(self, key: str, differences: Sequence[Difference], about: Iterable[Experiment]) -> str:
        """The course's own text about the first of the differences between these members, "" where it speaks of
        another one."""
        return self.own(key, about) if self.course and self.course.changes(key, differences) else ""

    def number(self, value: float, digits: int = 3, sign: str = "-") -> str:
        """With the language's comma or point, and a real minus; what rounds to zero has no minus."""
        text = f"{value:{sign}z,.{digits}f}".replace(",", "\0").replace(".", self.say("decimal"))
        return text.replace("\0", self.say("thousands")).replace("-", "\u2212")

    def points(self, value: float) -> str:
        """A difference of top-1 in points, with its sign."""
        return self.number(100 * value, 1, "+")

    def share(self, value: float, interval: Interval) -> str:
        """A share with its interval."""
        low, high = map(self.number, interval)
        return self.say("range", value=self.number(value), low=low, high=high)

    def p_value(self, value: float) -> str:
        """A p-value with its sign of equality, or that it is below a thousandth."""
        return f"= {self.number(value)}" if value >= 0.001 else f"< {self.number(0.001)}"

    def join(self, parts: Sequence[str], last: str = "and") -> str:
        """Parts as a list: with commas, and before the last one `and` or `or`."""
        if len(parts) < 2:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {self.say(last)} {parts[-1]}"

    def name(self, experiment: Experiment) -> str:
        """The short name of a member."""
        return experiment.name.removeprefix(self.prefix)

    def test(self, result: Result) -> str:
        """Top-1 on test with its interval, "" where it was not scored."""
        return self.share(result.test.top1, result.test.top1_interval) if result.test else ""


def words_of(study: Study, results: Sequence[Result] = ()) -> Words:
    """The words that a study's report is written in."""
    return Words(study.language, f"{study.name}-", course_of(study, results))


def capitalised(text: str) -> str:
    """A phrase as the beginning of a sentence."""
    return text[:1].upper() + text[1:]
