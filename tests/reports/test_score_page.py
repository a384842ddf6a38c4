"""The page on labelled pictures that were scored: its numbers are those that were counted."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tests.reports.planted_run import Page
from tests.test_docs import parsed
from vgg16.config.types import GateRules
from vgg16.evaluation.holds import Judged
from vgg16.evaluation.labelled import labelled
from vgg16.evaluation.metrics import class_scores
from vgg16.evaluation.tally import Tally
from vgg16.evaluation.truth import Counted
from vgg16.records import ClassScore
from vgg16.reports.score.page import Mistaken, ScoreFacts, report
from vgg16.statistics import proportion_interval

SPACE = "\N{NO-BREAK SPACE}"
NAMES = ("ant", "bee", "cat")
NEW = ((90, 10, 0), (5, 95, 0), (0, 40, 60))
MET = ((20, 0, 0), (0, 0, 0), (0, 0, 0))


def tally(confusion: Any) -> Tally:
    counts = np.array(confusion, np.int64)
    reliability = np.zeros((15, 3))
    reliability[13] = counts.sum(), 0.9 * counts.sum(), counts.trace()
    return Tally(counts, int(counts.sum()), reliability)


def page(on: Judged | str | None = None, **changes: Any) -> Page:
    """That of planted counts."""
    judged = Judged(GateRules(), np.array([450, 450, 450]), np.array([500, 500, 500])) if on is None else on
    counted = Counted(tally(NEW), tally(MET), {"train": 20}, {"wolf": 7, "<b>x</b>": 2}, 4, {"wolf": 6})
    whole: dict[str, Any] = {
        "source": "new photos",
        "output": "/tmp/scores.csv",
        "model": "models:/vgg16-insects/3",
        "name": "vgg16-insects",
        "rows": 340,
        "failed": 7,
        "labelled": labelled(counted, NAMES, judged, 2),
        "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "own_source": "'my photos'",
        "now": class_scores(NAMES, np.array(NEW)),
        "gate": tuple(
            ClassScore(name=name, images=500, precision=0.9, recall=0.9, recall_interval=(0.87, 0.92)) for name in NAMES
        ),
        "mistakes": [Mistaken("cat/1.jpg", "cat", "bee", 0.99), Mistaken("cat/2.jpg", "cat", "bee", 0.9)],
        "pictures": {"cat/1.jpg": np.zeros((32, 32, 3), np.uint8)},
    }
    return Page(report(ScoreFacts(**(whole | changes))))


def test_it_says_how_good_the_model_is_here_with_and_without_what_it_has_met() -> None:
    text = page().text
    low, high = proportion_interval(265, 320)
    new_low, new_high = proportion_interval(245, 300)
    assert f"is right on 82.8 % ({100 * low:.1f} to {100 * high:.1f} %) of 320 pictures" in text
    assert "20 pictures of these the model has met before (20 of train)" in text
    assert f"on the other 300 it is right on 81.7 % ({100 * new_low:.1f} to {100 * new_high:.1f} %)" in text


def test_the_verdict_is_of_the_new_pictures_and_its_interval_is_drawn() -> None:
    read = page()
    assert "Worse than when it was judged" in read.text
    assert "top-1 0.8167 of 300 images here, 0.9000 of 1,500 gate images" in read.text
    rows = read.rows["holds"]
    assert ["here", "300", f"81.7{SPACE}%"] in rows
    assert ["on gate", "1,500", f"90.0{SPACE}%"] in rows
    bar = next(attributes["style"] for tag, attributes in read.tags if tag == "i" and "width" in attributes["style"])
    left, width = (float(part.split(":")[1].strip("% ")) for part in bar.split(";"))
    assert left + width < 50  # as a whole left of zero
    # The class that fell most first.
    assert [row[0] for row in rows[4:]] == ["cat", "ant", "bee"]
    assert [row[1] for row in rows[4:]] == ["100", "100", "100"]


def test_what_the_model_does_not_know_is_told_and_counts_nowhere() -> None:
    read = page()
    assert read.rows["unknown"][1:] == [["wolf", "7", "6"], ["<b>x</b>", "2", "0"]]
    numbers = dict(read.rows["numbers"])
    assert numbers["of classes that it does not know"] == "9"
    assert numbers["without a class"] == "4"
    assert numbers["of classes that the model knows"] == "320"
    _, *matrix = read.rows["confusion"]
    assert [[int(cell) for cell in row[1:]] for row in matrix] == (np.array(NEW) + np.array(MET)).tolist()


def test_mistakes_are_shown_that_could_be_read_again() -> None:
    read = page()
    assert len(read.pictures["mistakes"]) == 1
    assert "cat/1.jpg" in read.section_text("mistakes")
    assert "1 of 55 mistakes" in read.section_text("mistakes")


@pytest.mark.parametrize(
    ("on", "label"),
    [
        (Judged(GateRules(), np.array([450, 475, 300]), np.array([500, 500, 500])), "Undecided"),
        (
            Judged(GateRules(noninferiority_margin=0.3), np.array([450, 475, 300]), np.array([500, 500, 500])),
            "It holds",
        ),
        ("the model is no registered version, so nobody has judged it", "Not compared"),
    ],
)
def test_each_verdict_has_its_words(on: Judged | str, label: str) -> None:
    read = page(on)
    assert label in read.text
    assert bool(read.rows["holds"]) == isinstance(on, Judged)


def test_it_needs_nothing_else_and_its_commands_are_ours() -> None:
    read = page()
    for tag, attributes in read.tags:
        assert tag not in ("script", "link", "iframe")
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    commands = [code for code in read.codes if code.startswith("vgg16 ")]
    assert "vgg16 data add insects 'my photos'" in commands
    for command in commands:
        parsed(shlex.split(command)[1:])


def test_of_many_classes_the_matrix_is_a_picture_and_the_pairs_are_listed() -> None:
    names = tuple(f"class {number}" for number in range(30))
    counts = np.diag(np.full(30, 9)) + np.eye(30, k=1, dtype=np.int64)
    told = labelled(Counted(tally(counts), tally(0 * counts)), names, "nobody has judged it", 0)
    read = page(labelled=told, gate=(), mistakes=())
    assert read.pictures["confusion"][0]["src"].startswith("data:image/png;base64,")
    assert ["class 0", "class 1", "1", "10", f"10.0{SPACE}%"] in read.rows["confusion"]
