"""What a look at new pictures has found becomes one page of HTML that needs nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from vgg16.checks.drift.accuracy import Estimate
from vgg16.checks.drift.facts import Facts
from vgg16.checks.drift.look import LEAST_EFFECT, Look
from vgg16.data.images import Images
from vgg16.reports.drift.histograms import histograms
from vgg16.reports.run.pictures import SHARP, as_uri
from vgg16.reports.text import percent, percent_interval, plural

# Under which the accuracy is estimated: nobody could see these in pictures without labels.
CONDITION = "if no new classes came"
VERDICTS = {
    "steady": ("As when it was judged", "good"),
    "drifted": ("Drifted", "bad"),
    "undecided": ("Undecided", "open"),
}
_MEANINGS = {
    "brightness": "mean of all pixels, 0 to 255",
    "contrast": "standard deviation of the pixels",
    "red_over_green": "mean of red less mean of green",
    "green_over_blue": "mean of green less mean of blue",
    "highlights_red_over_green": "red less green in the brightest twentieth of the pixels",
    "highlights_green_over_blue": "green less blue in the brightest twentieth of the pixels",
    "colour": "how far the channels of a pixel are apart",
    "sharpness": "how far pixels are from their neighbours",
    "fine_detail": "how much of the sharpness is from one pixel to the next",
    "confidence": "the model's probability of its answer",
    "unusualness": "how unlike what it learned from, as a logarithm",
}


@dataclass(frozen=True)
class DriftFacts:
    """A look at the pictures of a source by a model at an address that nothing moves.

    `reference` and `window` are the facts that were compared; `which` follows the word "images" and says of
    which the reference is, and `gate_top1` is None unless that is all of gate. Of the source's `pictures` so many were
    `measured`, and so many were `unreadable`. `paths` and `images` of those of the window that are shown are by their
    place in it; `label_first` are places too, and lie as files in `folder`, "" for none.
    """

    source: str
    model: str
    name: str
    look: Look
    reference: Facts
    window: Facts
    gate_top1: float | None
    estimate: Estimate | None
    pictures: int
    measured: int
    unreadable: int
    label_first: Sequence[int]
    paths: Mapping[int, str]
    at: datetime
    images: Mapping[int, Images] = field(default_factory=dict)
    folder: str = ""
    which: str = "of gate"


@dataclass(frozen=True)
class _Shown:
    path: str
    uri: str
    small: bool


@dataclass(frozen=True)
class _Row:
    """One fact: medians before and now, the distance, and whether that is an alarm."""

    name: str
    meaning: str
    before: float
    now: float
    drawn: Markup
    alarmed: bool


def report(facts: DriftFacts) -> str:
    """The page."""
    templates = Environment(
        loader=PackageLoader("vgg16.reports", ""), trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    templates.filters |= {"percent": percent, "interval": percent_interval, "words": words}
    label, color = VERDICTS[facts.look.verdict]
    content = {
        "facts": facts,
        "look": facts.look,
        "label": label,
        "color": color,
        "sentence": sentence(facts.look, facts.which),
        "condition": CONDITION,
        "numbers": _numbers(facts),
        "moved": [(one, _row(facts, one.fact), _shown(facts, one.most.tolist())) for one in facts.look.moved],
        "rows": [_row(facts, name) for name in facts.reference.names],
        "first": _shown(facts, facts.label_first),
        "source": shlex.quote(facts.source),
    }
    return templates.get_template("drift/page.html").render(content)


def words(fact: str) -> str:
    """A fact's name as a person reads it."""
    return fact.replace("_", " ")


def sentence(look: Look, which: str = "of gate") -> str:
    """What the verdict means."""
    beside = f"{plural(look.images, 'picture')} beside {plural(look.reference, 'image')} {which}"
    if look.verdict == "drifted":
        names = ", ".join(words(one.fact) for one in look.moved)
        return f"{beside}: {plural(len(look.moved), 'fact')} moved: {names}."
    if look.verdict == "undecided":
        return f"{beside} are too few: a fact could move for half of the pictures and go unseen."
    return (
        f"{beside}: nothing moved. A fact that moved for {percent(look.detectable)} of the pictures would have been "
        "seen four times in five."
    )


def _numbers(facts: DriftFacts) -> list[tuple[str, str]]:
    """What there was, as label and text."""
    look = facts.look
    rows = [("pictures", f"{facts.pictures:,}")]
    if facts.measured + facts.unreadable < facts.pictures:
        rows.append(("drawn from them", f"{facts.measured + facts.unreadable:,}"))
    if facts.unreadable:
        rows.append(("not readable", f"{facts.unreadable:,}"))
    if look.images < facts.measured:
        rows.append(("counted, of near-equal ones the first", f"{look.images:,}"))
    rows += [
        (f"images {facts.which}", f"{look.reference:,}"),
        ("false alarms of such a look", f"at most {100 * look.alpha:g}\N{NO-BREAK SPACE}%"),
        ("an alarm needs", f"a fact that moved for {percent(LEAST_EFFECT)} of the pictures at least"),
    ]
    if facts.gate_top1 is not None:
        rows.append(("top-1 on these images of gate", percent(facts.gate_top1)))
    if facts.estimate:
        value = f"{percent(facts.estimate.value)} ({percent_interval(facts.estimate.interval)}), {CONDITION}"
        rows.append(("probable top-1 here", value))
    return rows


def _row(facts: DriftFacts, name: str) -> _Row:
    before, now = facts.reference.column(name), facts.window.column(name)
    alarmed = any(one.fact == name for one in facts.look.moved)
    meaning = _MEANINGS.get(name, "a direction in which the features of pictures differ most")
    return _Row(name, meaning, float(np.median(before)), float(np.median(now)), histograms(before, now), alarmed)


def _shown(facts: DriftFacts, places: Sequence[int]) -> list[_Shown]:
    images = facts.images
    return [
        _Shown(facts.paths[place], as_uri(images[place]), max(images[place].shape[:2]) <= SHARP)
        for place in places
        if place in images
    ]
