"""Fixed numbers in, right words out, in both languages; and a page that needs nothing else."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tests.reports.planted import ten_epochs
from vgg16.config import catalog, studies
from vgg16.config.types import Study
from vgg16.evaluation.metrics import evaluate
from vgg16.network.describe import Description, LayerRow
from vgg16.records import DatasetRef, ModelVersion, TrackedRun
from vgg16.reports.study import changes
from vgg16.reports.study.compare import Result, best, compare
from vgg16.reports.study.course import conditions, course_texts
from vgg16.reports.study.members import diverged, why_diverged
from vgg16.reports.study.page import Facts, Losses, report, summary
from vgg16.reports.study.pairs import pair
from vgg16.reports.study.tables import Network
from vgg16.reports.study.words import Words, texts, words_of
from vgg16.steps.study.facts import command
from vgg16.training.records import Diagnosis, Divergence

N = 600
NAMES = catalog.dataset("cifar10").class_names
REF = DatasetRef(
    name="cifar10",
    digest="ab" * 32,
    key="k",
    class_names=NAMES,
    splits={"train": 2100, "val": 600, "gate": 300, "test": N},
)
STUCK = Divergence(kind="stuck", epoch=10, best=0.113, chance=0.1)


def study(language: str = "en") -> Study:
    return studies.choose("course", ["dataset=cifar10", f"language={language}"])[0]


def learned(name: str, right: range, val: float, question: str = "scratch") -> Result:
    """A member that answers these of the 600 test images right, ten epochs of which the eighth was best on val."""
    member = next(member for member in study().members if member.name == f"course-{name}")
    labels = np.arange(N) % 10
    answers = np.where(np.isin(np.arange(N), right), labels, (labels + 1) % 10)
    probabilities = np.full((N, 10), 0.01, np.float32)
    probabilities[np.arange(N), answers] = 0.91
    run = TrackedRun(
        experiment=member.name,
        run_id="r" * 32,
        run_name=name,
        url="",
        model=ModelVersion(name="vgg16-cifar10", version="3", stage="None", run_id="r", experiment=member.name),
        metrics={"best_val_top1": val, "best_epoch": 8.0, "train_seconds": 61.0, "images_per_s": 344.0},
        status="finished",
    )
    epochs = ten_epochs(val)
    test = evaluate("test", "", probabilities, labels, NAMES)
    return Result(question, member, run, epochs=epochs, test=test, answers=(labels, answers))


def lost(name: str, divergence: Divergence | None, diagnosis: Diagnosis | None = None, cause: str = "") -> Result:
    """A member that diverged."""
    member = learned(name, range(0), 0.1)
    assert member.run
    run = member.run.model_copy(update={"status": "diverged", "cause": cause, "model": None})
    return Result("scratch", member.experiment, run, epochs=member.epochs, diagnosis=diagnosis, divergence=divergence)


REFERENCE = learned("reference-sgd", range(180), 0.31)
NORMALISED = learned("batchnorm-sgd", range(60, 330), 0.46)
DROPPED = learned("dropout-sgd", range(60, 325), 0.45)
DEAD = lost("batchnorm-adam", STUCK, Diagnosis(units=4736, dead=600, silent="fc1", answer="cat", share=1.0))
NAN = Divergence(kind="loss", epoch=1, step=4, loss=float("nan"))
BROKEN = lost("reference-adam", NAN, Diagnosis(broken=("block1_conv1", "fc1")))
RESULTS = (BROKEN, REFERENCE, DEAD, NORMALISED, DROPPED)


def sentences(language: str, results: Sequence[Result] = RESULTS) -> list[str]:
    words = words_of(study(language), results)
    return [pair(comparison, words) for comparison in compare(study(), study().questions[0], results)]


def test_a_difference_that_is_shown_is_told_with_both_intervals_and_its_own() -> None:
    (sentence,) = [text for text in sentences("en") if text.startswith("Batch normalisation raised")]
    assert sentence == (
        "Batch normalisation raised top-1 on test from 0.300 (0.265 to 0.338) to 0.450 (0.411 to 0.490): +15.0 points "
        "(+10.4 to +19.5), shown (p < 0.001). batchnorm-sgd against reference-sgd."
    )


def test_the_same_in_french_has_its_commas() -> None:
    (sentence,) = [text for text in sentences("fr") if "reference-sgd" in text and "batchnorm-sgd" in text]
    assert "monte de 0,300 (0,265 à 0,338) à 0,450 (0,411 à 0,490), soit +15,0 points" in sentence
    assert "(p < 0,001)" in sentence
    assert sentence.startswith("La normalisation par lots\u202f:")


def test_a_difference_that_may_be_chance_is_called_that() -> None:
    (sentence,) = [text for text in sentences("en") if text.startswith("Dropout 0.2 moved")]
    assert "\u22120.8 points" in sentence
    assert "which may be chance (p = 0.062)" in sentence


def test_a_difference_that_would_do_alone_does_not_among_several() -> None:
    """Six images that one alone answers right are p = 0.031: more than a half of 0.05, which Holm asks of two."""

    def outcomes(*results: Result) -> list[str]:
        return [pair.outcome for pair in compare(study(), study().questions[0], results) if pair.paired]

    step, two_steps = learned("batchnorm-sgd", range(186), 0.4), learned("dropout-sgd", range(192), 0.4)
    assert outcomes(REFERENCE, step) == ["better"]
    assert outcomes(REFERENCE, step, two_steps) == ["unclear", "unclear"]
    texts_of_both = sentences("en", (REFERENCE, step, two_steps))
    assert all("Alone this would be shown (p = 0.031); as one of 2 comparisons" in text for text in texts_of_both)


def test_who_diverged_is_told_with_the_cause_inside_it() -> None:
    words = words_of(study(), RESULTS)
    assert diverged(BROKEN, words) == (
        "reference-adam diverged: its loss became NaN in epoch 1, step 4; the weights of 2 layers are infinite or NaN, "
        "from block1_conv1 on."
    )
    assert diverged(DEAD, words) == (
        "batchnorm-adam diverged: it never left chance, at most 0.113 in 10 epochs, where one answer to everything "
        "gives 0.100; 600 of 4,736 ReLU units are dead, 0 for every image of val, all of fc1 among them; 100 % of "
        "val are answered “cat”."
    )
    assert "dont toutes celles de fc1" in diverged(DEAD, words_of(study("fr")))
    assert [why[:17] for why in why_diverged(RESULTS, words)] == ["A step that is fa", "A step that is fa"]


LOGGED_BY_0_1 = "the loss became nan in epoch 1, step 4; weights of 2 layers are infinite or nan, from fc1 on"
DIVERGENCES: dict[str, tuple[Divergence, str, str]] = {
    "loss": (
        NAN,
        "its loss became NaN in epoch 1, step 4",
        "sa perte est devenue NaN à l\u2019époque 1, au pas 4",
    ),
    "infinite loss": (
        Divergence(kind="loss", epoch=2, step=7, loss=float("inf")),
        "its loss became infinite in epoch 2, step 7",
        "sa perte est devenue infinie à l\u2019époque 2, au pas 7",
    ),
    "loss on val": (
        Divergence(kind="val_loss", epoch=3, loss=float("nan")),
        "its loss on val became NaN in epoch 3",
        "sa perte sur val est devenue NaN à l\u2019époque 3",
    ),
    "loss that JSON did not keep": (
        Divergence(kind="val_loss", epoch=3),
        "its loss on val became infinite or NaN in epoch 3",
        "sa perte sur val est devenue infinie ou NaN à l\u2019époque 3",
    ),
    "weights": (
        Divergence(kind="weights", epoch=4),
        "weights became infinite or NaN in epoch 4",
        "des poids sont devenus infinis ou NaN à l\u2019époque 4",
    ),
    "stuck": (
        STUCK,
        "it never left chance, at most 0.113 in 10 epochs, where one answer to everything gives 0.100",
        "il n\u2019a jamais quitté le hasard, au plus 0,113 en 10 époques, quand une même réponse à tout donne 0,100",
    ),
    "other": (Divergence(kind="other", epoch=0, text=LOGGED_BY_0_1), LOGGED_BY_0_1, LOGGED_BY_0_1),
}


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_each_kind_of_divergence_is_told_in_both_languages(kind: str) -> None:
    divergence, english, french = DIVERGENCES[kind]
    member = lost("reference-adam", divergence)
    assert diverged(member, Words("en", "course-")) == f"reference-adam diverged: {english}."
    assert diverged(member, Words("fr", "course-")) == f"reference-adam a divergé\u202f: {french}."


def test_every_kind_of_divergence_is_tested() -> None:
    kinds = get_args(Divergence.model_fields["kind"].annotation)
    assert {divergence.kind for divergence, _, _ in DIVERGENCES.values()} == set(kinds)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_words_of_a_run_that_0_1_logged_are_told_once(language: str) -> None:
    """They have the diagnosis in them."""
    member = lost("reference-adam", None, Diagnosis(broken=("fc1", "fc2")), cause=LOGGED_BY_0_1)
    sentence = diverged(member, Words(language, "course-"))
    assert sentence.endswith(f"{LOGGED_BY_0_1}.")


def test_the_best_is_chosen_on_val_and_never_on_test() -> None:
    unlucky = learned("dropout-sgd", range(600), 0.2)
    assert best([NORMALISED, unlucky]) is NORMALISED
    assert best([BROKEN, DEAD]) is None


def test_the_answer_in_a_line_names_the_best_and_those_that_diverged() -> None:
    line = summary(study(), RESULTS)["From scratch"]
    assert line.startswith("the best on val is batchnorm-sgd, with 0.450 (0.411 to 0.490) on test; batch normalisation")
    assert line.endswith("diverged: reference-adam, batchnorm-adam.")
    assert summary(study(), RESULTS)["The optimal network"].startswith("there is no answer")


def facts() -> Facts:
    row = LayerRow(name="conv", kind="Conv2D", shape=(32, 32, 64), parameters=1792, flops=2)
    norm = LayerRow(name="bn", kind="BatchNormalization", shape=(32, 32, 64), parameters=256, flops=0)
    plain = Description(name="", parameters=1792, trainable=1792, flops=2, layers=(row,))
    more = Description(name="", parameters=2048, trainable=1920, flops=2, layers=(row, norm))
    return Facts(
        ref=REF,
        superclasses={},
        networks=[Network("scratch", "reference", plain), Network("scratch", "batchnorm", more)],
        losses=Losses(256, 10, 2.787102, 2.787102),
        made={"machine": "two <cores>"},
        command="vgg16 study course",
    )


@pytest.fixture(scope="module", params=["en", "fr"])
def pages(request: pytest.FixtureRequest) -> tuple[str, str, dict[str, str]]:
    made = report(study(request.param), RESULTS, facts())
    return next(iter(made.values())), next(text for name, text in made.items() if name.endswith(".md")), made


def test_the_page_needs_no_other_file_no_network_and_no_script(pages: tuple[str, str, dict[str, str]]) -> None:
    html, _, _ = pages
    assert re.findall(r'(?:src|href)="(?!data:|#)', html) == []
    assert not re.search(r"<script|<link|@import|url\(", html)
    assert len(html) < 500_000
    assert "two &lt;cores&gt;" in html


def test_page_and_markdown_have_the_same_sentences_and_tables(pages: tuple[str, str, dict[str, str]]) -> None:
    import html as escaping

    html, markdown, _ = pages
    markdown = escaping.unescape(re.sub(r"\\(\W|_)", r"\1", markdown))
    for line in re.findall(r"^- (.+)$", markdown, re.MULTILINE):
        assert escaping.escape(line, quote=False).replace('"', "&#34;").replace("'", "&#39;") in html
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert len(cells) > 50
    assert all(escaping.unescape(cell) in markdown for cell in cells)


def test_what_the_markdown_tells_of_others_is_text_and_the_command_stays_one() -> None:
    told = facts()
    made = {"machine": "a | b <script>", "commit": "two\n# lines `code`"}
    page = report(study(), RESULTS, replace(told, made=made, command="vgg16 study course --set 'base=<a> | *'"))
    for line in (r"| machine | a \| b &lt;script> |", r"| commit | two \# lines \`code\` |"):
        assert line in page["course.md"].splitlines()
    assert "\nvgg16 study course --set 'base=<a> | *'\n" in page["course.md"]


def test_every_picture_of_the_markdown_is_among_the_files(pages: tuple[str, str, dict[str, str]]) -> None:
    _, markdown, made = pages
    named = re.findall(r"\]\((figures/.+?)\)", markdown)
    assert len(named) == 3
    assert set(named) == {name for name in made if name.startswith("figures/")}


def test_the_same_results_give_the_same_bytes() -> None:
    assert report(study(), RESULTS, facts()) == report(study(), RESULTS, facts())


def test_additions_are_counted() -> None:
    page = report(study(), RESULTS, facts())["course.md"]
    assert "batchnorm adds 1 BatchNormalization to reference: +256 parameters, 128 of them trainable." in page


def asked(study: Study, results: Sequence[Result] = ()) -> dict[str, str]:
    """What each question of the course is told to ask."""
    words = words_of(study, results)
    return {
        question.name: changes.question_asked(study, question, "From scratch", words) for question in study.questions
    }


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_course_with_its_own_settings_has_its_own_words(language: str) -> None:
    own = course_texts(language)
    assert asked(study(language)) == {
        name: words_of(study(language)).own(f"asked.{name}", ()) for name in ("scratch", "optimal", "frozen", "further")
    }
    assert all(f"question.{question.name}" in own for question in study().questions)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_the_course_asks_with_other_settings_is_told_from_those(language: str) -> None:
    row, _ = studies.choose("course", ["batch_size=60", "phases.0.epochs=1", f"language={language}"])
    told = asked(row)
    for name in ("scratch", "frozen", "further"):
        assert ("batches of 60 images" if language == "en" else "des lots de 60 images") in told[name]
        assert not re.search(r"\b64 |\b10 (?:epochs|époques)|\b100\b", told[name].replace("64 pixels", ""))
    assert "1 epoch," in told["scratch"] or "1 époque," in told["scratch"]
    assert "20" not in told["optimal"]
    longer, _ = studies.choose("course", ["course-optimal.phases.0.epochs=3", f"language={language}"])
    assert "phases.0.epochs=3" in asked(longer)["optimal"]
    assert asked(longer)["scratch"] == asked(study(language))["scratch"]


def test_another_base_is_not_told_as_imagenets(tmp_path: Path) -> None:
    weights = tmp_path / "other.h5"
    weights.touch()
    row, _ = studies.choose("course", ["dataset=cifar10", f"base={weights}"])
    titles = summary(row, RESULTS)
    assert "frozen" in titles
    assert "ImageNet's VGG-16, frozen" in summary(study(), RESULTS)
    assert "the weights of other.h5" in asked(row)["frozen"]
    frozen = next(member for member in row.members if member.name == "course-frozen-slow-dataset")
    plain = learned("frozen-slow-dataset", range(350), 0.6, "frozen")
    pairs = compare(row, row.questions[2], [NORMALISED, follower(row), Result(**{**vars(plain), "experiment": frozen})])
    change = pair(pairs[0], words_of(row, RESULTS))
    assert change.startswith("The weights of other.h5 in place of random weights, no batch normalisation in place of")
    assert "ImageNet" not in change


def follower(row: Study) -> Result:
    """The network that follows from the best one from scratch."""
    best_one = next(member for member in row.members if member.name == "course-batchnorm-sgd")
    experiment = studies.follow(row.questions[1], best_one, row)
    return Result(
        **{**vars(learned("batchnorm-sgd", range(200), 0.4)), "question": "optimal", "experiment": experiment}
    )


def test_the_course_says_batch_normalisation_of_what_has_it_and_not_of_what_lost_it() -> None:
    """The frozen base has none, and the optimal network it is compared with has."""
    frozen = learned("frozen-slow-dataset", range(350), 0.6, "frozen")
    results = [*RESULTS, follower(study()), frozen]
    (comparison,) = compare(study(), study().questions[2], results)
    change, _, _ = pair(comparison, words_of(study(), results)).partition(" raised top-1 on test from ")
    # Nor is its rate told with the epochs of another pair: 15.
    assert change == (
        "A frozen base from ImageNet in place of random weights, no batch normalisation in place of batch "
        "normalisation after each ReLU and 2 other settings"
    )


def test_a_study_of_that_name_with_other_members_is_not_the_course() -> None:
    first = study().questions[0]
    turned = first.model_copy(update={"compared": tuple((other, one) for one, other in first.compared)})
    row = study().model_copy(update={"questions": (turned, *study().questions[1:])})
    assert words_of(row, RESULTS).course is None
    page = report(row, RESULTS, facts())["course.md"]
    assert "No batch normalisation in place of batch normalisation after each ReLU lowered top-1" in page
    assert "Which loss needs which labels" not in page


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_with_the_same_placeholders() -> None:
    for english, french in ((texts("en"), texts("fr")), (course_texts("en"), course_texts("fr"))):
        assert english.keys() == french.keys()
        differing = {key for key in english if placeholders(english[key]) != placeholders(french[key])}
        assert differing == set()
    assert course_texts("en").keys() == conditions().keys()


def test_numbers_are_written_as_the_language_does() -> None:
    def number(language: str, *given: Any) -> str:
        return Words(language, "").number(*given)

    assert number("en", 14_977_354, 0) == "14,977,354"
    assert number("fr", 14_977_354, 0) == "14\u202f977\u202f354"
    assert number("fr", -0.5, 1) == "\u22120,5"


def test_auto_is_no_other_normalisation_than_the_one_it_stands_for() -> None:
    block5 = learned("block5", range(350), 0.6, "further")
    plain = learned("frozen-slow-weights", range(340), 0.6, "frozen")
    (comparison,) = compare(study(), study().questions[3], (block5, plain))
    assert [difference.key for difference in comparison.differences] == ["phases"]
    assert pair(comparison, words_of(study())).startswith("Unfreezing the last block raised top-1")


def test_a_weights_file_is_told_without_its_folder(tmp_path: Path) -> None:
    weights = tmp_path / "vgg16_notop.h5"
    weights.touch()
    given = ["dataset=cifar10", f"base={weights}", "language=fr", "course-larger.base=models:/vgg16-cifar10/3"]
    line = command(studies.choose("course", given)[0], given)
    assert str(tmp_path) not in line
    assert "base=vgg16_notop.h5" in line
    assert "course-larger.base=models:/vgg16-cifar10/3" in line
