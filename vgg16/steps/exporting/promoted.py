"""The files of a version that comes into production: proven to answer as the model does, before the ledger says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vgg16.config.types import GateRules
from vgg16.errors import RefusedError, first_line
from vgg16.exports.formats import FORMATS, check_installed
from vgg16.promotion import ledger
from vgg16.promotion.reconcile import ONNX
from vgg16.promotion.records import LedgerEntry
from vgg16.records import ModelVersion
from vgg16.steps.exporting import kept
from vgg16.storage.store import Store, sha256_in
from vgg16.workplace.workplace import Workplace


def check_possible(rules: Iterable[GateRules]) -> None:
    """Raises Vgg16Error where packages are missing that a promotion by these rules needs: before hours of training, and
    before a look at gate images."""
    check_installed(FORMATS[name] for each in rules for name in _formats(each))


def rules_of(version: ModelVersion, workplace: Workplace) -> GateRules:
    """What a version must show to be promoted, as its run keeps it."""
    return workplace.tracker.results.experiment(version.run_id).gate


def prove(version: ModelVersion, judged: str, workplace: Workplace) -> dict[str, str]:
    """The sha256 of a version's file in the store, of each format: ONNX, and those that its experiment asks for. What
    is kept of the same model is used again.

    `judged` is the digest that its model must have, "" for any. Raises RefusedError where it has another one, and where
    a file of one of the formats does not answer as the model does.
    """
    return _proven(version, judged, tuple(_formats(rules_of(version, workplace))), workplace)


def prove_waiting(version: ModelVersion, judged: str, workplace: Workplace) -> None:
    """The ONNX file of a version that waits in Staging, as `prove` makes it; its promotion uses it again. A version of
    which there is none waits all the same, and that is said."""
    try:
        _proven(version, judged, (ONNX,), workplace)
    except Exception as error:  # whatever keeps a file from being made keeps no version from waiting
        title = f"{version.name} version {version.version}"
        workplace.say(f"waiting     {title} has no ONNX file, so no service can try it: {first_line(error)}")


def _proven(version: ModelVersion, judged: str, formats: tuple[str, ...], workplace: Workplace) -> dict[str, str]:
    # Its statistics take a moment to import, which a server that learns of the flows does without.
    from vgg16.steps.exporting.export import export

    exported = export(version, formats, workplace)
    for file in exported:
        if judged and file.digest != judged:
            raise RefusedError(
                f"{version.name} version {version.version} has been changed: expected a model with digest "
                f"{judged[:12]}..., found {file.digest[:12]}...",
                f"Judge what is there now: vgg16 promote {version.name} {version.version}",
            )
        shown = f"{file.row.title}, {file.bytes / 1e6:.1f} MB, proven on {file.parity.images:,} images of gate"
        workplace.say(f"            {shown}, probabilities differ by {file.parity.max_difference:.1g} at most")
    return {file.format: file.sha256 for file in exported}


def prove_again(version: ModelVersion, history: Sequence[LedgerEntry], workplace: Workplace) -> dict[str, str]:
    """The files that a version had when it was in production, without the time of making them, where its ONNX file is
    whole in the store; else as `prove`."""
    earlier = ledger.exports(history, version.version)
    lost = damaged(earlier, workplace.store)
    if ONNX not in earlier or ONNX in lost:
        return prove(version, ledger.model_digest(history, version.version), workplace)
    for name, problem in lost.items():
        workplace.say(f"export      {version.name} version {version.version} comes back without its {name}: {problem}")
    return {name: sha256 for name, sha256 in earlier.items() if name not in lost}


def damaged(exports: Mapping[str, str], store: Store) -> dict[str, str]:
    """Of which formats the file is not what the ledger says: what was expected and what was found."""
    problems = {}
    for name, sha256 in exports.items():
        key = key_of(name, sha256)
        if (found := sha256_in(store, key)) != sha256:
            seen = f"sha256 {found[:12]}..." if found else "no file"
            problems[name] = f"expected {store.address}/{key} with the sha256 that is its name, found {seen}"
    return problems


def key_of(name: str, sha256: str) -> str:
    """Where the store keeps the file of a format."""
    return kept.key_of(sha256, FORMATS[name].suffix)


def look(store: Store, name: str) -> tuple[list[str], list[str]]:
    """What is wrong with the files of the version in production of a registered model, and what a person should know
    of it, as `soundness.look` says that of its model."""
    history = ledger.entries(store, name)
    problems, notes = [], []
    for version in ledger.productions(history)[-1:]:
        title, exports = f"{name} version {version}", ledger.exports(history, version)
        if not exports:
            fix = _command(name, version, ONNX)
            notes.append(f"{title} came into production before promotions made an ONNX file; one is made by `{fix}`")
        digest = ledger.model_digest(history, version)
        for format_, problem in damaged(exports, store).items():
            if kept.find(store, name, version, digest, format_):
                notes.append(f"{title} has another {format_} file, as proven as that which the ledger names: {problem}")
                continue
            fix = f"Bring it back from a copy, or make it again: {_command(name, version, format_)}"
            problems.append(f"{title}, in production, has lost its {format_} file: {problem}. {fix}")
    return problems, notes


def _command(name: str, version: str, format_: str) -> str:
    row = FORMATS[format_]
    quantize = f" --quantize {row.quantize}" if row.quantize else ""
    return f"vgg16 export models:/{name}/{version} --format {row.kind}{quantize}"


def _formats(rules: GateRules) -> dict[str, None]:
    return dict.fromkeys((ONNX, *rules.exports))
