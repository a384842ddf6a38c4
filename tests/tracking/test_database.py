"""A database that MLflow does not take is told at once, with what to do."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from vgg16.errors import RequestError, Vgg16Error
from vgg16.tracking import database
from vgg16.tracking.connect import connect

AWAY = {
    "refused": ("postgresql://me:secret@127.0.0.1:9/x", "127.0.0.1:9/x does not answer"),
    "no such name": ("mysql://nobody.invalid/x", "does not answer"),
    "no address": ("postgresql://h:port/x", "no address of a database"),
    "no driver": ("postgresql+nodriver://127.0.0.1/x", "does not answer|nodriver"),
}


@pytest.mark.parametrize("case", AWAY)
def test_a_server_that_is_away_is_told_in_seconds(case: str, tmp_path: Path) -> None:
    address, message = AWAY[case]
    start = time.monotonic()
    with pytest.raises((RequestError, Vgg16Error), match=message) as told:
        connect(address, tmp_path / "mlflow")
    assert time.monotonic() - start < 10
    assert "secret" not in str(told.value)


def test_a_server_that_takes_no_connection_is_given_up_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(address: tuple[str, int], seconds: float) -> None:
        assert address == ("db.example", 5432)
        assert seconds <= 10
        raise TimeoutError("timed out")

    monkeypatch.setattr(database.socket, "create_connection", silent)
    with pytest.raises(Vgg16Error, match="does not answer: timed out"):
        database.check("postgresql://db.example/x")


SCHEMAS = {
    "older": ("3da73c924c2f", "of an older MLflow", "mlflow db upgrade sqlite:///"),
    "newer": ("ffffffffffff", "of a newer MLflow", "the MLflow that wrote it last"),
}


def test_a_database_of_another_schema_is_told_with_the_way_on(tmp_path: Path) -> None:
    import mlflow

    before, file = mlflow.get_tracking_uri(), tmp_path / "mlflow.db"
    try:
        connect(f"sqlite:///{file}", tmp_path / "mlflow")
        for number, (case, (revision, message, hint)) in enumerate(SCHEMAS.items()):
            # MLflow keeps what it has opened, by its address.
            other = tmp_path / f"{number}.db"
            other.write_bytes(file.read_bytes())
            with sqlite3.connect(other) as connection:
                connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            with pytest.raises(Vgg16Error, match=message) as refused:
                connect(f"sqlite:///{other}", tmp_path / "mlflow")
            assert hint in refused.value.hint, case
            assert revision in refused.value.message
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)
