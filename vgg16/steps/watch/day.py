"""The pictures that came into an inbox become one day's file: measured once, within what a day may take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vgg16.checks.drift import day as day_file
from vgg16.checks.drift.day import Day
from vgg16.checks.drift.facts import Facts
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.folder import Folder
from vgg16.errors import RefusedError
from vgg16.steps.drift.facts import Measuring
from vgg16.steps.drift.window import Window, read_window
from vgg16.steps.watch.inbox import OVER_BUDGET, Drawn, arrivals, draw_key, threads_of
from vgg16.steps.watch.records import Caps, Kept
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Inbox:
    """A place, None where nothing was ever put there, with what its pictures are measured by."""

    place: Bucket | Folder | None
    measuring: Measuring
    caps: Caps
    workplace: Workplace

    def day(self, dataset: str, before: set[bytes]) -> Day:
        """What came that is not marked as seen before, measured within the caps."""
        found = arrivals(self.place, before, draw_key(dataset, self.workplace), self.caps)
        names = self.measuring.names
        nothing = Day(Facts(names, np.zeros((0, len(names)), np.float32)), (), found.seen, found.new)
        if not found.new or not self.place:
            return nothing
        files = found.drawn
        self.workplace.say(
            f"watch       {found.new:,} new files in {self.place.address}, of which {len(files):,} are read"
        )
        side, framing = self.measuring.side, self.measuring.framing
        drawn = Drawn(self.place, files, self.caps, side, framing, threads=threads_of(self.place))
        window, why = self._window(drawn)
        left_out = found.new - len(files) + drawn.budget.refused
        if not window:
            return replace(nothing, unreadable=found.new - left_out, left_out=left_out, why=why)
        unreadable = [(files[row].path, reason) for row, reason in window.unreadable if reason != OVER_BUDGET]
        return replace(
            nothing,
            facts=window.facts,
            paths=tuple(files[row].path for row in window.rows.tolist()),
            measured=window.measured,
            unreadable=len(unreadable),
            left_out=left_out,
            why=next((f"{path}: {reason}" for path, reason in unreadable), ""),
        )

    def _window(self, drawn: Drawn) -> tuple[Window | None, str]:
        """What was measured, or why nothing could be."""
        if not len(drawn):
            return None, ""
        try:
            return read_window(drawn, self.measuring, self.workplace), ""
        except RefusedError as error:  # none of them can be read
            return None, error.message


def day_of(kept: Kept, date: str, inbox: Inbox) -> Day:
    """The day's file, which is made where there is none that can be read. A day without new files has none."""
    key = kept.day_key(date)
    content = kept.store.read(key)
    if content and (day := day_file.read(content)):
        return day
    earlier = [day_file.read(kept.store.read(key) or b"") for key in kept.last_before(date)]
    day = inbox.day(kept.dataset, {row.tobytes() for one in earlier if one for row in one.seen})
    if not day.new:
        return day
    if content:
        kept.store.delete(key)
    try:
        kept.store.create(key, day_file.content_of(day))
    except ExistsError:  # another run at once
        return day_file.read(kept.store.read(key) or b"") or day
    return day
