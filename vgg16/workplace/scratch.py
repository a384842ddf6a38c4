"""Where temporary files go: a folder of this process, which goes when it ends; that of a killed one goes with the next.

Libraries leave files behind when they are killed (TensorFlow one for each function that it compiles): in the system's
folder they would stay for ever.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

_NAME, _LOCK = "vgg16-", "lock"


@cache
def work_below(home: Path) -> Path:
    """Let all that this process and its children write for a while lie in a folder of its own, below TMPDIR where a
    person has set it, else in the home. Removes what killed processes have left there."""
    own = os.environ.get("TMPDIR", "")
    root = Path(own).absolute() if own and Path(own).is_dir() else home / "tmp"
    root.mkdir(parents=True, exist_ok=True)
    for folder in root.glob(f"{_NAME}*-{os.getuid()}"):
        _remove_if_left(folder)
    folder = Path(tempfile.mkdtemp(prefix=_NAME, suffix=f"-{os.getuid()}", dir=root))
    # Held as long as this process lives; the kernel frees it at a kill.
    held = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    with suppress(OSError):  # a file system without locks: nothing is ever taken to be left there
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove_if_left(folder: Path) -> None:
    with suppress(OSError), (folder / _LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)
