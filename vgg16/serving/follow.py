"""The ledger is looked at every few seconds, and what it puts into production takes over. Whatever fails in that, the
version that answers goes on, and it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vgg16.errors import first_line
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.serving import champion
from vgg16.serving.champion import Served, Wanted
from vgg16.serving.metrics import Metrics
from vgg16.storage.store import Store

# Seconds between looks at the ledger, which are two small reads each.
POLL = 2.0
# Seconds after which a file that failed is tried again, doubled each time up to the last.
_FIRST_PAUSE, _LAST_PAUSE = 2.0, 60.0


@dataclass(frozen=True)
class Source:
    """Whose ledger in which store is followed; `drafts` is a folder for files while they are checked."""

    store: Store
    name: str
    drafts: Path


class Follower(threading.Thread):
    """Looks for a new champion until it is stopped; `served` is the one that answers, replaced whole."""

    def __init__(self, source: Source, metrics: Metrics, say: Callable[[str], None], poll: float = POLL) -> None:
        """Load the first champion. Raises Vgg16Error where there is none that can be served."""
        super().__init__(name="follower", daemon=True)
        self.source, self.metrics, self.say, self.poll = source, metrics, say, poll
        self.history: Sequence[LedgerEntry] = champion.history_of(source.store, source.name)
        self.served = self._load(champion.wanted(source.store, self.history))
        self._read_at = time.monotonic()
        self._told: dict[str, str] = {}
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._failed: Wanted | None = None
        self._ended = threading.Event()
        metrics.age_by(lambda: time.monotonic() - self._read_at)
        metrics.ready.set(1)
        self._show(current=True)

    def run(self) -> None:
        """Look again and again."""
        while not self._ended.wait(self.poll):
            self.look()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> None:
        """Look once, and let what is new take over."""
        try:
            self._read()
        except Exception as error:  # whatever a store behind a network fails with
            self._fail("ledger", f"the ledger of {self.source.name} cannot be read: {first_line(error)}")
            return
        self._read_at = time.monotonic()
        self._recovered("ledger", "the ledger is read again")
        if self.served.wanted.entry == self.history[-1].number:
            return
        try:
            wanted = champion.wanted(self.source.store, self.history)
        except Exception as error:  # as above
            self._stay(error)
            return
        if self._is_served(wanted):
            self._failed = None
            self._recovered("file", f"version {wanted.version} is in production again")
            self.served = replace(self.served, wanted=wanted)
            self._show(current=True)
        elif wanted != self._failed or time.monotonic() >= self._not_before:
            self._take_over(wanted)

    def _read(self) -> None:
        store = self.source.store
        if not ledger.is_still_last(store, self.history[-1]):
            self.history = ledger.entries(store, self.source.name)

    def _is_served(self, wanted: Wanted) -> bool:
        served = self.served.wanted
        return (wanted.version, wanted.sha256) == (served.version, served.sha256)

    def _take_over(self, wanted: Wanted) -> None:
        try:
            served = self._load(wanted)
        except Exception as error:  # of a file, too
            self._pause = min(2 * self._pause, _LAST_PAUSE) if wanted == self._failed else _FIRST_PAUSE
            self._failed, self._not_before = wanted, time.monotonic() + self._pause
            self._stay(error)
            return
        before, self.served, self._failed = self.served, served, None
        self._told.pop("file", None)
        self.metrics.swaps.inc()
        self._show(current=True)
        self.say(f"version {wanted.version} answers from now on, by entry {wanted.entry}; before, {before.version} did")

    def _stay(self, error: Exception) -> None:
        self._show(current=False)
        self._fail("file", f"version {self.served.version} goes on answering: {first_line(error)}")

    def _load(self, wanted: Wanted) -> Served:
        return champion.load(self.source.store, wanted, self.source.drafts)

    def _show(self, *, current: bool) -> None:
        wanted = self.served.wanted
        self.metrics.champion.clear()
        self.metrics.champion.labels(wanted.name, wanted.version, wanted.sha256).set(1)
        self.metrics.current.set(current)
        self.metrics.entry.set(self.history[-1].number)

    def _fail(self, what: str, message: str) -> None:
        """Count a failure, and say it where it is not the one that was said last."""
        self.metrics.failures.labels(what).inc()
        if self._told.get(what) != message:
            self._told[what] = message
            self.say(message)

    def _recovered(self, what: str, message: str) -> None:
        if self._told.pop(what, None):
            self.say(message)
