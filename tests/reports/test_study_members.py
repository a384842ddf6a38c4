"""What a study's page says of a member: at chance, diverged, left out, not scored; checked against the values, in both
languages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.reports.grammar import read
from tests.reports.planted import (
    FACTS,
    REF,
    Language,
    broken,
    experiment,
    left_out,
    made,
    number,
    run,
    share,
    study,
    trained,
)
from vgg16.config.types import Experiment, Phase, Question
from vgg16.errors import Vgg16Error, WeightsError
from vgg16.records import LeftOut
from vgg16.reports.study import page
from vgg16.reports.study.compare import Result


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("curves", "matrix", "matrices"):
        monkeypatch.setattr(page, name, lambda *_: "<svg/>")


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    ("correct", "where"),
    [
        (60, "at"),
        (70, "at"),
        (30, "below"),
        (90, "above"),
    ],
)
def test_a_best_member_at_chance_is_called_that(correct: int, where: str, language: Language) -> None:
    """Ten classes as common: chance is 0.1, and 70 of 600 have an interval that holds it."""
    only = experiment("only")
    result = trained(only, range(correct), 0.2)
    assert result.test
    low, high = result.test.top1_interval
    assert {"at": low <= 0.1 <= high, "below": high < 0.1, "above": low > 0.1}[where]
    kinds = read(made(study(only, language=language), [result]), language)
    short = kinds["answer"][0]["short"]
    assert share(result, language) in short
    spoken = {
        "at": {"en": "at chance: ", "fr": "au niveau du hasard : "},
        "below": {"en": "below chance: ", "fr": "sous le niveau du hasard : "},
        "above": {"en": share(result, "en"), "fr": share(result, "fr")},
    }[where][language]
    assert short.lower().startswith(spoken)
    if where == "above":
        assert "chance" not in kinds
    else:
        (sentence,) = kinds["chance"]
        assert sentence["where"] == {"at": ("at", "au"), "below": ("below", "sous le")}[where][language == "fr"]
        assert number(sentence["chance"]) == 0.1
        assert sentence["test"] == share(result, language)
    assert kinds["asked_one"]
    assert kinds["lead"][0]["members"] in ("One", "Un")
    assert "several" not in kinds["lead"][0]


DOWNLOAD = WeightsError("download", "vgg16", "imagenet", "mine-a.base", "No network: <urlopen error>.", "Find one.")
UNREADABLE = WeightsError("read", "vgg19", "/home/me/bad.h5", "mine-a.base", "not HDF5", "")


@pytest.mark.parametrize(
    ("error", "english", "french"),
    [
        (
            DOWNLOAD,
            (
                "ImageNet's weights of VGG-16 could not be downloaded. Download them where there is a network, and "
                "name the file: --set mine-a.base=PATH (or s3://BUCKET/KEY)."
            ),
            (
                "les poids d\u2019ImageNet de VGG-16 n\u2019ont pas pu être téléchargés. "
                "Téléchargez-les là où il y a un réseau, et nommez le fichier : --set mine-a.base=CHEMIN (ou s3://SEAU/CLÉ)."
            ),
        ),
        (
            UNREADABLE,
            (
                "bad.h5 cannot be read as weights of VGG-19. Name another file: "
                "--set mine-a.base=PATH (or s3://BUCKET/KEY)."
            ),
            (
                "bad.h5 n\u2019est pas lisible comme poids de VGG-19. Nommez un autre fichier : "
                "--set mine-a.base=CHEMIN (ou s3://SEAU/CLÉ)."
            ),
        ),
        (
            Vgg16Error("The disk is full."),
            "The disk is full.",
            "message était, en anglais : « The disk is full. »",
        ),
    ],
    ids=["download", "read", "another"],
)
def test_a_reason_is_told_in_the_reports_language(error: Vgg16Error, english: str, french: str) -> None:
    row = experiment("a", base="imagenet")
    result = left_out(row, str(error), LeftOut.of(error))
    for language, cause in (("en", english), ("fr", french)):
        kinds = read(made(study(row, language=language), [result]), language)  # type: ignore[arg-type]
        (sentence,) = kinds["left_out"]
        assert (sentence["name"], sentence["cause"]) == ("a", cause)


def test_an_error_about_weights_keeps_its_reason_from_process_to_process() -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(DOWNLOAD))
    assert LeftOut.of(copy) == LeftOut.of(DOWNLOAD) is not None
    assert (str(copy), copy.hint) == (str(DOWNLOAD), DOWNLOAD.hint)
    assert LeftOut.of(Vgg16Error("no")) is None


STANDINGS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "all left out": (
        ("out", "out"),
        "no network was trained; left out: m0, m1.",
        "aucun réseau n\u2019a été entraîné ; omis : m0, m1.",
    ),
    "all diverged": (
        ("broken", "broken"),
        "every network that was trained diverged; diverged: m0, m1.",
        "tous les réseaux entraînés ont divergé ; ont divergé : m0, m1.",
    ),
    "diverged and left out": (
        ("broken", "out"),
        "every network that was trained diverged; diverged: m0; left out: m1.",
        "tous les réseaux entraînés ont divergé ; ont divergé : m0 ; omis : m1.",
    ),
    "running": (
        ("running", "out"),
        "no network has finished; not finished: m0; left out: m1.",
        "aucun réseau n\u2019a abouti ; inachevés : m0 ; omis : m1.",
    ),
    "not scored": (
        ("untested", "broken"),
        "the best on val is m0, with 0.400 on val; it was not scored on test; diverged: m1.",
        "le meilleur sur val est m0, avec 0,400 sur val ; il n\u2019a pas été noté sur test ; ont divergé : m1.",
    ),
}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("case", STANDINGS)
def test_who_has_no_score_is_told_as_what_became_of_it(case: str, language: Language) -> None:
    standings, english, french = STANDINGS[case]
    rows = [experiment(f"m{number}", batch_size=8 + number) for number in range(len(standings))]
    results = [
        {
            "out": left_out(row, "no"),
            "broken": broken(row),
            "running": Result("planted", row, run(row, 0.1, "running")),
            "untested": trained(row, range(9), 0.4, tested=False),
        }[standing]
        for row, standing in zip(rows, standings, strict=True)
    ]
    kinds = read(made(study(*rows, language=language), results), language)
    assert kinds["answer"][0]["short"] == (english if language == "en" else french)
    assert len(kinds.get("left_out", [])) == standings.count("out")
    assert len(kinds.get("diverged", [])) == standings.count("broken")
    assert ("untested" in kinds["lead"][0]) == ("test" not in kinds["lead"][0])
    if "out" not in standings:
        (sentence,) = kinds["neither" if standings == ("broken", "broken") else "apart"]
        assert sentence["change"].endswith(("8 images in place of 9", "8 images et non 9"))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_one_that_diverged_is_told_before_the_one_that_did_not(language: Language) -> None:
    for swapped in (False, True):
        rows = [experiment("good"), experiment("bad", batch_size=8)]
        results = [trained(rows[0], range(300), 0.5), broken(rows[1])]
        ordered = rows[::-1] if swapped else rows
        (sentence,) = read(made(study(*ordered, language=language), results), language)["apart"]
        assert (sentence["first"], sentence["second"]) == ("bad", "good")
        assert sentence["top1"] == share(results[0], language)
        values = ["8", "64"] if swapped else ["64", "8"]
        assert re.findall(r"\d+", sentence["change"]) == values


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_difference_of_nothing_moves_nothing(language: Language) -> None:
    rows = [experiment("one", batch_size=8), experiment("other")]
    results = [trained(row, range(300), 0.5) for row in rows]
    kinds = read(made(study(*rows, language=language), results), language)
    (sentence,) = kinds["equal"]
    assert sentence["one_top1"] == share(results[0], language)
    short = kinds["answer"][0]["short"]
    assert ("as good on val: other;" if language == "en" else "aussi bons sur val : other ;") in short
    assert "(batches of 8 images in place of 64)" in short or "(des lots de 8 images et non 64)" in short


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_difference_that_may_be_chance_is_said_to_be_no_more(language: Language) -> None:
    rows = [experiment("one", batch_size=8), experiment("other")]
    results = [trained(rows[0], range(303), 0.5), trained(rows[1], range(300), 0.4)]
    (sentence,) = read(made(study(*rows, language=language), results), language)["pair"]
    assert sentence["verb"] in ("moved", "passe")
    assert "chance" in sentence["end"] or "hasard" in sentence["end"]


def test_a_network_without_mistakes_confuses_nothing() -> None:
    row = experiment("only")
    kinds = read(made(study(row), [trained(row, range(600), 1.0)]), "en")
    assert len(kinds["perfect"]) == 1
    assert "confused" not in kinds


def test_seeds_are_counted_before_another_one_is_advised() -> None:
    one, other = experiment("one", seed=3), experiment("other", seed=7)
    results = [trained(row, range(300), 0.5) for row in (one, other)]
    assert read(made(study(one, other), results), "en")["seeds"][0]["seeds"] == "3 and 7"
    assert read(made(study(one), results[:1]), "en")["seed"][0]["next"] == "4"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_question_that_follows_from_another_is_told_with_its_settings(language: Language) -> None:
    row = experiment("one", phases=(Phase(epochs=3),))
    again = Question(name="again", best_of="planted", settings=("phases.0.epochs=6",), compared=(("again", "planted"),))
    whole = study(row, language=language)
    whole = whole.model_copy(update={"questions": (*whole.questions, again)})
    follower = Experiment.model_validate(row.model_dump() | {"name": "mine-again", "phases": [{"epochs": 6}]})
    first = trained(row, range(180), 0.3)
    longer = trained(follower, range(330), 0.5)
    second = Result(**{**vars(longer), "question": "again"})
    kinds = read(made(whole, [first, second]), language)
    (asked,) = kinds["asked_best"]
    assert (asked["question"], asked["settings"]) == ("planted", "phases.0.epochs=6")
    (pair,) = kinds["pair"]
    assert pair["change"] in ("6 epochs in place of 3", "6 époques et non 3")


@pytest.mark.parametrize(("val_images", "by_heart"), [(400, True), (100, True), (40, False)])
def test_a_gap_that_few_images_make_by_chance_is_not_called_learned_by_heart(val_images: int, by_heart: bool) -> None:
    """0.9 on train and 0.68 on val, in the last epoch: of 40 images, three deviations are 0.24."""
    facts = replace(FACTS, ref=REF.model_copy(update={"splits": REF.splits | {"val": val_images}}))
    row = experiment("only")
    kinds = read(page.report(study(row), [trained(row, range(400), 0.7)], facts)["mine.md"], "en")
    assert ("gap" in kinds) == by_heart
