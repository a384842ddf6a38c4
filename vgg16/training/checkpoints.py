"""Trainings that are not finished, by the digest of their request: their states in the store, each whole or passed
over, and who works on them. Knows neither who trains nor where results are logged."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Frozen
from vgg16.errors import Vgg16Error, first_line
from vgg16.storage import leases
from vgg16.storage.leases import Lease, LostLeaseError
from vgg16.storage.publishing import MANIFEST, bytes_of, fetch, publish
from vgg16.storage.store import Store
from vgg16.training.records import Progress

KEPT = 2  # the newest, and one more should it turn out damaged
# A checkpoint waits until training took this many times as long as writing the last one: it costs at most 5 %.
MIN_INTERVAL_RATIO = 20
# The last checkpoint is tried for ten minutes: without it, all training since the one before is lost.
TRIES, RETRY_SECONDS = 60, 10.0
Moment = Literal["step", "epoch", "end"]
Variables = list[NDArray[Any]]  # their values, in the order of the model or optimizer


@dataclass(frozen=True)
class State:
    """All that a training needs to go on: its progress; the model's variables, the state of its dropout included; the
    optimizer's, moving averages included; the weights of the best epoch, [] where there is none."""

    progress: Progress
    variables: Variables
    optimizer: Variables
    best: Variables


class Unfinished(Frozen):
    """A request whose training is not finished: who holds its lease and whether that has lapsed, and how many epochs
    and bytes are kept of it."""

    request: str
    owner: str
    lapsed: bool
    epochs: int
    bytes: int


def hold(store: Store, request: str, say: Callable[[str], None]) -> AbstractContextManager[Lease]:
    """The lease of a request; see `leases.hold`."""
    return leases.hold(store, _folder(request), say)


def was_held(store: Store, request: str, token: str) -> bool:
    """Whether an owner of this token has held the request's lease, in this store."""
    return leases.was_held(store, _folder(request), token)


def anybody_trains(store: Store) -> bool:
    """Whether a process of this machine that lives holds the lease of any request."""
    requests = {key.split("/")[1] for key in store.keys("checkpoints/") if "/lease/" in key}
    return any(leases.holder(store, _folder(request)) for request in requests)


def check_free(store: Store, request: str) -> None:
    """Raises BusyError where a process of this machine that lives holds the lease of a request."""
    leases.check_free(store, _folder(request))


def saver(
    store: Store, request: str, lease: Lease, minutes: float, say: Callable[[str], None]
) -> Callable[[Callable[[], State], Moment], None]:
    """What `train` reports its states to. It makes and keeps one at an epoch's end where enough time has passed,
    mid-epoch after so many minutes, and always the last. While the store does not answer it says so and training goes
    on; only the last state is waited for. Raises LostLeaseError, and Vgg16Error where the last cannot be kept."""
    ended, took, failures = time.monotonic(), 0.0, 0

    def keep(make: Callable[[], State], moment: Moment) -> None:
        nonlocal ended, took, failures
        start = time.monotonic()
        wait = 60 * minutes if moment == "step" else 0.0
        if moment != "end" and start - ended < max(wait, MIN_INTERVAL_RATIO * took):
            return
        state = make()
        for tries_left in reversed(range(TRIES if moment == "end" else 1)):
            try:
                save(store, request, state, lease)
            except LostLeaseError:
                raise
            except Exception as error:  # whatever a disk, a network or a server may say
                failures += 1
                if failures == 1:
                    say(f"the store does not take checkpoints: {first_line(error)}; training goes on without")
                if moment == "end" and not tries_left:
                    raise Vgg16Error(
                        f"The store does not take the last checkpoint: {first_line(error)}.",
                        "Repair the store; the same command goes on after the last checkpoint that it has.",
                    ) from error
                if tries_left:
                    time.sleep(RETRY_SECONDS)
            else:
                if failures:
                    say("the store takes checkpoints again")
                failures = 0
                break
        ended = time.monotonic()
        took = ended - start

    return keep


