"""Studies that are not the course: each setting swapped both ways, and every sentence of their pages checked against
the values, in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.reports.grammar import read
from tests.reports.planted import REF, Language, experiment, left_out, made, number, phase, share, study, trained
from vgg16.config import catalog
from vgg16.config.overrides import apply_settings
from vgg16.config.types import Augmentation, BackboneChoice, Experiment, GateRules, Optimizer, Phase
from vgg16.reports.study import page
from vgg16.reports.study.compare import Result
from vgg16.reports.study.differences import ORDER, general, settings
from vgg16.reports.study.words import texts


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("curves", "matrix", "matrices"):
        monkeypatch.setattr(page, name, lambda *_: "<svg/>")


CASES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("cases.toml").read_text(encoding="utf-8"))


def member(name: str, side: dict[str, Any]) -> Experiment:
    """The experiment of one side of a case."""
    row = experiment(name)
    phases = tuple(row.phases[0].model_copy(update=phase) for phase in side.get("phases", ()))
    (row,), _ = apply_settings([row.model_copy(update={"phases": phases or row.phases})], side["set"])
    return row


PHASES = (Phase(image_size=16, augmentation=Augmentation(flip=True), optimizer=Optimizer(name="sgd")), Phase())

# What a page of any study may say only in naming the values of its members.
TOPICS = (
    "normalisation|normalization|ImageNet|dropout|nlarg|grandi|Keras|crossentropy|learned nothing|chance:|photograph"
)


def change_between(one: dict[str, Any], other: dict[str, Any], language: Language) -> str:
    """The change that two members are told to differ in."""
    last = other["bare"] if "bare" in one and "bare" in other else other[language]
    if language == "fr" and re.fullmatch(r"[\d.]+", last):
        last = last.replace(".", ",")
    joint = {"en": "in place of", "fr": "et non"}[language]
    return f"{one[language]} {joint} {last.replace(' and ', ' et ') if language == 'fr' else last}"


def check_member(kinds: dict[str, list[dict[str, str]]], best: Result) -> None:
    """What is said of the best one: its curves and its mistakes, counted here once more."""
    name = best.name.removeprefix("mine-")
    (gap,), (past,), (confused,), (registered,) = (kinds[kind] for kind in ("gap", "past", "confused", "registered"))
    assert {row["name"] for row in (gap, past, confused, registered)} == {name}
    last = best.epochs[-1]
    assert (gap["train"], gap["val"]) == (f"{100 * last.train_top1:.0f}", f"{100 * last.val_top1:.0f}")
    assert (past["epoch"], past["epochs"]) == ("8", "10")
    assert best.test
    wrong = {
        (row, column): count
        for row, counts in enumerate(best.test.confusion)
        for column, count in enumerate(counts)
        if row != column
    }
    most = max(wrong.values())
    row, column = next(cell for cell, count in wrong.items() if count == most)
    assert (confused["label"], confused["answer"]) == (REF.class_names[row], REF.class_names[column])
    assert (int(confused["count"]), int(confused["of"])) == (most, 60)
    ties = list(wrong.values()).count(most) - 1
    assert (confused.get("ties", "0") in ("one", "une") and ties == 1) or int(confused.get("ties", "0")) == ties
    recalls = [score.recall for score in best.test.classes]
    if "alike" in confused:
        assert len(set(recalls)) == 1
        assert number(confused["alike"]) == pytest.approx(recalls[0], abs=5e-4)
    else:
        assert recalls[REF.class_names.index(confused["surest"])] == max(recalls)
        assert recalls[REF.class_names.index(confused["hardest"])] == min(recalls)
        assert number(confused["surest_recall"]) == pytest.approx(max(recalls), abs=5e-4)
        assert number(confused["hardest_recall"]) == pytest.approx(min(recalls), abs=5e-4)


def check_pair(pair: dict[str, str], one: Result, other: Result, language: Language) -> None:
    """Who is better than whom, by how much, of a pair whose difference is shown."""
    assert (pair["one"], pair["other"]) == (one.name.removeprefix("mine-"), other.name.removeprefix("mine-"))
    assert (pair["one_top1"], pair["other_top1"]) == (share(one, language), share(other, language))
    assert one.test
    assert other.test
    difference = one.test.top1 - other.test.top1
    verbs = {"en": ("raised", "lowered"), "fr": ("monte", "descend")}[language]
    assert pair["verb"] == verbs[difference < 0]
    assert number(pair["points"]) == pytest.approx(100 * difference, abs=0.05)
    assert "shown" in pair["end"] or "démontré" in pair["end"]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("swapped", [False, True], ids=["as written", "swapped"])
@pytest.mark.parametrize("case", CASES)
def test_two_members_are_told_apart_by_both_values_of_what_differs(
    case: str, swapped: bool, language: Language
) -> None:
    """The first one answers 330 of 600 right, the second one 180: whichever is compared with the other."""
    sides = [CASES[case]["one"], CASES[case]["other"]]
    strong, weak = member("strong", sides[0]), member("weak", sides[1])
    results = {strong.name: trained(strong, range(60, 390), 0.5), weak.name: trained(weak, range(180), 0.3)}
    one, other = (weak, strong) if swapped else (strong, weak)
    markdown = made(study(one, other, language=language), [results[one.name], results[other.name]])
    kinds = read(markdown, language)

    change = change_between(*(sides[::-1] if swapped else sides), language)
    (pair,) = kinds["pair"]
    assert pair["change"] == change[:1].upper() + change[1:]
    check_pair(pair, results[one.name], results[other.name], language)
    check_member(kinds, results[strong.name])

    (answer,) = kinds["answer"]
    assert answer["title"] == "planted"
    best, shown = answer["short"].removesuffix(".").split(" ; " if language == "fr" else "; ")
    assert best.startswith(("the best on val is strong, with", "le meilleur sur val est strong, avec"))
    assert share(results[strong.name], language) in best
    assert change in shown
    helped = {"en": ("helped", "harmed"), "fr": ("utile", "nuisible")}[language]
    assert helped[swapped] in shown
    assert helped[not swapped] not in shown
    assert pair["points"] in shown

    (asked,) = kinds["asked"]
    assert asked["count"] == "2"
    first, second = (side[language] for side in (sides[::-1] if swapped else sides))
    either = {"en": "or", "fr": "ou"}[language]
    assert asked["varying"] == f"{first} {either} {second}"
    batches = {row.batch_size for row in (one, other)}
    assert ("64" in asked["common"]) == (batches == {64})

    (lead,) = kinds["lead"]
    assert (lead["members"], lead["classes"], lead["dataset"]) == ("2", "10", "cifar10")
    assert [re.sub(r"\D", "", lead[split]) for split in ("train", "val", "test")] == ["2100", "400", "600"]
    assert kinds["seed"][0]["next"] == "2"
    head = kinds["row"][0]["text"]
    assert kinds.keys() - {"row", "title", "heading", "part", "picture", "code", "hint"} == {
        *("lead", "answer", "seed", "asked", "pair", "gap", "past", "confused", "registered")
    }, head

    rest = [row["text"] for kind, rows in kinds.items() for row in rows if kind not in ("asked", "row")]
    unnamed = "\n".join(rest).replace(change, "").replace(pair["change"], "")
    assert re.findall(TOPICS, unnamed, re.IGNORECASE) == []


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("case", CASES)
def test_a_table_of_runs_has_both_values_of_what_differs(case: str, language: Language) -> None:
    one, other = (member(name, CASES[case][side]) for name, side in (("a", "one"), ("b", "other")))
    rows = read(made(study(one, other, language=language), [trained(one, range(9), 0.1), left_out(other)]), language)
    cells = [[cell.strip() for cell in row["text"].strip("|").split("|")] for row in rows["row"]]
    head, first, second = next(
        (head, cells[index + 2], cells[index + 3]) for index, head in enumerate(cells) if head[0] == "run"
    )
    settings = len(head) - 9
    assert settings >= 1
    assert first[1 : settings + 1] != second[1 : settings + 1]
    assert second[-1] == {"en": "left out", "fr": "omis"}[language]


def test_settings_that_come_to_the_same_are_no_difference() -> None:
    """auto, the data set's own size, a phase's augmentation, SGD's momentum of an Adam."""
    one = experiment(
        "one",
        normalization="auto",
        augmentation=Augmentation(shift=4),
        phases=phase(name="adam", momentum=0.9),
    )
    other = experiment(
        "other",
        normalization="dataset",
        image_size=32,
        phases=phase(name="adam", momentum=0.0, augmentation=Augmentation(shift=4), image_size=32),
    )
    kinds = read(made(study(one, other), [trained(one, range(330), 0.5), trained(other, range(180), 0.3)]), "en")
    assert kinds["pair"][0]["change"] == "The run one in place of other, trained with the same settings"
    assert "one and other, trained with the same settings, are +25.0 points apart" in kinds["answer"][0]["short"]
    assert len(kinds["asked_alike"]) == 1


