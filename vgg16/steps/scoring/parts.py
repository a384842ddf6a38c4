"""The rows of a scoring in parts of a fixed number, each in a file of its own that is whole or absent: what a kill
leaves, and the same request goes on from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from vgg16.config.types import Frozen
from vgg16.steps.scoring.records import ScoredPart, ScoreResult
from vgg16.storage.files import draft_in, make_folder, sync

# Rows of a part: what a kill costs.
ROWS = 1_024
# Changes where the meaning of a part does, or the composition of the batches.
FORM = 1
_FACTS, _DONE = "request.json", "done.json"


class Finished(Frozen):
    """What a file was that was written whole: of which request, and what identified it where it lies."""

    request: str
    validator: str
    result: ScoreResult


@dataclass(frozen=True)
class Parts:
    """The parts of one request, whose digest is `request`, in a folder that belongs to its output."""

    folder: Path
    request: str
    class_names: tuple[str, ...]
    count: int

    def numbers(self) -> range:
        """Of each part its number."""
        return range(-(-self.count // ROWS))

    def rows(self, number: int) -> range:
        """The rows of a part."""
        return range(number * ROWS, min((number + 1) * ROWS, self.count))

    def write(self, number: int, part: ScoredPart) -> None:
        """Keep a part, from now on whole."""
        with draft_in(self._own) as draft:
            pq.write_table(_as_table(part), draft, compression="zstd", write_page_checksum=True)
            sync(draft)
            draft.replace(self.file(number))

    def read(self, number: int) -> ScoredPart | None:
        """A part that is kept; None for none, and for one that is damaged, which is removed."""
        file = self.file(number)
        if not file.exists():
            return None
        try:
            table = pq.read_table(file, page_checksum_verification=True)
            if len(table) == len(self.rows(number)):
                return _as_part(table, self.class_names)
        except (pa.ArrowException, OSError, KeyError):
            pass
        file.unlink(missing_ok=True)
        return None

    def is_kept(self, number: int) -> bool:
        """Whether there is a part that can be read."""
        return self.read(number) is not None

    def take(self, number: int, file: Path) -> bool:
        """Keep a part that somebody else has written to this file, which is used up; False for one that is no whole
        part."""
        make_folder(self._own)
        file.replace(self.file(number))
        return self.is_kept(number)

    @property
    def _own(self) -> Path:
        return self.folder / self.request[:32]

    def file(self, number: int) -> Path:
        """Where a part is kept."""
        return self._own / f"{number:08}.parquet"


def folder_of(home: Path, output: str) -> Path:
    """Where the parts of an output are."""
    return home / "scoring" / hashlib.sha256(output.encode(errors="surrogateescape")).hexdigest()[:32]


def digest_of(facts: Mapping[str, Any]) -> str:
    """What identifies a request: all that the bytes of its file follow from."""
    return hashlib.sha256(json.dumps([FORM, ROWS, dict(facts)], sort_keys=True).encode()).hexdigest()


def begin(folder: Path, request: str, facts: Mapping[str, Any]) -> list[str]:
    """Make the folder one of this request alone; what of the `facts` differs from those of parts that are therefore
    removed, nothing where there were none."""
    try:
        before = json.loads((folder / _FACTS).read_text())
    except (OSError, ValueError):
        before = {}
    differing = [name for name in facts if isinstance(before, dict) and before.get(name) != facts[name]]
    others = [path for path in folder.glob("*") if path.is_dir() and path.name != request[:32]]
    had = any(any(path.glob("*.parquet")) for path in others)
    for path in others:
        shutil.rmtree(path, ignore_errors=True)
    with draft_in(folder) as draft:
        draft.write_text(json.dumps(dict(facts), indent=1))
        sync(draft)
        draft.replace(folder / _FACTS)
    return differing if had else []


def finish(folder: Path, finished: Finished) -> None:
    """Remember what was written whole, and remove its parts."""
    with draft_in(folder) as draft:
        draft.write_text(finished.model_dump_json(indent=1))
        sync(draft)
        draft.replace(folder / _DONE)
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    (folder / _FACTS).unlink(missing_ok=True)


def finished(folder: Path) -> Finished | None:
    """What was written whole last, None for nothing that can be read."""
    try:
        return Finished.model_validate_json((folder / _DONE).read_bytes())
    except (OSError, ValidationError):
        return None


def _as_table(part: ScoredPart) -> pa.Table:
    columns: dict[str, Any] = {
        "path": pa.array(part.paths, pa.string()),
        "truth": pa.array(part.truth, pa.string()),
        "label": pa.array(part.labels, pa.int32()),
        "probability": pa.array(part.probability, pa.float32()),
        "error": pa.array(part.errors, pa.string()),
    }
    if part.typicality is not None:
        columns["typicality"] = pa.array(part.typicality, pa.float32())
    if part.probabilities is not None:
        flat = pa.array(part.probabilities.reshape(-1), pa.float32())
        columns["probabilities"] = pa.FixedSizeListArray.from_arrays(flat, part.probabilities.shape[1])
    if part.content is not None:
        content = pa.py_buffer(np.ascontiguousarray(part.content))
        columns["content"] = pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), len(part.content), [None, content])
    return pa.table(columns)


def _as_part(table: pa.Table, class_names: tuple[str, ...]) -> ScoredPart:
    def numbers(name: str) -> NDArray[Any]:
        values: NDArray[Any] = table[name].combine_chunks().to_numpy(zero_copy_only=False)
        return values

    probabilities = None
    if "probabilities" in table.column_names:
        flat = table["probabilities"].combine_chunks().flatten()
        probabilities = flat.to_numpy(zero_copy_only=False).reshape(len(table), -1)
    content = None
    if "content" in table.column_names:
        content = np.frombuffer(b"".join(table["content"].to_pylist()), np.uint8).reshape(-1, 2, 32)
    return ScoredPart(
        class_names,
        table["path"].to_pylist(),
        table["truth"].to_pylist(),
        numbers("label").astype(np.int64),
        numbers("probability"),
        numbers("typicality") if "typicality" in table.column_names else None,
        table["error"].to_pylist(),
        probabilities,
        content,
    )
