"""The MLflow database of a home that was moved, restored elsewhere or copied: MLflow keeps the absolute address of
every file, and our ledger's mark the folder of its store. They are made those of where the home is now, before MLflow
opens the database; so a copy never reads or writes a file of its original."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from vgg16.errors import Vgg16Error
from vgg16.storage.addresses import path_of, sqlite
from vgg16.storage.files import is_same_file
from vgg16.storage.store import Store

# Every column of MLflow 3.17 that holds the address of a folder of ours; the experiment's comes last, for by it is told
# whether the others are still to be done.
_COLUMNS = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("experiments", "artifact_location"),
)
_WAIT_SECONDS = 60.0


def follow_home(home: Path, store: Store) -> None:
    """Make what the home's own database says of places true of this home and its store; nothing where it is.

    Raises Vgg16Error where the home was moved and its database cannot be written.
    """
    database = home / "mlflow.db"
    if not database.exists():
        return
    try:
        with _opened(database) as connection:
            if not _old_roots(connection, home) and not _old_stores(connection, store):
                return
            connection.execute("BEGIN IMMEDIATE")
            # Again: another process may have done it meanwhile.
            for root in _old_roots(connection, home):
                _move(connection, root, home, store)
            for name, old in _old_stores(connection, store):
                _mark(connection, name, old, store.address)
            connection.commit()
    except sqlite3.Error as error:
        raise Vgg16Error(
            f"{database} cannot be read, or made to say where its home is now: {error}.",
            "Let this user write to the home, or copy it to where that is so; or restore it from a backup.",
        ) from None


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    # Where it may not be written SQLite opens it for reading; a killed writer's journal it can only undo by writing.
    address = f"file:{quote(str(database))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
        yield connection


def _old_roots(connection: sqlite3.Connection, home: Path) -> list[str]:
    """The addresses of the folders `mlflow` of other homes that experiments of ours are kept in."""
    if "artifact_location" not in _columns(connection, "experiments"):  # a database that MLflow has yet to fill
        return []
    roots: list[str] = []
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        place = path_of(location or "")
        if not (location or "").startswith("file://") or (place.parent.name, place.name) != ("mlflow", name):
            continue  # MLflow's own, or a place that a person chose
        root = location.rpartition("/")[0]
        if root not in roots and not is_same_file(place.parent, home / "mlflow"):
            roots.append(root)
    return roots


def _move(connection: sqlite3.Connection, old: str, home: Path, store: Store) -> None:
    """Put this home's folder in the place of an old one, and its store in the place of the old home's."""
    root, origin = (home / "mlflow").as_uri(), path_of(old).parent
    moves = _moves(old, home)
    for table, column in _COLUMNS:
        if column in _columns(connection, table):
            every = table == "experiments"
            for row, address in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
                if (address or "").startswith(f"{old}/") and (every or moves(address)):
                    change = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608  # of _COLUMNS
                    connection.execute(change, (root + address.removeprefix(old), row))
    _move_cards(connection, origin, home)
    if store.address != str(origin / "store"):
        connection.execute(
            "UPDATE registered_model_tags SET value = ? WHERE key LIKE 'vgg16.ledger%' AND value = ?",
            (str(home / "store"), str(origin / "store")),
        )


def _move_cards(connection: sqlite3.Connection, origin: Path, home: Path) -> None:
    """The code in model cards names the home, and its database."""
    if "description" not in _columns(connection, "model_versions"):
        return
    pairs = [(sqlite(origin / "mlflow.db"), sqlite(home / "mlflow.db")), (str(origin), str(home))]
    # As they stand in code and in commands; a longer path that begins so is another place.
    written = {quote_of(old): quote_of(new) for old, new in pairs for quote_of in (shlex.quote, repr)}
    for row, card in connection.execute("SELECT rowid, description FROM model_versions").fetchall():
        moved = card or ""
        for old, new in written.items():
            moved = re.sub(rf"(?<=[=(]){re.escape(old)}(?=[\s)])", new.replace("\\", r"\\"), moved)
        if moved != (card or ""):
            connection.execute("UPDATE model_versions SET description = ? WHERE rowid = ?", (moved, row))


def _moves(old: str, home: Path) -> Callable[[str], bool]:
    """Whether what lies at an address of the old folder is looked for here: all of it, unless that folder is what an
    earlier version of this code began there anew after the home was moved."""
    origin = path_of(old)
    if (origin.parent / "mlflow.db").exists() or not origin.exists():
        return lambda _: True
    return lambda address: (
        (home / "mlflow" / path_of(address).relative_to(origin)).exists() or not path_of(address).exists()
    )


def _old_stores(connection: sqlite3.Connection, store: Store) -> list[tuple[str, str]]:
    """The models whose ledger is marked as being in a folder that is gone, or is another name of this one, and is in
    this store; with that folder."""
    if not _columns(connection, "registered_model_tags"):
        return []
    marks: dict[str, dict[str, str]] = {}
    for name, key, value in connection.execute("SELECT name, key, value FROM registered_model_tags"):
        marks.setdefault(name, {})[key] = value
    stores = []
    for name, tags in marks.items():
        old, followed = tags.get("vgg16.ledger", ""), tags.get("vgg16.followed", "0")
        elsewhere = old.startswith("/") and Path(old).exists() and not is_same_file(Path(old), Path(store.address))
        if not old.startswith("/") or old == store.address or elsewhere:
            continue
        if followed.isdigit() and store.read(f"ledger/{name}/{max(1, int(followed)):06d}.json") is not None:
            stores.append((name, old))
    return stores


def _mark(connection: sqlite3.Connection, name: str, old: str, address: str) -> None:
    connection.execute(
        "UPDATE registered_model_tags SET value = ? WHERE key LIKE 'vgg16.ledger%' AND name = ? AND value = ?",
        (address, name, old),
    )


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
