"""The facts of a dataset's images as a table of SQLite, where what images have in common is counted: memory stays flat,
whatever their number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgg16.checks import facts_file
from vgg16.checks.duplicates.search import NearDuplicates
from vgg16.checks.facts import OWN
from vgg16.config.types import MEASURES, TEXTS

_READ = (*OWN, *MEASURES)
_TYPES = {"row": "INTEGER PRIMARY KEY", **dict.fromkeys(TEXTS, "TEXT")}
# A kill leaves a file that nobody reads: it need not outlive one.
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", "cache_size = -16000")
_COUNTED = """
CREATE TABLE copied (digest TEXT PRIMARY KEY, copies, splits, labels) WITHOUT ROWID;
INSERT INTO copied
  SELECT digest, count(*), count(DISTINCT split), count(DISTINCT label) FROM images
  WHERE digest IS NOT NULL GROUP BY digest HAVING count(*) > 1;
CREATE TABLE cells (split TEXT, label TEXT, imbalance, PRIMARY KEY (split, label)) WITHOUT ROWID;
INSERT INTO cells
  SELECT split, label, max(abs(images - even) - 1, 0.0) / even FROM (
    SELECT split, label, count(*) AS images, sum(count(*)) OVER (PARTITION BY split) / classes AS even
    FROM images, known WHERE split IS NOT NULL AND label IS NOT NULL GROUP BY split, label
  );
CREATE TABLE alike AS
  WITH found AS (
    SELECT a.digest AS one, b.digest AS another
    FROM pairs JOIN images a ON a.row = first JOIN images b ON b.row = second WHERE one <> another
  )
  SELECT one AS digest, another AS other FROM found UNION SELECT another, one FROM found
  UNION SELECT one, one FROM found UNION SELECT another, another FROM found;
CREATE TABLE members AS
  SELECT digest, split, label, count(*) AS images FROM images WHERE digest IN (SELECT digest FROM alike)
  GROUP BY digest, split, label;
CREATE TABLE near (digest TEXT PRIMARY KEY, near_copies, near_splits, near_labels) WITHOUT ROWID;
INSERT INTO near
  SELECT alike.digest, sum(images), count(DISTINCT split), count(DISTINCT label)
  FROM alike JOIN members ON members.digest = other GROUP BY alike.digest;
CREATE TABLE facts AS
  SELECT images.*, split || '/' || label AS cell, imbalance,
    iif(digest IS NULL, NULL, coalesce(copies, 1)) AS copies,
    iif(digest IS NULL, NULL, coalesce(splits, 1)) AS splits,
    iif(digest IS NULL, NULL, coalesce(labels, 1)) AS labels,
    iif(digest IS NULL OR NOT sought, NULL, coalesce(near_copies, copies, 1)) AS near_copies,
    iif(digest IS NULL OR NOT sought, NULL, coalesce(near_splits, splits, 1)) AS near_splits,
    iif(digest IS NULL OR NOT sought, NULL, coalesce(near_labels, labels, 1)) AS near_labels, unread_share
  FROM images JOIN known LEFT JOIN cells USING (split, label) LEFT JOIN copied USING (digest)
    LEFT JOIN near USING (digest);
DROP TABLE images;
"""


@dataclass(frozen=True)
class FactsTable:
    """The columns `row`, `unread_share` and FACTS of that many images: the table `facts` of a SQLite file.

    `cell` is split/label; `copies` counts the images with the same pixels, `splits` and `labels` the splits and the
    labels that they have. `imbalance` is how far the cell is from its even share of the split, as a part of that; one
    image more or less is rounding. `near_copies`, `near_splits` and `near_labels` count the same of the image and all
    that it is a near-duplicate of; they are unknown where those were not `sought`. The table `pairs` has the pairs of
    near-duplicates: the rows `first` and `second`, and their `similarity`.
    """

    path: Path
    images: int
    sought: bool

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a SELECT answers."""
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(text, values).fetchall()


def load(
    facts: Path, path: Path, classes: int, unread_share: float = 0.0, near: NearDuplicates | None = None
) -> FactsTable:
    """The facts of a Parquet file in a new SQLite file; in so many classes an even share is one of so many, each image
    knows which share of its source's files could not be read, and `near` are the near-duplicates, None where none were
    sought."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for setting in _SETTINGS:
            database.execute(f"PRAGMA {setting}")
        database.execute("BEGIN")
        columns = [f"{name} {_TYPES.get(name, 'REAL')}" for name in _READ]
        database.execute(f"CREATE TABLE images ({', '.join(columns)})")
        known = "CREATE TABLE known AS SELECT ? AS classes, ? AS unread_share, ? AS sought"
        database.execute(known, (float(classes), unread_share, near is not None))
        database.execute("CREATE TABLE pairs (first INTEGER, second INTEGER, similarity REAL)")
        if near:
            pairs = zip(*near.pairs.T.tolist(), near.similarities.tolist(), strict=True)
            database.executemany("INSERT INTO pairs VALUES (?, ?, ?)", pairs)
        places = ", ".join("?" * len(_READ))
        database.executemany(f"INSERT INTO images VALUES ({places})", _rows(facts))  # noqa: S608  # of constants
        database.execute("COMMIT")
        database.executescript(_COUNTED)
        (images,) = database.execute("SELECT count(*) FROM facts").fetchone()
    return FactsTable(path, images, near is not None)


def _rows(facts: Path) -> Iterator[tuple[Any, ...]]:
    for batch in facts_file.rows(facts, _READ):
        yield from batch
