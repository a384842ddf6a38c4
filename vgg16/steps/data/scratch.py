"""Where a dataset is made ready before it is published: folders of the home, for one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vgg16.storage import files
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Folders:
    """Where a fetch works: `scratch` is gone after it, `downloads` holds those that were cut off."""

    scratch: Path
    downloads: Path


@contextmanager
def scratch_folders(workplace: Workplace, name: str) -> Iterator[Folders]:
    """The folders in which to fetch that dataset, for one process of this home at a time."""
    folders = Folders(workplace.home / "scratch" / name, workplace.home / "downloads" / name)
    with files.exclusive_lock(
        workplace.home / "locks" / f"fetch-{name}",
        lambda: workplace.say(f"data        waiting for another process that fetches {name}"),
    ):
        shutil.rmtree(folders.scratch, ignore_errors=True)
        folders.scratch.mkdir(parents=True)
        try:
            yield folders
        finally:
            shutil.rmtree(folders.scratch)
