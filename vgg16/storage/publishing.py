"""Publishing writes the data first and its manifest last, so that a reader meets either a whole object or none."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError, field_validator

from vgg16.config.types import BareName, Frozen, is_key
from vgg16.errors import Vgg16Error
from vgg16.storage.files import draft_in, make_folder, sha256_of
from vgg16.storage.store import ExistsError, Store

MANIFEST = "manifest.json"


class _File(Frozen):
    bytes: int
    sha256: str


class _Manifest(Frozen):
    """What is published: each file by its bare name."""

    files: dict[BareName, _File]

    @field_validator("files")
    @classmethod
    def _of_others(cls, files: dict[str, _File]) -> dict[str, _File]:
        if MANIFEST in files:
            raise ValueError(f"{MANIFEST} is the manifest itself")
        return files


def publish(store: Store, key: str, folder: Path, *, anew: bool = False) -> None:
    """Upload a folder's files below `key`, each with its size and digest in the manifest that comes last.

    Running twice is running once: a key that has its manifest is left as it is, unless the manifest is damaged, a file
    beside it on this machine differs from it, or all is to be written `anew`.
    """
    if store.read(f"{key}/{MANIFEST}") is not None:
        kept = _manifest(store, key)
        if kept and not anew and _is_sound(store, key, kept):
            return
        # First, so that a kill leaves none that is not true.
        store.delete(f"{key}/{MANIFEST}")
    files = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        store.upload(path, f"{key}/{path.name}")
    manifest = json.dumps({"files": files}, indent=1).encode()
    try:
        store.create(f"{key}/{MANIFEST}", manifest)
    except ExistsError:
        return


def is_published(store: Store, key: str) -> bool:
    """Whether a manifest that can be read is there."""
    return _manifest(store, key) is not None


def bytes_of(store: Store, key: str) -> int:
    """The size of all files of a published object by its manifest, 0 where none can be read."""
    manifest = _manifest(store, key)
    return sum(file.bytes for file in manifest.files.values()) if manifest else 0


def fetch(store: Store, key: str, cache: Path, *, copied: bool = False) -> Path:
    """A local folder with a published object's files, each checked against the manifest: below `cache`, or where they
    are in a store of this machine, unless they are to be `copied`. What is read of a copy that is this process's alone
    was checked, whoever writes to the store.

    Raises Vgg16Error where the manifest is missing (an interrupted publish) or damaged, or a file differs from it.
    """
    if not is_key(key):
        raise Vgg16Error(f"{store.address} has no object {key!r}: expected bare names with slashes between them.")
    manifest = _manifest(store, key)
    if manifest is None:
        raise Vgg16Error(
            f"{store.address}/{key} is not whole: it has no {MANIFEST} that can be read.",
            "Its publishing was interrupted, or it was damaged; ask for it again (`vgg16 data fetch`, with --source "
            "where it came from an archive) and it is completed.",
        )
    own = None if copied else store.local_path(key)
    folder = own or cache / key
    make_folder(folder)
    for name, file in manifest.files.items():
        path = folder / name
        if own is None and not _same(path, file):
            with draft_in(folder) as draft:
                store.download(f"{key}/{name}", draft)
                draft.replace(path)
        if not _same(path, file):
            raise Vgg16Error(
                f"{store.address}/{key}/{name} differs from its manifest: expected {file.bytes} bytes with "
                f"sha256 {file.sha256[:12]}..., found {_described(path)}.",
                f"Remove {store.address}/{key} and fetch it again.",
            )
    return folder


def _manifest(store: Store, key: str) -> _Manifest | None:
    try:
        return _Manifest.model_validate_json(store.read(f"{key}/{MANIFEST}") or "")
    except ValidationError:
        return None


def _is_sound(store: Store, key: str, manifest: _Manifest) -> bool:
    """Whether the files are what the manifest says; those of a bucket are looked at when they are fetched."""
    folder = store.local_path(key)
    return folder is None or all(_same(folder / name, file) for name, file in manifest.files.items())


def _same(path: Path, file: _File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def _described(path: Path) -> str:
    return f"{path.stat().st_size} bytes with {sha256_of(path)[:12]}..." if path.is_file() else "no file"
