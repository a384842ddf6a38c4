"""Facts are kept in the store beside their dataset, and are made anew where they are no longer true."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vgg16.checks import facts_file
from vgg16.config.types import FACTS, DatasetChoice
from vgg16.steps.data import fetch, validate
from vgg16.workplace.workplace import open_workplace


def test_facts_are_kept_and_made_anew_only_when_they_would_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    workplace = open_workplace()
    ref = fetch.fetch(DatasetChoice(name="digits", limit=120), "", "", workplace)
    validate.validate(ref, workplace)
    kept = workplace.store.local_path(ref.facts_key)
    assert isinstance(kept, Path)
    table = pd.read_parquet(kept)
    assert len(table) == sum(ref.splits.values())
    assert set(FACTS) - set(table) == {"cell", "copies", "splits", "labels", "imbalance"}

    made: list[Path] = []
    write = facts_file.write
    monkeypatch.setattr(facts_file, "write", lambda *values: (made.append(values[-1]), write(*values)))
    assert validate.validate(ref, workplace).ok
    assert not made
    monkeypatch.setattr(facts_file, "VERSION", facts_file.VERSION + 1)
    validate.validate(ref, workplace)
    kept.write_bytes(b"no Parquet")
    validate.validate(ref, workplace)
    assert len(made) == 2
    assert len(pd.read_parquet(kept)) == len(table)
    # What a kill leaves behind is gone too.
    assert not [path for path in (workplace.home / "scratch").iterdir() if path.name.startswith("digits.")]
