"""Publishing writes the data first and its manifest last, so that a reader meets either a whole object or none."""

from __future__ import annotations

import json
from pathlib import Path

from vgg16.errors import Vgg16Error
from vgg16.storage.files import draft_in, sha256_of
from vgg16.storage.store import ExistsError, Store

MANIFEST = "manifest.json"


def publish(store: Store, key: str, folder: Path) -> None:
    """Upload a folder's files below `key`, each with its size and digest in the manifest that comes last.

    Running twice is running once: a key that has its manifest is left as it is.
    """
    if store.read(f"{key}/{MANIFEST}") is not None:
        return
    files = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        store.upload(path, f"{key}/{path.name}")
    manifest = json.dumps({"files": files}, indent=1).encode()
    try:
        store.create(f"{key}/{MANIFEST}", manifest)
    except ExistsError:
        return


def fetch(store: Store, key: str, cache: Path) -> Path:
    """A local folder with a published object's files, each checked against the manifest.

    Raises Vgg16Error where the manifest is missing (an interrupted publish) or a file differs from it.
    """
    manifest = store.read(f"{key}/{MANIFEST}")
    if manifest is None:
        raise Vgg16Error(
            f"{store.address}/{key} is not whole: it has no {MANIFEST}.",
            "Its publishing was interrupted; ask for it again (`vgg16 data fetch`) and it is completed.",
        )
    own = store.local_path(key)
    folder = own or cache / key
    folder.mkdir(parents=True, exist_ok=True)
    for name, facts in json.loads(manifest)["files"].items():
        path = folder / name
        if own is None and not _same(path, facts):
            with draft_in(folder) as draft:
                store.download(f"{key}/{name}", draft)
                draft.replace(path)
        if not _same(path, facts):
            raise Vgg16Error(
                f"{store.address}/{key}/{name} differs from its manifest: expected {facts['bytes']} bytes with "
                f"sha256 {facts['sha256'][:12]}..., found {_described(path)}.",
                f"Remove {store.address}/{key} and fetch it again.",
            )
    return folder


def _same(path: Path, facts: dict[str, object]) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256_of(path) == facts["sha256"]


def _described(path: Path) -> str:
    return f"{path.stat().st_size} bytes with {sha256_of(path)[:12]}..." if path.is_file() else "no file"
