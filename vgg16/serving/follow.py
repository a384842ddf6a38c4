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
from vgg16.serving import champion as champions
from vgg16.serving.champion import Served, Wanted
from vgg16.serving.http.refusals import RefusalError
from vgg16.serving.memory import give_back
from vgg16.serving.metrics import Metrics
from vgg16.serving.notices import Notices
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
    """Looks for a new champion until it is stopped; `champion` is the one that answers, replaced whole; None where
    the first one is waited for. `looked` is set once it has looked."""

    def __init__(
        self,
        source: Source,
        metrics: Metrics,
        say: Callable[[str], None],
        poll: float = POLL,
        *,
        wait: bool = False,
    ) -> None:
        """Load the first champion; where it may `wait` for one, that is left to the first look, which a store that is
        away can keep for minutes. Raises Vgg16Error where there is none that can be served, and none may be waited
        for."""
        super().__init__(name="follower", daemon=True)
        self.source, self.metrics, self.say, self.poll = source, metrics, say, poll
        self.history: Sequence[LedgerEntry] = ()
        self.champion: Served | None = None
        self.looked = threading.Event()
        self._notices = Notices(metrics, say)
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._failed: Wanted | None = None
        self._has_replaced = False
        self._ended = threading.Event()
        if not wait:
            self.history = champions.history_of(source.store, source.name)
            self._begin(self._load(champions.wanted(source.store, self.history)))
            self.looked.set()
        self._read_at = time.monotonic()
        metrics.age_by(lambda: time.monotonic() - self._read_at)

    @property
    def served(self) -> Served:
        """The version that answers now. Raises RefusalError, 503, where none does yet."""
        if self.champion:
            return self.champion
        name = self.source.name
        raise RefusalError(
            503,
            "champion",
            f"No version of {name} can answer yet: none is in production, or its file is not there.",
            f"Put one there: vgg16 promote {name} VERSION; the log of this service says what it waits for.",
            {"retry-after": "2"},
        )

    @property
    def is_cut_off(self) -> bool:
        """Whether the ledger cannot be read, which was said."""
        return self._notices.stands("ledger")

    def run(self) -> None:
        """Look again and again; at once where nothing answers yet."""
        if not self.looked.is_set():
            self.look()
            self.looked.set()
        while not self._ended.wait(self.poll):
            # By the next look no request has the version before any more.
            if self._has_replaced:
                self._has_replaced = False
                give_back()
            self.look()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> None:
        """Look once, and let what is new take over."""
        name, store = self.source.name, self.source.store
        try:
            self._read()
        except Exception as error:  # whatever a store behind a network fails with
            self._notices.fail("ledger", f"the ledger of {name} cannot be read: {first_line(error)}{self._waits}")
            return
        self._read_at = time.monotonic()
        self._notices.recovered("ledger", "the ledger is read again")
        if not self.history:
            self._notices.tell(
                "wait", f"waits for a first version in production: vgg16 promote {name} VERSION, in {store.address}"
            )
            return
        if self.champion and self.champion.wanted.entry == self.history[-1].number:
            return
        try:
            wanted = champions.wanted(store, self.history)
        except Exception as error:  # as above
            self._stay(error)
            return
        if self.champion and self._is_served(wanted, self.champion.wanted):
            self._failed = None
            self._notices.recovered("file", f"version {wanted.version} is in production again")
            self._begin(replace(self.champion, wanted=wanted))
        elif wanted != self._failed or time.monotonic() >= self._not_before:
            self._take_over(wanted)

    @property
    def _waits(self) -> str:
        return "" if self.champion else "; waits until it can"

    def _read(self) -> None:
        store = self.source.store
        if not self.history or not ledger.is_still_last(store, self.history[-1]):
            self.history = ledger.entries(store, self.source.name)

    def _is_served(self, wanted: Wanted, served: Wanted) -> bool:
        return (wanted.version, wanted.sha256) == (served.version, served.sha256)

    def _take_over(self, wanted: Wanted) -> None:
        try:
            served = self._load(wanted)
        except Exception as error:  # of a file, too
            self._pause = min(2 * self._pause, _LAST_PAUSE) if wanted == self._failed else _FIRST_PAUSE
            self._failed, self._not_before = wanted, time.monotonic() + self._pause
            self._stay(error)
            return
        before, self._failed = self.champion, None
        self._begin(served)
        self._notices.forget("file", "wait")
        answers = f"version {wanted.version} answers from now on, by entry {wanted.entry}"
        if before:
            self._has_replaced = True
            self.metrics.swaps.inc()
            answers += f"; before, {before.version} did"
        self.say(answers)

    def _stay(self, error: Exception) -> None:
        if not self.champion:
            self._notices.fail("file", f"what is in production cannot answer: {first_line(error)}{self._waits}")
            return
        self._show(self.champion.wanted, current=False)
        self._notices.fail("file", f"version {self.champion.version} goes on answering: {first_line(error)}")

    def _load(self, wanted: Wanted) -> Served:
        return champions.load(self.source.store, wanted, self.source.drafts)

    def _begin(self, served: Served) -> None:
        self.champion = served
        self.metrics.ready.set(1)
        self._show(served.wanted, current=True)

    def _show(self, wanted: Wanted, *, current: bool) -> None:
        self.metrics.champion.clear()
        self.metrics.champion.labels(wanted.name, wanted.version, wanted.sha256).set(1)
        self.metrics.current.set(current)
        self.metrics.entry.set(self.history[-1].number)
