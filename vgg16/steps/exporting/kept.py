"""Proven files in the store, by their own digest, and found again by the model's: `exports/SHA256.onnx` and
`exports/of/MODEL DIGEST/FORMAT.json`, which is written last."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import ValidationError

from vgg16.errors import Vgg16Error
from vgg16.steps.exporting.records import Exported
from vgg16.storage.files import sha256_of
from vgg16.storage.store import Store, sha256_in


def key_of(sha256: str, suffix: str) -> str:
    """Where the store keeps a file."""
    return f"exports/{sha256}{suffix}"


def _record_key(digest: str, name: str) -> str:
    return f"exports/of/{digest}/{name}.json"


def recorded(store: Store, digest: str, name: str) -> Exported | None:
    """What is written down of the model of this digest in the format of this name, whether its file is there or not;
    None for nothing that can be read, and for a model without a digest."""
    if not digest:
        return None
    try:
        return Exported.model_validate_json(store.read(_record_key(digest, name)) or b"")
    except ValidationError:
        return None


def find(store: Store, model: str, version: str, digest: str, name: str) -> Exported | None:
    """What is kept of this version, whose model has this digest, in the format of this name; None for nothing, and for
    what is damaged: it is made again then. A file says which version it is, so another version's is none of this one.
    """
    exported = recorded(store, digest, name)
    if exported is None:
        return None
    own = (exported.model, exported.version, exported.digest) == (model, version, digest)
    return exported if own and sha256_in(store, exported.key) == exported.sha256 else None


def keep(store: Store, file: Path, exported: Exported) -> None:
    """Write a proven file, then the record that leads to it. Running twice is running once."""
    store.upload(file, exported.key)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        record = Path(folder, "record.json")
        record.write_text(exported.model_dump_json(indent=1))
        store.upload(record, _record_key(exported.digest, exported.format))


def download(store: Store, exported: Exported, target: Path) -> None:
    """Write a kept file to a new file. Raises Vgg16Error where it is not what was proven."""
    store.download(exported.key, target)
    if sha256_of(target) != exported.sha256:
        raise Vgg16Error(f"{store.address}/{exported.key} is not what was proven.", "Export it again.")
