"""Who decided, as the ledger keeps it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vgg16.promotion import reconcile
from vgg16.steps import stages


def decided_by(monkeypatch: pytest.MonkeyPatch) -> str:
    told: list[str] = []
    monkeypatch.setattr(reconcile, "decide", lambda *arguments: told.append(arguments[-1]))
    here: Any = SimpleNamespace(tracker=SimpleNamespace(registry=None), store=None)
    standing: Any = None
    stages.decide(standing, {}, here)
    return told[0]


def test_an_entry_is_by_the_account_whatever_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "\x1b[2Jsomebody else")
    assert decided_by(monkeypatch) == pwd.getpwuid(os.geteuid()).pw_name


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 123456)  # as in a container
    assert decided_by(monkeypatch) == "uid 123456"
