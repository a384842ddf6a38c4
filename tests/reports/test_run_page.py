"""A run's report: its numbers are those it was made from, its words fit how it ended, and it needs nothing else."""

from __future__ import annotations

import base64
import io
import shlex
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.reports import planted_run
from tests.reports.planted_run import GATE, NAMES, REF, RUN_ID, TEST, Page, answered, evaluation, facts, run, scored
from tests.test_docs import parsed
from vgg16.evaluation.answers import Answers, confident_mistakes
from vgg16.records import Unseen
from vgg16.reports.run import pictures
from vgg16.reports.run.page import report
from vgg16.reports.run.words import LABELS
from vgg16.statistics import proportion_interval

SPACE = "\N{NO-BREAK SPACE}"


def read(**changes: Any) -> Page:
    return Page(report(facts(**changes))) if changes else whole()


@cache
def whole() -> Page:
    """That of the planted run as it is."""
    return Page(report(facts()))


def per_cent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def interval(count: int, images: int) -> str:
    low, high = proportion_interval(count, images)
    return f"{100 * low:.1f} to {100 * high:.1f}{SPACE}%"


def test_the_rows_of_the_classes_are_the_confusion_matrix() -> None:
    counts = np.array(TEST)
    head, *rows = read().rows["classes"]
    assert head[0] == "class"
    # The weakest first; of equals, what fewer pictures leave open.
    assert [row[0] for row in rows] == ["cat", "dog", "bee", "ant"]
    taken_for = {"ant": "", "bee": "ant (4 of 40)", "cat": "dog (15 of 30)", "dog": "cat (2 of 20)"}
    for name, images, _, recall, within, precision, other in rows:
        label = NAMES.index(name)
        right, of = counts[label, label], counts[label].sum()
        assert images == str(of)
        assert recall == per_cent(right / of)
        assert within == interval(right, of)
        assert precision == per_cent(right / counts[:, label].sum())
        assert other == taken_for[name]


def test_the_bars_lie_where_the_numbers_are() -> None:
    styles = [attributes["style"] for tag, attributes in read().tags if tag in ("i", "b") and "style" in attributes]
    low, high = proportion_interval(12, 30)
    assert styles[:2] == [f"left: {100 * low:.1f}%; right: {100 - 100 * high:.1f}%", "left: 40.0%"]


def test_the_matrix_is_shown_field_by_field_and_what_is_confused_most_is_said() -> None:
    page = read()
    head, *rows = page.rows["confusion"]
    assert head[1:] == list(NAMES)
    assert [row[0] for row in rows] == list(NAMES)
    assert [[int(cell) for cell in row[1:]] for row in rows] == [list(row) for row in TEST]
    assert "Most often it takes cat for dog: 15 of 30 pictures." in page.section_text("confusion")


def test_the_numbers_of_each_split_are_those_of_its_evaluation() -> None:
    page = read()
    _, val, gate, test = page.rows["numbers"]
    assert (val[0], *val[2:]) == ("val", "70", per_cent(0.76), "")
    for row, split, confusion in ((gate, "gate", GATE), (test, "test", TEST)):
        right, of = np.trace(np.array(confusion)), np.array(confusion).sum()
        whole_split = evaluation(split, confusion)
        assert row[0] == split
        assert row[2:4] == [str(of), f"{per_cent(right / of)} ({interval(right, of)})"]
        low, high = whole_split.ece_interval
        assert row[4] == f"{per_cent(whole_split.ece)} ({100 * low:.1f} to {100 * high:.1f}{SPACE}%)"
    sure = float(answered(TEST)[0].probabilities.mean())
    assert (
        f"On test it is {per_cent(sure)} sure of an answer on average, and {per_cent(106 / 130)} of them are right"
        in (page.section_text("numbers").replace(" %", f"{SPACE}%"))
    )


def test_the_headline_says_what_was_trained_on_what_and_what_came_out() -> None:
    text = read().text.replace(SPACE, " ")
    assert (
        "mine-net learned 4 classes from 400 pictures of insects, in 10 epochs and 61 seconds. It is right on 81.5 % "
        "(74.0 to 87.3 %) of 130 pictures of test, which it never saw. Always saying ant would be right on 30.8 % of "
        "them."
    ) in text
    assert f"In the gate's own words: {planted_run.REASONS}." in text


