"""Files of a local folder and of all folders below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vgg16.data.sources.places.place import File, as_stored, is_junk, shown
from vgg16.errors import RequestError


class Folder:
    """A local folder. Links to files are followed, links to folders are not, which would lead in circles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)

    def files(self) -> Iterator[File]:
        """Every file, one folder after the other: a folder of a million files is never held whole."""
        folders = [""]
        while folders:
            here = folders.pop()
            try:
                entries = os.scandir(os.path.join(self.folder, here))  # noqa: PTH118  # a Path takes 4 times as long
            except OSError as error:
                if not here:
                    raise RequestError(f"{self.folder} cannot be listed: {error.strerror}.") from None
                yield File(f"{shown(here)}/", 0, "", f"the folder cannot be listed: {error.strerror}")
                continue
            with entries:
                for entry in entries:
                    if is_junk(entry.name):
                        continue
                    path = f"{here}/{entry.name}" if here else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    else:
                        yield _file(entry, shown(path))

    def read(self, path: str) -> bytes:
        """A file's bytes; RequestError with the system's reason where they cannot be read."""
        return read_file(self.folder / path)


def read_file(path: Path) -> bytes:
    """A local file's bytes. Raises RequestError whose message is the system's reason."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        # Its name may be one that had to be shown otherwise.
        stored = Path(os.fsdecode(as_stored(str(path))))
        if stored == path:
            raise RequestError("it is not there") from None
        return read_file(stored)
    except OSError as error:
        raise RequestError(error.strerror or str(error)) from None


def local_file(path: Path, name: str) -> File:
    """A local file by the path that it is to be shown by; with a problem where it is none."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return File(name, 0, "", "expected a file, found a folder")
        return _described(status, name)
    except (OSError, ValueError) as error:
        return File(name, 0, "", getattr(error, "strerror", None) or str(error))


def _file(entry: os.DirEntry[str], name: str) -> File:
    try:
        return _described(entry.stat(), name)
    except OSError as error:  # a link that leads nowhere, or in a circle
        return File(name, 0, "", error.strerror or str(error))


def _described(status: os.stat_result, name: str) -> File:
    if stat.S_ISREG(status.st_mode):
        # A copy may keep the time at which its original was written; of its own file only the system says when.
        return File(name, status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}")
    if stat.S_ISDIR(status.st_mode):
        return File(f"{name}/", 0, "", "a link to a folder, which is not followed: name that folder as a source too")
    return File(name, 0, "", "expected a file, found a device or pipe")
