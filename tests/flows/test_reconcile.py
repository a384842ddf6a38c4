"""How a check of stages ends, and what the history shows of evidence."""

from __future__ import annotations

from typing import Any

import pytest

from vgg16.cli.show import versions as show_versions
from vgg16.errors import RefusedError, RequestError, Vgg16Error
from vgg16.flows import tasks
from vgg16.flows.reconcile import stages
from vgg16.promotion.reconcile import Reconciliation
from vgg16.promotion.records import Standing
from vgg16.workplace import settings

STANDING = Standing(history=(), champion="", before="", reference="")
FOUND = {
    "vgg16-a": Reconciliation(STANDING, "unmoved"),
    "vgg16-b": Reconciliation(STANDING, "undone", "b was moved"),
    "vgg16-c": Reconciliation(STANDING, "adopted", "c was moved"),
}
ENDS = {
    (): ("Unmoved", "0 registered models"),
    ("vgg16-a",): ("Unmoved", "1 registered models"),
    ("vgg16-a", "vgg16-b"): ("Undone", "b was moved"),
    ("vgg16-a", "vgg16-b", "vgg16-c"): ("Adopted", "b was moved; c was moved"),
}


@pytest.mark.parametrize("names", ENDS)
def test_the_check_of_stages_ends_as_what_it_found(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    monkeypatch.setattr(tasks, "offer_models", lambda: None)
    monkeypatch.setattr(tasks, "find_models", lambda: list(names))
    monkeypatch.setattr(tasks, "check_stages", FOUND.__getitem__)
    name, message = ENDS[names]
    state = stages.fn()
    assert (state.name, state.type.value) == (name, "COMPLETED")
    assert message in state.message


def test_a_model_whose_ledger_is_elsewhere_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def check(name: str) -> Reconciliation:
        seen.append(name)
        if name == "vgg16-b":
            raise RefusedError("The ledger of vgg16-b is in s3://other.", "Set VGG16_STORE=s3://other")
        return FOUND[name]

    monkeypatch.setattr(tasks, "offer_models", lambda: None)
    monkeypatch.setattr(tasks, "find_models", lambda: list(FOUND))
    monkeypatch.setattr(tasks, "check_stages", check)
    with pytest.raises(Vgg16Error, match="Set VGG16_STORE=s3://other"):
        stages.fn()
    assert seen == list(FOUND)


@pytest.mark.parametrize(("value", "expected"), [("", "undo"), ("undo", "undo"), ("adopt", "adopt"), ("keep", None)])
def test_what_becomes_of_a_move_by_hand_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    monkeypatch.setenv("VGG16_MOVED_BY_HAND", value)
    if expected:
        assert settings.load.__wrapped__().moved_by_hand == expected
    else:
        with pytest.raises(RequestError, match="VGG16_MOVED_BY_HAND: expected undo or adopt, found 'keep'"):
            settings.load.__wrapped__()


JUDGED = {"difference": 0.021, "difference_low": 0.009, "difference_high": 0.033, "p": 0.001, "judgement": 3.0}
EVIDENCE: dict[str, tuple[dict[str, float], str]] = {
    "judged": (JUDGED, "+2.1 points (0.9 to 3.3), p 0.001, judgement 3"),
    "worse": (
        {"difference": -0.004, "difference_low": -0.02, "difference_high": 0.012, "p": 0.4},
        "-0.4 points (-2.0 to 1.2), p 0.400",
    ),
    "the first": ({"gate_images": 100.0, "challenger_gate_top1": 0.9}, "90.0 %"),
    "before judgements": ({"challenger_gate_top1": 0.9, "champion_gate_top1": 0.85}, "90.0 % after 85.0"),
    "none": ({}, ""),
}


@pytest.mark.parametrize("case", EVIDENCE)
def test_the_history_shows_who_when_why_and_the_evidence_in_short(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, told = EVIDENCE[case]
    entry: dict[str, Any] = {"number": 1, "at": "2026-01-01", "by": "anna", "action": "promote", "version": "4"}
    entry |= {"previous": "3", "reasons": ["forced: demo", "too slow"], "forced": True, "evidence": numbers}
    entry |= {"exports": {"onnx": "0123456789abcdef" * 4}}
    show_versions.history({"entries": [entry]})
    shown = " ".join(capsys.readouterr().out.split())
    for part in ("2026-01-01", "anna", "promote (forced)", told, "onnx 0123456789ab", "forced: demo; too slow"):
        assert part in shown
