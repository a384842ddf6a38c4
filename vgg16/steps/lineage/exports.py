"""The link of what is served: the files that were proven before the version came into production."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from vgg16.errors import Vgg16Error
from vgg16.exports.session import open_session
from vgg16.promotion.reconcile import ONNX
from vgg16.promotion.records import LedgerEntry
from vgg16.steps.exporting.promoted import damaged, key_of
from vgg16.steps.lineage.lineage import Lineage


def exports(lineage: Lineage) -> str:
    """The files that the ledger names are in the store, with the sha256 that it has, and say that they are this
    version."""
    version = lineage.version
    entries = [entry for entry in lineage.entries if entry.exports]
    if not entries:
        if lineage.entries:
            return "no file was proven by the vgg16 that put it into production, so none was recorded"
        return "it was not in production, so no file was proven"
    entry, store = entries[-1], lineage.workplace.store
    if problems := damaged(entry.exports, store):
        told = "; ".join(f"of {name} {problem}" for name, problem in problems.items())
        raise Vgg16Error(
            f"Entry {entry.number} of the ledger names proven files: {told}.",
            f"Bring it back from a copy, or make it again: vgg16 export {version.uri} --format onnx",
        )
    files = ", ".join(f"{name} {sha256[:12]}..." for name, sha256 in entry.exports.items())
    recorded = f"{files}, as entry {entry.number} of the ledger says"
    if find_spec("onnxruntime") is None:
        return f"{recorded}; what ONNX says of itself is not checkable here, for onnxruntime is not installed"
    _check_said(lineage, entry)
    return f"{recorded}; ONNX says that it is {lineage.title}"


def _check_said(lineage: Lineage, entry: LedgerEntry) -> None:
    """Raises Vgg16Error for an ONNX file that says that it is another version, or was made of another model."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        key, store = key_of(ONNX, entry.exports[ONNX]), lineage.workplace.store
        file = store.local_path(key) or Path(folder, "file.onnx")
        if not file.is_file():
            store.download(key, file)
        said = open_session(file)
    found, expected = (said.model, said.version), (lineage.name, lineage.number)
    # Where these two differ, that is told by the link `model`.
    recorded = lineage.workplace.tracker.registry.model_digest(lineage.name, lineage.number)
    digests = {entry.model_digest, recorded} - {""}
    if found != expected or (digests and said.digest not in digests):
        raise Vgg16Error(
            f"Expected the ONNX file of {lineage.title} with digest {entry.model_digest[:12]}..., found one that says "
            f"it is {said.model} version {said.version} with digest {said.digest[:12]}...",
            "The entry of the ledger was changed, or the file was put there by hand: bring both back from a copy.",
        )
