"""What `vgg16 promote` answers where nothing came into production, and what it says to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vgg16.cli import terminal
from vgg16.cli.main import cli
from vgg16.cli.models import registered
from vgg16.errors import RefusedError
from vgg16.flows import promote as flows
from vgg16.promotion.records import Decision

REFUSED = Decision(
    name="vgg16-digits", version="2", verdict="refuse", reasons=("worse",), stage="Archived", previous="1"
)
UNPROVEN = REFUSED.model_copy(update={"reasons": ("ONNX float32: 3 of 143 differ.", "good"), "unproven": "ONNX ..."})
# How it ended, with which options, and what there is to do.
ENDS: dict[str, tuple[Decision, tuple[str, ...], str]] = {
    "refused by the gates": (REFUSED, (), 'vgg16 promote vgg16-digits 2 --force --reason "why"'),
    "not proven": (UNPROVEN, (), "for nothing could serve it: vgg16 export models:/vgg16-digits/2 --format onnx"),
    "not proven, by force": (
        UNPROVEN,
        ("--force", "--reason", "demo"),
        "for nothing could serve it: vgg16 export models:/vgg16-digits/2 --format onnx",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_status_3_names_the_reason_and_a_fix_that_helps(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    decision, options, fix = ENDS[case]
    quiet: Any = SimpleNamespace(open_console=lambda _: None, serve_flows=lambda _: None)
    registry = SimpleNamespace(version=lambda *_: None)
    # It depends on the PATH of whoever runs it.
    monkeypatch.setattr(terminal, "program", lambda: "vgg16")
    monkeypatch.setattr(registered, "prepare", quiet)
    monkeypatch.setattr(
        registered, "open_workplace", lambda: SimpleNamespace(tracker=SimpleNamespace(registry=registry))
    )
    monkeypatch.setattr(flows, "promote", lambda *_: decision)
    with pytest.raises(RefusedError) as refused:
        cli.main(["promote", "vgg16-digits", "2", *options, "--json"], standalone_mode=False)
    assert refused.value.status == 3
    assert refused.value.message == f"vgg16-digits version 2 may not be promoted: {'; '.join(decision.reasons)}."
    assert refused.value.hint.endswith(fix)
    assert refused.value.facts["unproven"] == decision.unproven
