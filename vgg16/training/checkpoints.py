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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Frozen
from vgg16.errors import Vgg16Error
from vgg16.records import EpochMetrics
from vgg16.storage import leases
from vgg16.storage.leases import Lease, LostLeaseError
from vgg16.storage.publishing import MANIFEST, fetch, publish
from vgg16.storage.store import Store
from vgg16.training.records import Tally

KEPT = 2  # the newest, and one more should it turn out damaged


# A checkpoint waits until training took this many times as long as writing the last one: it costs at most 5 %.
PATIENCE = 20


# The last checkpoint is tried for ten minutes: all that was trained since the one before hangs on it.
TRIES, RETRY_SECONDS = 60, 10.0


Moment = Literal["step", "epoch", "end"]


Arrays = list[NDArray[Any]]


class Progress(Frozen):
    """How far a training has come: the phase, which counts from 0; all epochs that ended, and the sums of the one that
    is under way; the epoch that is best, 0 where none is; the seconds of each phase begun, those in training steps, and
    the images of these. `cause` is why it diverged, "" else; `complete`: nothing is left to train."""

    phase: int
    tally: Tally
    epochs: tuple[EpochMetrics, ...]
    best: int
    seconds: tuple[float, ...]
    stepping: float
    images: int
    cause: str
    complete: bool


BEGINNING = Progress(
    phase=0, tally=Tally(), epochs=(), best=0, seconds=(), stepping=0.0, images=0, cause="", complete=False
)


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


def saver(
    store: Store, request: str, lease: Lease, minutes: float, told: Callable[[str], None]
) -> Callable[[Callable[[], State], Moment], None]:
    """What `train` reports its states to: it makes and keeps one at each epoch's end where enough time has passed, amid
    an epoch after so many minutes, and always the last. While the store is away training goes on, and that is told;
    only the last is waited for. Raises LostLeaseError, and Vgg16Error where the last cannot be kept."""
    ended, took, missed = time.monotonic(), 0.0, 0

    def keep(make: Callable[[], State], moment: Moment) -> None:
        nonlocal ended, took, missed
        start = time.monotonic()
        wait = 60 * minutes if moment == "step" else 0.0
        if moment != "end" and start - ended < max(wait, PATIENCE * took):
            return
        state = make()
        for left in reversed(range(TRIES if moment == "end" else 1)):
            try:
                save(store, request, state, lease)
            except LostLeaseError:
                raise
            except Exception as error:  # whatever a disk, a network or a server may say
                missed += 1
                if missed == 1:
                    told(f"the store does not take checkpoints: {_first_line(error)}; training goes on without")
                if moment == "end" and not left:
                    raise Vgg16Error(
                        f"The store does not take the last checkpoint: {_first_line(error)}.",
                        "Mend the store; the same command goes on after the last checkpoint that it has.",
                    ) from error
                if left:
                    time.sleep(RETRY_SECONDS)
            else:
                if missed:
                    told("the store takes checkpoints again")
                missed = 0
                break
        ended = time.monotonic()
        took = ended - start

    return keep


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def save(store: Store, request: str, state: State, lease: Lease) -> None:
    """Keep a state, and of the older ones the newest. Raises LostLeaseError."""
    lease.check()
    # Generations first: what a lost owner still writes is older than anything of the one that followed.
    place = f"{lease.generation:06}-{len(state.progress.epochs):06}-{state.progress.tally.steps:08}"
    key = f"{_folder(request)}/states/{place}"
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
    newest = next(iter(sizes), "-0-0")
    return Unfinished(
        request=request,
        owner=str(found[1]) if found else "",
        lapsed=leases.lapsed(store, _folder(request), *found) if found else True,
        epochs=int(newest.split("-")[-2]),
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
