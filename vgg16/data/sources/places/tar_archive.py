"""Files in a tar archive of any compression, which can be read from its beginning only: their bytes are copied one
after the other into one scratch file, and nothing is ever written by a name that the archive gives. What is no
picture is not copied.

How large a compressed archive becomes nobody knows before: the disk is watched while it grows.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import IO, NoReturn

from vgg16.data.sources.kinds import why_none
from vgg16.data.sources.places.place import File, has_junk, outside, shown
from vgg16.errors import RequestError, Vgg16Error

# Of the disk, left free for everything else.
SPARE_BYTES = 500_000_000
_CHUNK = 1 << 20


class TarArchive:
    """A tar archive, unpacked into a new file `scratch`, which the caller removes; `address` is where a person knows
    the archive from. A second name of a file, a hard link, is that file; a symbolic one is where `links` are followed.

    Raises RequestError for a file that is none, Vgg16Error for one that the disk has no room for.
    """

    def __init__(self, file: Path, address: str, scratch: Path, *, links: bool = True) -> None:
        self.address = address
        self._follows = links
        self._scratch = scratch
        self._files: dict[str, File] = {}
        # The stretch of each file in the scratch file: where it begins.
        self._starts: dict[str, int] = {}
        self._twice: list[File] = []
        self._links: dict[str, str] = {}
        status = file.stat()
        # Another archive may hold another file of that name, size and time.
        self._version = f"{status.st_mtime_ns}-{status.st_ctime_ns}"
        # Pictures do not shrink in an archive.
        self._check_space(status.st_size)
        try:
            with tarfile.open(file, "r|*") as archive, scratch.open("xb") as target:
                while member := archive.next():
                    archive.members.clear()  # type: ignore[attr-defined]  # it grows, and nobody reads it
                    self._take(archive, member, target)
        except (tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.filename is None and error.errno is not None:
                raise Vgg16Error(f"{address} cannot be unpacked in {scratch.parent}: {error.strerror}.") from None
            reason = str(error).rstrip(".")
            raise RequestError(
                f"{address} cannot be unpacked: {reason}.",
                "SOURCE is a folder, or a zip or tar archive (gz, bz2, xz); a tar.zst is unpacked by `tar --zstd -xf`.",
            ) from None
        self._follow_links()
        self._handle = scratch.open("rb")

    def __reduce__(self) -> NoReturn:
        raise RequestError(
            f"{self.address} is unpacked on this machine, where a cluster's workers cannot read it.",
            "Unpack it into a folder that all of them see, or unset VGG16_DASK.",
        )

    def files(self) -> Iterator[File]:
        """Every member but folders."""
        yield from self._twice
        yield from self._files.values()

    def read(self, path: str) -> bytes:
        """The bytes of a member that is a picture by its name."""
        if path not in self._starts:
            raise RequestError("it is not there")
        return os.pread(self._handle.fileno(), self._files[path].size, self._starts[path])

    def close(self) -> None:
        """Close the scratch file."""
        self._handle.close()

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: IO[bytes]) -> None:
        name = posixpath.normpath(shown(member.name)) if member.name.startswith("./") else shown(member.name)
        if member.isdir() or has_junk(name):
            return
        file = File(name, member.size, f"{self._version}-{member.mtime}", outside(name))
        if name in self._files:
            self._twice.append(File(name, 0, "", "stands in the archive again, and the last one counts"))
            self._starts.pop(name, None)
            self._links.pop(name, None)
        if member.issym() and not self._follows:
            file = File(name, 0, "", "a link in the archive, which is not followed")
        elif member.islnk() or member.issym():
            home = "" if member.islnk() else posixpath.dirname(name)
            self._links[name] = posixpath.normpath(posixpath.join(home, shown(member.linkname)))
        elif not member.isreg():
            file = file._replace(problem="expected a file, found a device or pipe")
        elif not (file.problem or why_none(file)):
            self._starts[name] = target.tell()
            content = archive.extractfile(member)
            while content and (chunk := content.read(_CHUNK)):
                self._check_space(len(chunk))
                target.write(chunk)
        self._files[name] = file

    def _follow_links(self) -> None:
        for name, linked in self._links.items():
            if linked in self._starts:
                self._starts[name] = self._starts[linked]
                self._files[name] = self._files[linked]._replace(path=name, problem=outside(name))
            else:
                self._files[name] = File(name, 0, "", f"a link to {linked}, which is no picture of the archive")

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._scratch.parent).free
        if free < needed + SPARE_BYTES:
            raise Vgg16Error(
                f"{self.address} needs more room than the {free // 10**6} MB that are free in {self._scratch.parent}: "
                f"{SPARE_BYTES // 10**6} MB of them stay free.",
                "Free some, choose another home with VGG16_HOME=FOLDER, or pack them as a zip, which is not unpacked.",
            )