def test_what_it_is_like_without_copies_is_said_where_they_are_known() -> None:
    test = evaluation("test", TEST)

    def with_copies(seen: int, **changes: Any) -> Page:
        numbers = {"top1": 0.7, "top1_interval": (0.6, 0.79), "from_seen": 0.115, "from_seen_interval": (0.02, 0.2)}
        unseen = Unseen.model_validate({"seen": seen} | numbers | changes)
        return read(evaluations=[evaluation("gate", GATE), test.model_copy(update={"unseen": unseen})])

    def text(page: Page) -> str:
        return page.text.replace(SPACE, " ")

    page = with_copies(30)
    assert "of 130 pictures of test. Always saying ant would be right on 30.8 % of them. But it learned" in text(page)
    assert (
        "near-duplicates of 30 of them. Without these it is right on 70.0 % (60.0 to 79.0 %): 11.5 points less (2.0 to "
        "20.0), so they make it look better than it is."
    ) in text(page)
    row = ["test", "without those that train has seen", "100", f"{per_cent(0.7)} (60.0 to 79.0{SPACE}%)", ""]
    assert page.rows["numbers"][-1] == row
    page = with_copies(30, from_seen=-0.115, from_seen_interval=(-0.2, 0.03))
    assert "11.5 points more (-3.0 to 20.0), which may be chance." in text(page)
    page = with_copies(30, from_seen=-0.115, from_seen_interval=(-0.2, -0.03))
    assert "11.5 points more (3.0 to 20.0), so these are the harder ones." in text(page)
    page = with_copies(130)
    assert "near-duplicates of all of them: how good it is on new pictures nobody knows" in text(page)
    assert len(page.rows["numbers"]) == 4
    page = with_copies(0, from_seen=0, from_seen_interval=(0, 0))
    assert "test, which it never saw" in text(page)
    assert "near-duplicates" not in text(page)


def test_how_it_learned_names_the_best_epoch_and_a_gap() -> None:
    learned = read().section_text("learning").replace(SPACE, " ")
    # As `ten_epochs` plants them.
    assert "the weights of epoch 8 of 10, the best on val: 76.0 % right there, and 72.0 % of what" in learned
    assert "by heart" not in learned
    assert "more of them may help" not in learned
    epochs = [epoch.model_copy(update={"train_top1": 0.99}) for epoch in facts().epochs]
    assert "23 points more than on new ones" in read(epochs=epochs).section_text("learning")
    assert "The best epoch was the last one" in read(epochs=epochs[:8]).section_text("learning")


