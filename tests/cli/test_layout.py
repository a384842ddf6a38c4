"""Answers on a terminal of any width, and where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from vgg16.cli.layout import compared, history, tables
from vgg16.cli.show import versions as show_versions

WIDTHS = (40, 60, 80, 120, None)
INTERVAL = "0.9930 (0.961 to 0.999)"
VERSION = {"model": "vgg16-flowers-of-the-garden", "version": 3, "stage": "Production", "verdict": "promote"}
TABLES: dict[str, list[dict[str, Any]]] = {
    "versions": [VERSION | {"waits for": None, "gate top-1": INTERVAL, "experiment": "flowers-finetune-fast"}] * 2,
    "texts": [
        {"name": "flowers-finetune-fast", "epochs": 19, "about": "the head, then blocks 3 to 5, " * 5},
        {"name": "x", "epochs": 2, "about": ""},
    ],
    "two texts": [{"key": "phases.1.optimizer.weight_decay", "allowed": "one of these " * 4, "meaning": "so " * 60}],
    "an address": [{"image": f"/data/{'deep/' * 12}cat.png", "label": "cat"}],
    "wide letters": [{"class": "\u732b" * 6, "pictures": 12}, {"class": "caf\u0065\u0301", "pictures": 3}],
    "a single column": [{"name": "a"}],
}


def words(rows: list[dict[str, Any]]) -> set[str]:
    return {word for row in rows for cell in row.values() if cell is not None for word in str(cell).split()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_no_word_is_broken_and_no_line_is_longer_than_the_terminal(name: str, width: int | None) -> None:
    rows = TABLES[name]
    lines = tables.lines(rows, width)
    shown = " ".join(lines).split()
    assert words(rows) <= set(shown)
    assert all(line == line.rstrip() for line in lines)
    if width is None:
        assert len(lines) == 1 + len(rows)
    else:
        longest = max(map(len, words(rows)))
        assert all(len(line) <= max(width, longest + 4) for line in lines)


def test_columns_of_letters_of_two_places_are_aligned() -> None:
    head, cat, coffee = tables.lines(TABLES["wide letters"], 80)
    assert head == "class         pictures"
    assert cat == f"{chr(0x732B) * 6}        12"
    assert coffee == f"cafe{chr(0x301)}                 3"


def test_a_name_with_spaces_is_whole_where_it_is_said_to_be_one() -> None:
    rows = [{"image": "my cat on the mat.png", "label": "cat", "then": "dog 12.0%, bird 3.0%"}]
    for width in (30, 40, 50, None):
        assert "my cat on the mat.png" in "\n".join(tables.lines(rows, width, whole=("image",)))


ENDS = {"low": -1, "high": 1}


def runs(count: int) -> list[dict[str, Any]]:
    return [
        {
            "run_id": f"{number:x}" * 32,
            "name": f"flowers-finetune-fast s{number} 3e40e254 {number:x}{number:x}{number:x}{number:x}",
            "status": "finished",
            "model": f"vgg16-flowers/{number}",
            "verdict": "promote" if number == 3 else "",
            "params": {"seed": str(number // 3), "phases.0.optimizer.learning_rate": "0.01", "batch_size": "64"}
            | ({"phases.1.epochs": "7"} if number % 2 else {}),
            "metrics": {"best_val_top1": 0.9, "gate_top1": 0.9, "gate_top1_low": 0.8, "gate_top1_high": 0.95},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_six_runs_are_compared_with_their_names_whole_and_what_differs_alone(width: int | None) -> None:
    six = runs(6)
    lines = compared.lines(six, width)
    text = "\n".join(lines)
    for run in six:
        assert run["name"] in text
        assert run["run_id"][:8] in text
        assert run["model"] in text
    assert "phases.1.epochs" in text
    assert "batch_size" not in text
    if width:
        assert max(map(len, lines)) <= max(width, 60)


def test_runs_that_have_no_room_side_by_side_have_letters() -> None:
    lines = compared.lines(runs(6), 80)
    assert lines[-2:] == ["phases.1.epochs  -: a c e; 7: b d f", "seed             0: a b c; 1: d e f"]
    assert compared.lines(runs(2), 200)[-1].split() == ["verdict"]
    assert "a          0.9000  0.9000 (0.800 to 0.950)" in lines


@pytest.mark.parametrize("width", [80, 200, None])
def test_top1_without_copies_is_compared_where_a_run_has_it(width: int | None) -> None:
    shares = {"gate_top1_unseen": 0.8, "test_top1": 0.88, "test_top1_unseen": 0.81, "test_top1_from_seen": 0.07}
    ends = {f"{name}_{end}": value + 0.05 * sign for name, value in shares.items() for end, sign in ENDS.items()}
    some = runs(6 if width == 80 else 2)
    before = compared.lines(some, width)
    assert "seen" not in "\n".join(before)
    some[1]["metrics"] |= shares | ends
    lines = compared.lines(some, width)
    text = "\n".join(lines)
    for value in ("0.8000 (0.750 to 0.850)", "0.8100 (0.760 to 0.860)", "0.0700 (0.020 to 0.120)"):
        assert value in text
    if width == 80:
        assert "   gate, unseen             test, unseen             test: seen add" in lines
        assert max(map(len, lines)) <= 80
    else:
        assert len(lines) == len(before) + 3


def test_what_newer_images_showed_stands_beside_what_all_did() -> None:
    numbers = {"difference": 0.017, "difference_low": 0.001, "difference_high": 0.033, "p": 0.02, "judgement": 3.0}
    before = history.evidence(numbers)
    assert before == "+1.7 points (0.1 to 3.3), p 0.020, judgement 3"
    assert history.evidence(numbers | {"gate_newer_images": 100.0, "difference_newer": 0.17}) == (
        f"{before}, +17.0 on 100 newer images"
    )


def test_the_ledger_is_blocks_on_a_terminal_and_a_line_for_each_entry_elsewhere() -> None:
    entry: dict[str, Any] = {"number": 2, "at": "2026-01-01", "by": "anna", "action": "promote", "version": "4"}
    entry |= {"previous": "3", "reasons": ["forced: demo " * 9, "too slow"], "forced": True, "evidence": {"p": 0.01}}
    entry |= {"exports": {"onnx": "0123456789abcdef" * 4, "litert-int8": "fedcba9876543210" * 4}}
    assert "  onnx 0123456789ab, litert-int8 fedcba987654  " in history.lines([entry], None)[1]
    _, first, *others = history.lines([entry, entry], None)
    assert (first, len(others)) == (others[0], 1)
    block = history.lines([entry], 60)
    assert block[0] == "2  promote (forced) version 4"
    assert block[1:4] == ["  when      2026-01-01", "  by        anna", "  before    3"]
    assert block[5] == "  files     onnx 0123456789ab, litert-int8 fedcba987654"
    assert block[-1] == "            too slow"
    older = history.lines([entry | {"exports": {}}], 60)
    assert older == [line for line in block if not line.startswith("  files")]
    assert max(map(len, block)) <= 60


def test_nothing_is_padded_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_versions.models(
        {"models": [VERSION | {"name": "m", "warnings": [], "metrics": {}, "experiment": "e" * 300}] * 2}
    )
    show_versions.history({"entries": []})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert all(line == line.rstrip() for line in printed)
