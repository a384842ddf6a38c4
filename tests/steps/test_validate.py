"""Facts are kept in the store beside their dataset, and are made anew where they are no longer true."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from vgg16.checks import facts_file
from vgg16.config.types import FACTS, NEAR, DatasetChoice
from vgg16.steps.data import fetch, validate
from vgg16.storage.store import Store
from vgg16.workplace.workplace import open_workplace


def test_facts_are_kept_and_made_anew_only_when_they_would_be_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workplace = open_workplace()
    workplace.__dict__["store"] = store
    ref = fetch.fetch(DatasetChoice(name="digits", limit=120), "", "", workplace)
    validate.validate(ref, workplace)
    table = pd.read_parquet(io.BytesIO(store.read(ref.facts_key) or b""))
    assert validate.profile(ref, workplace).images == len(table)
    assert len(table) == sum(ref.splits.values())
    assert set(FACTS) - set(table) == {"cell", "copies", "splits", "labels", "imbalance", *NEAR}

    made: list[Path] = []
    write = facts_file.write
    monkeypatch.setattr(facts_file, "write", lambda *values: (made.append(values[-1]), write(*values)))
    assert validate.validate(ref, workplace).ok
    assert not made
    monkeypatch.setattr(facts_file, "VERSION", facts_file.VERSION + 1)
    validate.validate(ref, workplace)
    (tmp_path / "damaged").write_bytes(b"no Parquet")
    store.upload(tmp_path / "damaged", ref.facts_key)
    validate.validate(ref, workplace)
    assert len(made) == 2
    assert len(pd.read_parquet(io.BytesIO(store.read(ref.facts_key) or b""))) == len(table)
    # What a kill leaves behind is gone too.
    assert not [path for path in (workplace.home / "scratch").iterdir() if path.name.startswith("digits.")]
