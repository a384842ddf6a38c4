"""Files of this machine: drafts that a kill leaves behind for the next writer, locks, digests."""

from __future__ import annotations

import fcntl
import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft_in(folder: Path) -> Iterator[Path]:
    """A new empty file that nobody else writes to and no reader looks at, with the rights of an ordinary file.

    It is locked while it is in use, and a kill unlocks it: so the drafts below the folder that are not locked are those
    of killed processes, and are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.rglob(".draft-*"):
        _remove_unlocked(leftover)
    while True:
        draft = folder / f".draft-{uuid.uuid4().hex}"
        with draft.open("xb") as file:
            with suppress(OSError):  # a file system without locks keeps what a kill leaves
                fcntl.flock(file, fcntl.LOCK_EX)
            if not draft.exists():  # another process took it for one that was left, before it was locked
                continue
            try:
                yield draft
            finally:
                draft.unlink(missing_ok=True)
            return


def _remove_unlocked(draft: Path) -> None:
    with suppress(OSError), draft.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()


@contextmanager
def exclusive_lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a file's lock on this machine, whose kernel releases it however the process ends; `on_wait` is called where
    another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
