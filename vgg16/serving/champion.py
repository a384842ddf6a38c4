"""The version in production, opened: its ONNX file, from the store, proven to be the one that the ledger names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgg16.errors import RequestError, Vgg16Error, first_line
from vgg16.exports.session import Session, open_session
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.serving.memory import give_back
from vgg16.storage.files import draft_in, sha256_of
from vgg16.storage.store import Store

_FORMAT = "onnx"


@dataclass(frozen=True)
class Wanted:
    """What the ledger says is in production: the version and the sha256 of its file. `model_digest` is that of the
    model that the file must be of, "" where the ledger does not say; `entry` is the number of the last one."""

    name: str
    version: str
    sha256: str
    model_digest: str
    entry: int


@dataclass(frozen=True)
class Served:
    """What answers: a version, and its file, verified, open and warm; whether that says how usual an image is."""

    wanted: Wanted
    session: Session
    has_typicality: bool

    @property
    def name(self) -> str:
        """The registered model."""
        return self.wanted.name

    @property
    def version(self) -> str:
        """The number of its version."""
        return self.wanted.version


def wanted(store: Store, history: Sequence[LedgerEntry]) -> Wanted:
    """What is in production by a ledger that has entries. Raises Vgg16Error where there is no file of it."""
    last = history[-1]
    version = ledger.productions(history)[-1]
    digest = ledger.model_digest(history, version)
    sha256 = ledger.exports(history, version).get(_FORMAT) or exported_since(store, last.name, version, digest)
    if not sha256:
        raise Vgg16Error(
            f"Version {version} of {last.name} is in production and has no ONNX file: an earlier vgg16 promoted it.",
            f"Make one: vgg16 export models:/{last.name}/{version} --format onnx",
        )
    return Wanted(last.name, version, sha256, digest, last.number)


def history_of(store: Store, name: str) -> list[LedgerEntry]:
    """The ledger of a model. Raises RequestError for one that was never in production."""
    history = ledger.entries(store, name)
    if history:
        return history
    others = sorted({key.split("/")[1] for key in store.keys("ledger/")})
    raise RequestError(
        f"No version of {name!r} was ever in production, by the ledgers in {store.address}.",
        f"There are: {', '.join(others)}." if others else f"Put one there: vgg16 promote {name} VERSION",
    )


def load(store: Store, wanted: Wanted, drafts: Path, threads: int = 0) -> Served:
    """Fetch the file that is wanted, by way of a folder for drafts, prove that it is the one, open it for so many
    threads, 0 for all cores, and let it answer to one image and to two at once. Raises Vgg16Error for anything but such
    a file."""
    key = f"exports/{wanted.sha256}.onnx"
    where = f"{store.address}/{key}, version {wanted.version} of {wanted.name},"
    hint = f"Make it again: vgg16 export models:/{wanted.name}/{wanted.version} --format onnx"
    with draft_in(drafts) as draft:
        try:
            store.download(key, draft)
        except Exception as error:  # of a store behind a network, of many kinds
            raise Vgg16Error(f"{where} cannot be fetched: {type(error).__name__}: {first_line(error)}.", hint) from None
        if (found := sha256_of(draft)) != wanted.sha256:
            raise Vgg16Error(f"{where} is not what was proven: its sha256 is {found[:12]}....", hint)
        # Between requests the threads would spin for 10 ms each time, which others need.
        session = open_session(draft, threads, spin=False)
    if wanted.model_digest and session.digest != wanted.model_digest:
        raise Vgg16Error(f"{where} is of another model: {session.digest[:12]}..., not {wanted.model_digest[:12]}....")
    _check(session, 1, where)
    has_typicality = _check(session, 2, where)
    give_back()
    return Served(wanted, session, has_typicality)


def _check(session: Session, count: int, where: str) -> bool:
    """Whether it answers typicality too, to so many images. Raises Vgg16Error for answers that are none."""
    probabilities, typicality = session.answer(np.zeros((count, session.side, session.side, 3), np.uint8))
    expected = (count, len(session.class_names))
    if probabilities.shape != expected or not np.isfinite(probabilities).all():
        raise Vgg16Error(f"{where} answers {probabilities.shape}: expected {expected} finite probabilities.")
    if typicality is not None and (typicality.shape != (count,) or not np.isfinite(typicality).all()):
        raise Vgg16Error(f"{where} answers typicality {typicality.shape}: expected {count} finite numbers.")
    return typicality is not None


def exported_since(store: Store, name: str, version: str, digest: str) -> str:
    """The sha256 of the file that `vgg16 export` made of a version that was promoted, or came to wait, without one; ""
    for none. Where the ledger does not say which model the version was, the file's own word for it counts."""
    keys = [f"exports/of/{digest}/{_FORMAT}.json"] if digest else store.keys("exports/of/")
    for key in keys:
        if key.endswith(f"/{_FORMAT}.json"):
            try:
                record = json.loads(store.read(key) or b"{}")
                if (record.get("model"), record.get("version")) == (name, version):
                    return str(record["sha256"])
            except (ValueError, KeyError, AttributeError):
                continue  # damaged: as good as none
    return ""
