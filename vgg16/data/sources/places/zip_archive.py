"""Files in a zip archive, read in place: nothing is unpacked."""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from vgg16.data.sources.places.place import File, has_junk, outside
from vgg16.errors import RequestError

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED, _UTF8 = 0x1, 0x800
_DOS = 0


class ZipArchive:
    """A zip archive; `address` is where a person knows it from. Raises RequestError for a file that is none."""

    def __init__(self, file: Path, address: str) -> None:
        self.address = address
        self._file = file
        try:
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            reason = str(error).rstrip(".")
            raise RequestError(
                f"{address} cannot be unpacked: {reason}.", "SOURCE is a folder, or a zip or tar archive."
            ) from None
        # The members share the one handle of the file, and zipfile promises nothing to threads.
        self._alone = threading.Lock()
        # Of several members by one name the last counts, as for whoever unpacks them.
        self._members = {_name(member): member for member in self._archive.infolist()}

    def __reduce__(self) -> tuple[type[ZipArchive], tuple[Path, str]]:
        return ZipArchive, (self._file, self.address)

    def files(self) -> Iterator[File]:
        """Every member but folders."""
        for member in self._archive.infolist():
            name = _name(member)
            if not (name.endswith("/") or has_junk(name)):
                problem = _problem(member, name)
                if self._members[name] is not member:
                    problem = "stands in the archive again, and the last one counts"
                # The checksum of the content: packing the same files again keeps it.
                yield File(name, member.file_size, f"{member.CRC:08x}", problem)

    def read(self, path: str) -> bytes:
        """A member's bytes, checked against its checksum."""
        try:
            with self._alone:
                return self._archive.read(self._members[path])
        except KeyError:
            raise RequestError("it is not there") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise RequestError(f"damaged in the archive: {error or type(error).__name__}") from None

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def _name(member: zipfile.ZipInfo) -> str:
    """A member's path: in UTF-8 without saying so, as macOS writes it, in code page 437 else."""
    name = member.filename
    if not member.flag_bits & _UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = member.filename
    # Older tools of Windows write its own slashes.
    return name.replace("\\", "/") if member.create_system == _DOS and "/" not in name else name


def _problem(member: zipfile.ZipInfo, name: str) -> str:
    if member.flag_bits & _ENCRYPTED:
        return "encrypted: unpack the archive with its password, and name the folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link in the archive, which is not followed"
    if member.compress_type not in _METHODS:
        return f"compressed by a method that Python does not know ({member.compress_type}): unpack the archive first"
    return outside(name)
