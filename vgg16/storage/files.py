"""Files of this machine: drafts that a kill leaves behind for the next writer, locks, digests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Bytes that are read at a time.
_CHUNK = 1 << 20


@contextmanager
def draft_in(folder: Path) -> Iterator[Path]:
    """A new empty file that nobody else writes to and no reader looks at, with the rights of an ordinary file.

    It is locked while it is in use, and a kill unlocks it: so the drafts below the folder that are not locked are those
    of killed processes, and are removed.
    """
    make_folder(folder)
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


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def private_folder(folder: Path) -> None:
    """Make a folder that no other account of this machine enters; one that is there stays as open as its owner has
    it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Of a folder some file systems cannot say so; what they say of a file counts.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sync_below(folder: Path) -> None:
    """`sync` all files and folders below a folder, and itself."""
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            sync(path)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both names are of one file or folder that is there."""
    try:
        return one.samefile(other)
    except OSError:
        return False


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


def copy_with_sha256(source: Path, target: Path) -> str:
    """Copy a file's content to a new file, and say the sha256 of what was copied, in hexadecimal digits: whoever writes
    to the source from now on changes neither."""
    whole = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            whole.update(chunk)
            writing.write(chunk)
    return whole.hexdigest()