def decoded(address: str) -> np.ndarray:
    kind, content = address.split(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_the_pictures_are_those_of_the_mistakes_and_of_the_least_sure_answers() -> None:
    page, (answers, _) = read(), answered(TEST)
    order = np.argsort(-answers.probabilities)
    wrong = [index for index in order if answers.labels[index] != answers.answers[index]]
    assert len(wrong) == 24
    for section, expected in (("mistakes", wrong), ("unsure", order[::-1][: pictures.LEAST_SURE])):
        shown = page.pictures[section]
        assert [decoded(each["src"])[0, 0, 0] for each in shown] == list(expected)
        for each, index in zip(shown, expected, strict=True):
            label, answer = NAMES[answers.labels[index]], NAMES[answers.answers[index]]
            assert each["alt"] == f"a picture of {label}, answered {answer}"
            assert per_cent(answers.probabilities[index]) in "".join(page.text_of[section])
    assert "All 24 mistakes on test" in page.section_text("mistakes")


def test_a_picture_of_a_file_says_where_that_lies() -> None:
    first = pictures.mistakes(facts())[0]
    assert first.path == ""
    row = confident_mistakes(facts().answers, 1).tolist()[0]
    shown = report(facts(paths={row: "bee/wrong <one>.jpg"}))
    assert shown.count("bee/wrong &lt;one&gt;.jpg") >= 1
    assert "bee/wrong" not in report(facts())


def test_large_pictures_are_made_smaller_and_small_ones_are_kept() -> None:
    large = {index: np.zeros((400, 300, 3), np.uint8) for index in facts().pictures}
    shapes = {decoded(each["src"]).shape for each in read(pictures=large).pictures["mistakes"]}
    assert shapes == {(128, 96, 3)}
    assert {decoded(each["src"]).shape for each in read().pictures["mistakes"]} == {(32, 32, 3)}


def test_of_gate_the_numbers_are_told_and_no_picture_is_shown() -> None:
    page = read(evaluations=[evaluation("gate", GATE)], answers=None, pictures={})
    assert "of 13 pictures of gate, which it never saw. It was not scored on test" in page.text
    assert not page.pictures["mistakes"] + page.pictures["unsure"]
    assert "nobody is shown them" in page.section_text("mistakes")
    rows = {row[0]: row for row in page.rows["classes"]}
    assert rows["cat"][1] == "3"
    # Nothing is made up of a class without a picture.
    assert rows["dog"][1:6] == ["0", "", "no picture", "", per_cent(0)]


def test_a_class_that_is_never_said_has_no_precision() -> None:
    page = read(evaluations=[evaluation("test", ((40, 0, 0, 0), (4, 36, 0, 0), (0, 3, 27, 0), (18, 0, 2, 0)))])
    assert {row[0]: row[5] for row in page.rows["classes"]}["dog"] == "never said"


def test_where_all_is_right_there_is_no_mistake() -> None:
    perfect = np.diag((10, 10, 10, 10))
    page = read(evaluations=[evaluation("test", perfect)], answers=answered(perfect)[0])
    assert "There is none: all 40 pictures of test are answered right." in page.section_text("mistakes")
    assert "It confuses nothing" in page.section_text("confusion")
    assert len(page.pictures["unsure"]) == pictures.LEAST_SURE


def test_the_classes_that_need_more_are_told_with_how_many() -> None:
    page = read(evaluations=[evaluation("test", TEST)])
    rows = {row[0]: row for row in page.rows["needs"][1:]}
    # 30 pictures of cat are surely harder than the others, 20 of dog leave open what it is like.
    assert {name: row[1] for name, row in rows.items()} == {"cat": "harder", "dog": "open"}
    assert rows["cat"][2:6] == ["30", per_cent(12 / 30), interval(12, 30), per_cent(94 / 100)]
    # 613 pictures in all, of which 130 are in test.
    for name in rows:
        more = int(rows[name][6])
        assert int(rows[name][7]) == -(-more * 613 // 130)


PRODUCTION = "vgg16 predict new/ --model models:/vgg16-insects@champion"
# How a run ended, and the words and the command that fit.
ENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "production": ({"tracked": run()}, "It became version 3 of vgg16-insects and is in production", PRODUCTION),
    "forced": ({"tracked": run(verdict="undecided")}, "somebody put it there all the same", PRODUCTION),
    "waiting": ({"tracked": run("Staging")}, "waits in Staging until a person", "vgg16 promote vgg16-insects 3"),
    "undecided": (
        {"tracked": run("Staging", "undecided")},
        "The gate's 13 pictures cannot tell whether it is good enough",
        'vgg16 promote vgg16-insects 3 --force --reason "why"',
    ),
    "refused": ({"tracked": run("Archived", "refuse")}, "stays out of production", "vgg16 run mine-net --set seed=2"),
    "replaced": (
        {"tracked": run("Archived"), "promoted": {"3", "4"}},
        "was in production",
        "vgg16 history vgg16-insects",
    ),
    "overtaken": ({"tracked": run("Archived", "undecided")}, "waited in Staging", "vgg16 promote vgg16-insects 3"),
    "unjudged": ({"tracked": run("None", "")}, "was not judged", "vgg16 promote vgg16-insects 3"),
    "removed": ({"tracked": run(None, "")}, "no version of it is in the registry", "vgg16 run mine-net"),
    "diverged": (
        {"tracked": run(None, "", status="diverged", cause="the loss became nan"), "evaluations": [], "answers": None},
        "Training diverged, so there is no model: the loss became nan.",
        "vgg16 run mine-net --set phases.0.optimizer.learning_rate=0.005",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_verdict_and_commands_fit_how_it_ended_and_the_commands_are_there(case: str) -> None:
    changes, sentence, command = ENDS[case]
    page = read(**changes)
    standing = facts(**changes).standing
    assert standing == (case if case != "forced" else "production")
    assert LABELS[standing][0] in page.text
    assert sentence in page.text.replace(SPACE, " ")
    assert command in page.codes
    # The dataset is the user's own.
    assert "vgg16 data add insects 'photos/my insects'" in page.codes
    assert "People changed 3 images" in read(reviewed="People changed 3 images of this data: 3 dropped").text
    for line in page.codes:
        program, *arguments = shlex.split(line)
        assert program == "vgg16"
        assert parsed(arguments)


def test_a_rollback_is_offered_where_there_is_a_version_to_bring_back() -> None:
    assert "vgg16 rollback vgg16-insects" in read(promoted={"2", "3"}).codes
    assert "vgg16 rollback vgg16-insects" not in read(promoted={"3"}).codes


def test_a_run_that_diverged_has_its_curves_and_neither_numbers_nor_a_best_epoch() -> None:
    page = read(**ENDS["diverged"][0])
    assert page.section_text("learning").startswith("How it learned The curves end with epoch 10 of 10.")
    assert len(page.pictures["learning"]) == 1
    assert "weights are kept" not in page.text
    assert not {"numbers", "classes", "mistakes"} & set(page.text_of)


def test_a_shipped_dataset_has_no_more_pictures() -> None:
    assert "data add" not in " ".join(read(source="").codes)


def test_a_run_of_which_hardly_anything_is_logged_has_a_page() -> None:
    bare = run(None, "", metrics={}, started=0)
    page = read(tracked=bare, epochs=(), evaluations=(), answers=None, pictures={}, reasons="", source="")
    assert "Nothing that can be read is logged of its answers" in page.text
    assert "No curves are logged." in page.text
    assert {"next", "made"} <= set(page.text_of)


def test_answers_that_are_no_numbers_have_a_page() -> None:
    answers, probabilities = answered(TEST)
    broken = scored("test", probabilities * np.nan, answers.labels)
    unknown = Answers(answers.labels, np.zeros_like(answers.answers), answers.probabilities * np.nan)
    assert "Its probabilities are no numbers." in read(evaluations=[broken], answers=unknown).text


def many(classes: int) -> dict[str, Any]:
    """A run of so many classes of three images each, of which one in ten is taken for the class after it, class 7 for
    class 5 three times."""
    names = tuple(f"a class with a longer name {n:04d}" for n in range(classes))
    counts = 3 * np.eye(classes, dtype=int)
    for label in range(0, classes, 10):
        counts[label, label] -= 1
        counts[label, label + 1] += 1
    counts[7, 7], counts[7, 5] = 0, 3
    ref = REF.model_copy(update={"class_names": names})
    noise = np.random.default_rng(0).integers(0, 256, (3 * classes, 128, 128, 3), np.uint8)
    return {
        "tracked": run(dataset=ref),
        "evaluations": [evaluation("test", counts, names)],
        "answers": answered(counts)[0],
        "pictures": dict(enumerate(noise)),
    }


@pytest.mark.parametrize("classes", [100, 1000])
def test_a_page_of_many_classes_lists_the_pairs_and_stays_small(classes: int) -> None:
    html = report(facts(**many(classes)))
    # Of noise, which no other picture is as large as.
    assert len(html) < 2_000_000
    page = Page(html)
    head, first, *_ = page.rows["confusion"]
    assert head == ["the picture is", "it said", "times", "of", "share"]
    assert first == ["a class with a longer name 0007", "a class with a longer name 0005", "3", "3", per_cent(1)]
    assert len(page.pictures["confusion"]) == (classes == 100)
    heads = [row for row in page.rows["classes"] if row[0] == "class"]
    assert len(page.rows["classes"]) - len(heads) == classes
    assert f"and {classes - 40} more classes" in page.section_text("classes")
    assert len(page.rows["needs"]) == 13


def test_the_page_asks_for_nothing_and_can_be_read_without_seeing_it() -> None:
    page = read(tracked=run(url="http://mlflow/#/experiments/1/runs/2"))
    asks = [each[name] for _, each in page.tags for name in ("src", "href", "action") if name in each]
    assert all(address.startswith(("data:", "#")) for address in asks)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert all(each["alt"] for tag, each in page.tags if tag == "img")
    assert all(each.get("scope") for tag, each in page.tags if tag == "th")
    ids = [each["id"] for _, each in page.tags if "id" in each]
    assert len(ids) == len(set(ids))
    assert {each["href"] for tag, each in page.tags if tag == "a"} <= {f"#{name}" for name in ids}
    assert ("html", {"lang": "en"}) in page.tags


def test_names_are_text_and_no_markup() -> None:
    names = ("<b>ant</b>", '"bee"', "cat & co", "{{ dog }}")
    ref = REF.model_copy(update={"class_names": names})
    page = read(tracked=run(dataset=ref), evaluations=[evaluation("test", TEST, names)])
    assert [row[0] for row in page.rows["confusion"][1:]] == list(names)


def test_how_it_was_made_names_run_version_and_data() -> None:
    made = {row[0]: row[1] for row in read().rows["made"]}
    assert made["run"] == f"mine-net s1 abababab, {RUN_ID}"
    assert made["version"] == "models:/vgg16-insects/3"
    assert made["data"] == f"insects, digest {REF.digest}; train 400, val 70, gate 13, test 130"
    assert made["trained"] == "2025-10-09 08:53 UTC, for 61 seconds, 344 images a second"
    assert made["one image takes"] == "2.5 ms"