@pytest.mark.parametrize(
    ("language", "change"),
    [
        (
            "en",
            (
                "The run one in place of other, trained with the same settings (after training: gate.floor = 0.8 in "
                "place of 0.5)"
            ),
        ),
        (
            "fr",
            (
                "Le run one et non other, entraîné avec les mêmes réglages "
                "(après l\u2019entraînement : gate.floor = 0,8 et non 0,5)"
            ),
        ),
    ],
)
def test_a_gate_is_not_said_to_change_a_training(language: Language, change: str) -> None:
    one, other = experiment("one", gate=GateRules(floor=0.8)), experiment("other")
    results = [trained(one, range(330), 0.5), trained(other, range(180), 0.3)]
    kinds = read(made(study(one, other, language=language), results), language)
    assert kinds["pair"][0]["change"] == change
    assert not re.search("helped|utile", kinds["answer"][0]["short"])


MANY: list[dict[str, Any]] = [
    {"batch_size": 32},
    {"augmentation": Augmentation(flip=True)},
    {"image_size": 64},
    {"loss": "categorical_crossentropy"},
    {"backbone": BackboneChoice(batch_norm="after")},
]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("count", range(2, 6))
def test_several_differences_are_all_told_or_counted(count: int, language: Language) -> None:
    settings = {key: value for row in MANY[:count] for key, value in row.items()}
    one, other = experiment("one", **settings), experiment("other")
    results = [trained(one, range(330), 0.5), trained(other, range(180), 0.3)]
    change = read(made(study(one, other, language=language), results), language)["pair"][0]["change"]
    named = len(re.findall("in place of|et non", change))
    others = re.search(r"(?:and|et) (\d+) (?:other settings|autres réglages)$", change)
    assert named + (int(others[1]) if others else 0) == count
    assert bool(others) == (count > 3)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_setting_has_words_of_its_own(language: Language) -> None:
    """Gates too are told, by their keys; a setting that comes anew is given a text."""
    rows = [*catalog.SHIPPED.experiments.values(), experiment("two", phases=PHASES)]
    keys = {general(key) for row in rows for key in settings(row) if not key.startswith("gate.")}
    words = texts(language)
    wordless = [
        key for key in sorted(keys) if not any(text.startswith((f"setting.{key}", f"value.{key}.")) for text in words)
    ]
    assert wordless == []


def test_the_settings_that_are_told_in_order_are_those_that_there_are() -> None:
    rows = [*catalog.SHIPPED.experiments.values(), experiment("two", phases=PHASES)]
    keys = {general(key) for row in rows for key in settings(row)}
    assert set(ORDER) - keys == {"phases"}
    assert {key for key in keys if not key.startswith("gate.")} - set(ORDER) == {"score_test"}
