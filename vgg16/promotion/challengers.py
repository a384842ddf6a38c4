"""The challenger, as the store tells it to services, which ask no MLflow: what waits in Staging, of several the last to
come. MLflow's stage is the truth, and `challengers/NAME.json` follows it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from vgg16.config.types import Frozen
from vgg16.promotion.ledger import DamagedError
from vgg16.storage.store import Store
from vgg16.tracking.protocol import Registry, RegistryState


class Challenger(Frozen):
    """Which version of a registered model is the challenger, and `at` which time it was first written down as that.
    `model_digest` is that of its model; `onnx` the sha256 of its proven file in the store, "" where it has none yet."""

    name: str
    version: str
    model_digest: str
    onnx: str
    at: str


def read(store: Store, name: str) -> Challenger | None:
    """The challenger of a registered model, None where nothing waits. Raises DamagedError for a record that is none."""
    content = store.read(_key(name))
    if content is None:
        return None
    try:
        challenger = Challenger.model_validate_json(content)
    except ValidationError as error:
        problem = f"cannot be read: {error.errors()[0]['msg']}"
    else:
        if challenger.name == name:
            return challenger if challenger.version else None
        problem = f"is of {challenger.name[:80]}"
    raise DamagedError(f"{store.address}/{_key(name)} {problem}.", "The next promote, run or check writes it anew.")


def follow(registry: Registry, store: Store, name: str, exported: Callable[[str, str], str]) -> None:
    """Write the challenger into the store as MLflow has it; where nothing waits, none is there. `exported` says the
    sha256 of the ONNX file that is kept of a version and its model's digest, "" for none. Running twice is running
    once, and of two processes at once both end with what MLflow says then."""
    while True:
        written = _written(store, name)
        now = _now(registry, name, written, exported)
        if now == written and (now or store.read(_key(name)) is None):
            return
        if now is None:
            store.delete(_key(name))
        else:
            _write(store, now)


def _now(
    registry: Registry, name: str, written: Challenger | None, exported: Callable[[str, str], str]
) -> Challenger | None:
    version = _waits(registry.state(name))
    if not version:
        return None
    digest = registry.model_digest(name, version)
    onnx, at = exported(version, digest), datetime.now(UTC).isoformat(timespec="seconds")
    if written and (written.version, written.model_digest) == (version, digest):
        # What leads to a file by its model's digest may lead to that of another version by now.
        onnx, at = onnx or written.onnx, written.at
    return Challenger(name=name, version=version, model_digest=digest, onnx=onnx, at=at)


def _waits(state: RegistryState) -> str:
    """The version with the alias; the last of the stage where a hand has moved one there without; "" for none."""
    if state.stages.get(state.challenger) == "Staging":
        return state.challenger
    return next((version for version, stage in reversed(state.stages.items()) if stage == "Staging"), "")


def _written(store: Store, name: str) -> Challenger | None:
    try:
        return read(store, name)
    except DamagedError:
        return None


def _write(store: Store, challenger: Challenger) -> None:
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        record = Path(folder, "record.json")
        record.write_text(challenger.model_dump_json(indent=1))
        store.upload(record, _key(challenger.name))


def _key(name: str) -> str:
    return f"challengers/{name}.json"
