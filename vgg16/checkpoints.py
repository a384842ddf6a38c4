"""Trainings that are not finished, by the digest of their request: their states, whole or passed over, in the store,
and who works on them. Knows neither who trains nor where results are logged."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgg16 import leases
from vgg16.config import Frozen
from vgg16.errors import Vgg16Error
from vgg16.leases import Lease
from vgg16.records import EpochMetrics
from vgg16.storage import MANIFEST, Store, fetch, publish

KEPT = 2  # the newest, and one more should it turn out damaged
# A checkpoint waits until training took this many times as long as writing the last one: it costs at most 5 %.
PATIENCE = 20

Arrays = list[NDArray[Any]]


class Progress(Frozen):
    """How far a training has come: `done` epochs of the phase `phase`, which counts from 0; all epochs so far; the one
    that is best, 0 where none is; the seconds spent. `cause` is why it diverged, "" else; `complete`: nothing is left
    to train."""

    phase: int
    done: int
    epochs: tuple[EpochMetrics, ...]
    best: int
    seconds: float
    cause: str
    complete: bool


@dataclass(frozen=True)
class State:
    """All that a training needs to go on: the model's variables, the state of its dropout included; the optimizer's,
    moving averages included; the weights of the best epoch, [] where none is."""

    progress: Progress
    variables: Arrays
    optimizer: Arrays
    best: Arrays


class Unfinished(Frozen):
    """A request whose training has not come to its end, who has it, and what of it is kept."""

    request: str
    owner: str
    lapsed: bool
    epochs: int
    bytes: int


def hold(store: Store, request: str, told: Callable[[str], None]) -> AbstractContextManager[Lease]:
    """The lease of a request; see `leases.hold`."""
    return leases.hold(store, _folder(request), told)


def saver(store: Store, request: str, lease: Lease) -> Callable[[Callable[[], State], bool], None]:
    """What `train` reports its states to: it makes and keeps one where enough time has passed, and always the last."""
    ended, took = 0.0, 0.0

    def keep(make: Callable[[], State], last: bool) -> None:
        nonlocal ended, took
        start = time.monotonic()
        if last or start - ended >= PATIENCE * took:
            save(store, request, make(), lease)
            ended = time.monotonic()
            took = ended - start

    return keep


def save(store: Store, request: str, state: State, lease: Lease) -> None:
    """Keep a state, and of the older ones the newest. Raises LostLeaseError."""
    lease.check()
    epoch = len(state.progress.epochs)
    # Generations first: what a lost owner still writes is older than anything of the one that followed.
    key = f"{_folder(request)}/states/{lease.generation:06}-{epoch:06}"
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        Path(folder, "progress.json").write_text(json.dumps(state.progress.model_dump()))  # knows nan
        parts = {"variables": state.variables, "optimizer": state.optimizer, "best": state.best}
        arrays = {f"{part} {number:05}": each for part, all_ in parts.items() for number, each in enumerate(all_)}
        with Path(folder, "arrays.npz").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # keys are not its own parameters
        publish(store, key, Path(folder))
    kept = _whole(store, request)[:KEPT]
    for old in store.keys(f"{_folder(request)}/states/"):
        if old.rpartition("/")[0] not in kept:
            store.delete(old)


def load(store: Store, request: str) -> State | None:
    """The newest state that is whole, None where there is none."""
    for key in _whole(store, request):
        with tempfile.TemporaryDirectory(prefix="vgg16-") as cache:
            try:
                return _read(fetch(store, key, Path(cache)))
            # Damaged, or of a version of this code that kept something else.
            except (Vgg16Error, ValueError, KeyError):
                continue
    return None


def _read(folder: Path) -> State:
    progress = Progress.model_validate(json.loads((folder / "progress.json").read_text()))
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        found = {part: [file[name] for name in sorted(file) if name.startswith(f"{part} ")] for part in _PARTS}
    return State(progress, **found)


_PARTS = ("variables", "optimizer", "best")


def note_run(store: Store, request: str, run_id: str) -> None:
    """Keep the name of what the training is logged in."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        draft = Path(folder, "run")
        draft.write_text(json.dumps({"run_id": run_id}))
        store.upload(draft, f"{_folder(request)}/run.json")


def noted_run(store: Store, request: str) -> str:
    """The name that was kept, "" for none."""
    return str(json.loads(store.read(f"{_folder(request)}/run.json") or "{}").get("run_id", ""))


def clear(store: Store, request: str) -> None:
    """Keep no state and no run of a request any more, but its lease. Manifests go first: no half state is left."""
    keys = [key for key in store.keys(f"{_folder(request)}/") if "/lease/" not in key and "/beats/" not in key]
    for key in sorted(keys, key=lambda each: not each.endswith(MANIFEST)):
        store.delete(key)


def drop(store: Store, request: str) -> None:
    """Keep nothing of a request any more: its training is at its end, and nobody holds its lease."""
    clear(store, request)
    for key in store.keys(f"{_folder(request)}/"):
        store.delete(key)


def unfinished(store: Store) -> list[Unfinished]:
    """All requests that something is kept of."""
    requests = sorted({key.split("/")[1] for key in store.keys("checkpoints/")})
    return [_told(store, request) for request in requests]


def _told(store: Store, request: str) -> Unfinished:
    found = leases.latest(store, _folder(request))
    sizes: dict[str, int] = {}
    for key in _whole(store, request):
        files = json.loads(store.read(f"{key}/{MANIFEST}") or '{"files": {}}')["files"]
        sizes[key] = sum(file["bytes"] for file in files.values())
    newest = next(iter(sizes), "-0")
    return Unfinished(
        request=request,
        owner=str(found[1]) if found else "",
        lapsed=leases.lapsed(store, _folder(request), *found) if found else True,
        epochs=int(newest.rpartition("-")[2]),
        bytes=sum(sizes.values()),
    )


def _whole(store: Store, request: str) -> list[str]:
    """The states that have their manifest and files, the newest first."""
    keys = store.keys(f"{_folder(request)}/states/")
    needed = {"progress.json", "arrays.npz", MANIFEST}
    states = sorted({key.rpartition("/")[0] for key in keys}, reverse=True)
    return [state for state in states if needed <= {key.rpartition("/")[2] for key in keys if key.startswith(state)}]


def _folder(request: str) -> str:
    if not re.fullmatch(r"\w+", request):
        raise ValueError(f"a request is named by its digest, found {request!r}")
    return f"checkpoints/{request}"