def save(store: Store, request: str, state: State, lease: Lease) -> None:
    """Keep a state, and of the older ones the newest. Raises LostLeaseError."""
    lease.check()
    # Generations first: what an owner that lost its lease still writes is older than all of the next owner's.
    place = f"{lease.generation:06}-{len(state.progress.epochs):06}-{state.progress.tally.steps:08}"
    key = f"{_folder(request)}/states/{place}"
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        Path(folder, "progress.json").write_text(json.dumps(state.progress.model_dump()))  # keeps nan
        parts = {"variables": state.variables, "optimizer": state.optimizer, "best": state.best}
        named = {f"{part} {number:05}": array for part, arrays in parts.items() for number, array in enumerate(arrays)}
        with Path(folder, "arrays.npz").open("wb") as file:
            np.savez(file, **named)  # type: ignore[arg-type]  # keys are not its own parameters
        publish(store, key, Path(folder))
    kept = _whole(store, request)[:KEPT]
    for old in store.keys(f"{_folder(request)}/states/"):
        if old.rpartition("/")[0] not in kept:
            store.delete(old)


def load(store: Store, request: str) -> State | None:
    """The newest state that is whole, None where there is none."""
    return next(states(store, request), None)


def states(store: Store, request: str) -> Iterator[State]:
    """Every state that is whole, the newest first."""
    for key in _whole(store, request):
        with tempfile.TemporaryDirectory(prefix="vgg16-") as cache:
            try:
                folder = fetch(store, key, Path(cache), copied=True)
            except Vgg16Error:
                continue
            try:
                state = _read(folder)
            # Damaged, or of a version of this code that kept something else: what is raised then is of many kinds.
            except Exception:  # noqa: S112
                continue
        yield state


def _read(folder: Path) -> State:
    progress = Progress.model_validate(json.loads((folder / "progress.json").read_text()))
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        parts = {part: [file[name] for name in sorted(file) if name.startswith(f"{part} ")] for part in _PARTS}
    if not parts["variables"] or not parts["optimizer"] or (progress.best and not parts["best"]):
        raise ValueError("the arrays of a network or its optimizer are missing")
    return State(progress, **parts)


_PARTS = ("variables", "optimizer", "best")


def note_run(store: Store, request: str, run_id: str) -> None:
    """Keep the id of the run that the training is logged in."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        draft = Path(folder, "run")
        draft.write_text(json.dumps({"run_id": run_id}))
        store.upload(draft, f"{_folder(request)}/run.json")


def noted_run(store: Store, request: str) -> str:
    """The id that was kept, "" for none."""
    try:
        return str(json.loads(store.read(f"{_folder(request)}/run.json") or "{}").get("run_id", ""))
    except (ValueError, AttributeError):  # damaged: it is logged in a new run
        return ""


def clear(store: Store, request: str) -> None:
    """Delete the states and the run's id of a request; its lease stays. Manifests go first: no half state is left."""
    keys = [key for key in store.keys(f"{_folder(request)}/") if "/lease/" not in key and "/beats/" not in key]
    for key in sorted(keys, key=lambda key: not key.endswith(MANIFEST)):
        store.delete(key)


def drop(store: Store, request: str) -> None:
    """Delete all that is kept of a request: its training is finished, and nobody holds its lease any more."""
    clear(store, request)
    for key in store.keys(f"{_folder(request)}/"):
        store.delete(key)


def unfinished(store: Store) -> list[Unfinished]:
    """All requests of which something is kept."""
    requests = sorted({key.split("/")[1] for key in store.keys("checkpoints/")})
    return [_describe(store, request) for request in requests]


def _describe(store: Store, request: str) -> Unfinished:
    lease = leases.latest(store, _folder(request))
    sizes = {key: bytes_of(store, key) for key in _whole(store, request)}
    newest = next((key for key in sizes if re.search(r"-\d+-\d+$", key)), "-0-0")
    return Unfinished(
        request=request,
        owner=str(lease[1]) if lease else "",
        lapsed=leases.lapsed(store, _folder(request), *lease) if lease else True,
        epochs=int(newest.split("-")[-2]),
        bytes=sum(sizes.values()),
    )


def _whole(store: Store, request: str) -> list[str]:
    """The states with their manifest and all files, the newest first."""
    keys = store.keys(f"{_folder(request)}/states/")
    needed = {"progress.json", "arrays.npz", MANIFEST}
    states = sorted({key.rpartition("/")[0] for key in keys}, reverse=True)
    return [state for state in states if needed <= {key.rpartition("/")[2] for key in keys if key.startswith(state)}]


def _folder(request: str) -> str:
    if not re.fullmatch(r"\w+", request):
        raise ValueError(f"a request is named by its digest, found {request!r}")
    return f"checkpoints/{request}"
