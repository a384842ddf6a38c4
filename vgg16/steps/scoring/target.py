"""Where the file of a scoring becomes visible: whole, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vgg16.errors import RequestError, Vgg16Error
from vgg16.steps.scoring import formats
from vgg16.storage import addresses
from vgg16.storage.files import exclusive_lock, make_folder, sha256_of, sync


class Target(Protocol):
    """A file that one process at a time writes. `address` is its whole one; `draft` is where its bytes are put
    together."""

    address: str
    suffix: str
    draft: Path

    def check(self) -> None:
        """Raises RequestError or Vgg16Error where nothing could be written there."""

    def publish(self) -> None:
        """Let the draft become the file, which is replaced at once."""

    def validator(self) -> str:
        """What differs once the file there has other content, "" for no file."""


def open_target(output: str, folder: Path | None = None) -> Target:
    """The output of that name; of one in S3 the draft is in the `folder`. Raises RequestError for a name that says no
    format."""
    suffix = formats.suffix_of(output)
    if output.startswith("s3://"):
        return _Object(output, suffix, folder or Path())
    if "://" in output:
        raise RequestError(f"--output expects a path or s3://bucket/key, found {output}.")
    return _LocalFile(output, suffix)


@contextmanager
def alone(target: Target, home: Path) -> Iterator[None]:
    """Be the only process of this home that writes there. Raises Vgg16Error where another one does."""

    def refuse() -> None:
        raise Vgg16Error(
            f"Another process is writing {target.address}.",
            "Wait for it, or end it: what it has done so far is kept, and the same command goes on.",
        )

    name = hashlib.sha256(target.address.encode(errors="surrogateescape")).hexdigest()[:32]
    with exclusive_lock(home / "locks" / f"score-{name}", refuse):
        yield


class _LocalFile:
    def __init__(self, output: str, suffix: str) -> None:
        # What a link leads to is written, and the link stays.
        self._file = Path(output).expanduser().resolve()
        self.address = str(self._file)
        self.suffix = suffix
        # One for each name: what a kill leaves, the next call writes over.
        self.draft = self._file.with_name(f".{self._file.name}.part")

    def check(self) -> None:
        if self._file.is_dir():
            raise RequestError(f"--output {self.address} is a folder.", "Name the file: scores.parquet")
        try:
            make_folder(self._file.parent)
            self.draft.touch()
            self.draft.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise RequestError(f"--output {self.address} cannot be written: {reason}.", "Name another file.") from None

    def publish(self) -> None:
        sync(self.draft)
        self.draft.replace(self._file)
        sync(self._file.parent)

    def validator(self) -> str:
        return sha256_of(self._file) if self._file.is_file() else ""


class _Object:
    def __init__(self, address: str, suffix: str, folder: Path) -> None:
        self.address = address
        self.suffix = suffix
        self.draft = folder / f"output{suffix}"

    def check(self) -> None:
        addresses.check_bucket(self.address)

    def publish(self) -> None:
        addresses.upload(self.draft, self.address)
        self.draft.unlink()

    def validator(self) -> str:
        return addresses.validator(self.address)
