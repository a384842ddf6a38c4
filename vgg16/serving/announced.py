"""The services that run on this machine over a home: each leaves a file there while it runs, for `vgg16 status` and
`vgg16 doctor`. Needs none of what a service needs."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_FOLDER = "serving"


@dataclass(frozen=True)
class Announcement:
    """Where a service answers, of which model, by the ledger in which store; and its process."""

    url: str
    model: str
    store: str
    pid: int


@contextmanager
def announced(home: Path, url: str, model: str, store: str) -> Iterator[None]:
    """Tell of a service of this process for as long as it runs. A home that nobody can write to goes without.

    The file is locked, and the kernel unlocks it however the process ends: one that is not locked tells of none.
    """
    path = home / _FOLDER / f"{url.rpartition(':')[2]}.json"
    with ExitStack() as left:
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            draft = path.with_name(f".{path.name}-{os.getpid()}")
            file = left.enter_context(draft.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump(asdict(Announcement(url, model, store, os.getpid())), file)
            file.flush()
            draft.replace(path)
            left.callback(path.unlink, missing_ok=True)
        yield


def running(home: Path) -> list[Announcement]:
    """The services of a home that run, by their ports. Those that were killed are forgotten."""
    paths = sorted((home / _FOLDER).glob("*.json"), key=lambda path: path.stem.zfill(5))
    return [one for one in map(_read, paths) if one]


def _read(path: Path) -> Announcement | None:
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Announcement(**json.load(file))
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                path.unlink()
    except (OSError, ValueError, TypeError):  # of another version, or gone meanwhile
        pass
    return None
