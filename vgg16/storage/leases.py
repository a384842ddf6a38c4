"""Who works on something in the store: one owner at a time, by generations, of which the highest owns.

A generation is an object that only one writer can create; taking over is creating the next. Clocks decide nothing but
how soon somebody else tries: an owner that was taken for dead and lives on finds a higher generation at its next
`check`, and stops. So a wrong clock costs a wait or a training that starts over, never two owners that both write.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import ValidationError

from vgg16.config.types import Frozen
from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, Store

# The tokens of the leases that this process holds.
_HELD: set[str] = set()
BEAT_SECONDS = 5.0
LAPSE_SECONDS = 30.0  # six beats: a busy disk or network may swallow some


class BusyError(Vgg16Error):
    """Somebody who lives has the lease."""


class LostLeaseError(Vgg16Error):
    """Somebody else took over."""


class Owner(Frozen):
    """A process: its host; `place`, where its pid means something, and the store, for a copy of one is nobody's work;
    when it started and when it took the lease, both in seconds since 1970; a token of this one holding."""

    host: str
    place: str
    pid: int
    started: float
    at: float
    token: str

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} on {self.host}, since {since}"

    def gone(self, store: Store) -> bool:
        """Whether the process is known to be gone; of another machine nothing is known."""
        if self.place != _place(store):
            return False
        try:
            process = psutil.Process(self.pid)
            if process.create_time() != self.started or process.status() == psutil.STATUS_ZOMBIE:
                return True
            # One of this process that it does not know of: it was taken, and the answer was lost.
            return self.pid == os.getpid() and self.token not in _HELD
        except psutil.NoSuchProcess:
            return True


_NOBODY = Owner(host="nowhere", place="", pid=0, started=0, at=0, token="")


class _Beat(Frozen):
    """When an owner last said that it lives, in seconds since 1970, or that it needs the lease no more."""

    at: float
    released: bool = False


class Lease:
    """One generation of a folder's lease, held by this process."""

    def __init__(self, store: Store, folder: str, generation: int, owner: Owner) -> None:
        self.store, self.folder, self.generation, self.owner = store, folder, generation, owner

    def check(self) -> None:
        """Raises LostLeaseError where somebody else took over, or ended what this is about."""
        last = latest(self.store, self.folder)
        if last is None or last[1].token != self.owner.token:
            by = f"taken over by {last[1]}" if last else "ended by somebody else"
            raise LostLeaseError(f"This work was {by}.", "Nothing more is written here.")

    def beat(self, released: bool = False) -> None:
        """Say that the owner lives, or that it needs the lease no more."""
        with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
            draft = Path(folder, "beat")
            draft.write_text(_Beat(at=time.time(), released=released).model_dump_json())
            self.store.upload(draft, _beat_key(self.folder, self.generation))

    def beats(self, stop: threading.Event) -> None:
        """Beat until `stop` is set."""
        while not stop.wait(BEAT_SECONDS):
            with suppress(Exception):  # a store that is away for a moment: the next beat may come through
                self.beat()


@contextmanager
def hold(store: Store, folder: str, say: Callable[[str], None] = lambda _: None) -> Iterator[Lease]:
    """Hold the lease of a folder of the store. Waits, and says so, for an owner that may have been killed; raises
    BusyError that names an owner that lives."""
    token = uuid.uuid4().hex
    _HELD.add(token)
    try:
        lease = _take(store, folder, token, say)
    except BaseException:
        _HELD.discard(token)
        raise
    stop = threading.Event()
    heart = threading.Thread(target=lease.beats, args=(stop,), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        stop.set()
        heart.join(BEAT_SECONDS)
        with suppress(Exception):  # a lease that is not released lapses
            lease.check()
            lease.beat(released=True)
        _HELD.discard(token)


def latest(store: Store, folder: str) -> tuple[int, Owner] | None:
    """The highest generation and its owner, None where there was none. What is no lease there is passed over; of one
    that is damaged nobody is the owner, and it has lapsed."""
    pattern = re.compile(rf"{re.escape(folder)}/lease/(\d{{6,}})\.json")
    generations = [int(match[1]) for key in store.keys(f"{folder}/lease/") if (match := pattern.fullmatch(key))]
    if not generations:
        return None
    content = store.read(f"{folder}/lease/{max(generations):06}.json")
    if content is None:  # ended this very moment
        return None
    return max(generations), _owner(content)


def _owner(content: bytes) -> Owner:
    try:
        return Owner.model_validate_json(content)
    except ValidationError:
        return _NOBODY


def was_held(store: Store, folder: str, token: str) -> bool:
    """Whether an owner of this token has held the lease of this folder, in this store."""
    contents = (store.read(key) for key in store.keys(f"{folder}/lease/"))
    return any(content and _owner(content).token == token for content in contents)


def lapsed(store: Store, folder: str, generation: int, owner: Owner) -> bool:
    """Whether the owner let go, is gone, or has not been heard of for long by this machine's clock."""
    try:
        beat = _Beat.model_validate_json(store.read(_beat_key(folder, generation)) or "")
    except ValidationError:  # none yet, or damaged
        beat = _Beat(at=owner.at)
    return beat.released or owner.gone(store) or time.time() - beat.at > LAPSE_SECONDS


def check_free(store: Store, folder: str) -> None:
    """Raises BusyError where a process that lives on this machine has the lease; of others nothing is said."""
    if owner := holder(store, folder):
        raise _busy(owner)


def holder(store: Store, folder: str) -> Owner | None:
    """The process of this machine that lives and has the lease of a folder, None for none."""
    last = latest(store, folder)
    return last[1] if last and last[1].place == _place(store) and not lapsed(store, folder, *last) else None


def _busy(owner: Owner) -> BusyError:
    return BusyError(
        f"The same work is being done already, by {owner}.",
        "Wait for it, or end that process: what it has done so far is kept, and the same command goes on.",
    )


def _take(store: Store, folder: str, token: str, say: Callable[[str], None]) -> Lease:
    """Create the next generation once the last has lapsed: by its beats, or because they do not change while this
    machine watches."""
    me = Owner(
        host=socket.gethostname(),
        place=_place(store),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        at=time.time(),
        token=token,
    )
    watched: object = None
    start = time.monotonic()
    while True:
        last = latest(store, folder)
        generation, owner = last or (0, me)
        silent = watched is not None and time.monotonic() - start > LAPSE_SECONDS
        if last is None or silent or lapsed(store, folder, generation, owner):
            try:
                store.create(f"{folder}/lease/{generation + 1:06}.json", me.model_dump_json().encode())
            except ExistsError:
                watched = None
                continue
            lease = Lease(store, folder, generation + 1, me)
            lease.beat()
            return lease
        beat = (generation, store.read(_beat_key(folder, generation)))
        if owner.place == me.place or beat != (watched or beat):
            raise _busy(owner)
        if watched is None:
            watched, start = beat, time.monotonic()
            say(f"waiting     for {owner}, which may have been killed: at most {LAPSE_SECONDS:.0f} s")
        time.sleep(min(BEAT_SECONDS, 1.0))


def _beat_key(folder: str, generation: int) -> str:
    return f"{folder}/beats/{generation:06}"


def _place(store: Store) -> str:
    """This boot of this kernel and, of its containers, this one, where a pid names one process; and the store."""
    try:
        boot = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        boot = socket.gethostname()
    return f"{boot} {store.address}"
