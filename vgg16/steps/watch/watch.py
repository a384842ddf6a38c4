"""One day's look at a dataset's inbox, for the model in production: once, however often it is cut off and repeated.

Its order: the day's file, what to label first, the page, the alarm. What is there already is not made again. Whoever
passes a message on marks that afterwards, so a kill between the two passes it on again, as the same event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np

from vgg16.checks.drift import day as day_file
from vgg16.checks.drift.accuracy import Estimate, estimated_top1
from vgg16.checks.drift.day import Day
from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts, shared
from vgg16.checks.drift.label_first import label_first
from vgg16.checks.drift.look import Look
from vgg16.checks.drift.reference import Reference
from vgg16.checks.drift.watch import WINDOWS, Watch, like_part, watch
from vgg16.data.images import Images
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.folder import Folder
from vgg16.data.sources.places.place import File
from vgg16.reports.drift.page import DriftFacts, report
from vgg16.steps.drift.drift import judged_on, keep_page, shown_places
from vgg16.steps.drift.facts import Measuring
from vgg16.steps.scoring.model import Model, find_model
from vgg16.steps.watch.beside import Beside, parts_of_gate
from vgg16.steps.watch.day import Inbox, day_of
from vgg16.steps.watch.folder import write_folder
from vgg16.steps.watch.inbox import Drawn, open_inbox
from vgg16.steps.watch.labels import count_labels
from vgg16.steps.watch.records import Acceptance, Alarm, Caps, Kept, WatchRequest
from vgg16.steps.watch.result import End, Watched
from vgg16.tracking.protocol import model_name
from vgg16.workplace.workplace import Workplace

_ENDS: dict[str, End] = {"steady": "Steady", "drifted": "Drifted", "undecided": "Undecided"}


def look_at_inbox(request: WatchRequest, workplace: Workplace) -> Watched:
    """The look, and what follows from labels that came since an alarm.

    Raises RequestError for a source that is no inbox, Vgg16Error where a place or a server fails.
    """
    dataset, name = request.dataset, model_name(request.dataset)
    if name not in {version.name for version in workplace.tracker.registry.champions()}:
        return Watched(dataset, end="Nothing new", why=f"{name} has no version in production yet.")
    model = find_model(f"models:/{name}@champion", workplace)
    measuring, reference = judged_on(model, dataset, workplace)
    place = open_inbox(request.source, dataset, workplace)
    kept = Kept(workplace.store, dataset, model.digest)
    today = day_of(kept, request.date, Inbox(place, measuring, request.caps, workplace))
    days = _Days(dataset, request.source, model, kept, place, measuring, reference, workplace)
    result = days.watched(request.date, today)
    return count_labels(result, request.min_labelled, workplace)


@dataclass(frozen=True)
class _Days:
    """A model, its inbox and all that is kept of the days before."""

    dataset: str
    source: str
    model: Model
    kept: Kept
    place: Bucket | Folder | None
    measuring: Measuring
    reference: Reference
    workplace: Workplace

    def watched(self, date: str, today: Day) -> Watched:
        """The look at all days up to this one, with its page and, at the first alarm, its folder."""
        accepted = self.kept.acceptances()
        before, since = self._compared_with(accepted)
        days = {one: day for one in self.kept.dates() if since < one <= date and (day := self._day(one))}
        number = len(accepted) + 1
        alarm = self.kept.alarm(number)
        counts = Watched(
            self.dataset,
            model=self.model.address,
            digest=self.model.digest,
            new=today.new,
            measured=today.measured,
            unreadable=today.unreadable,
            left_out=today.left_out,
            why=today.why,
        )
        recent = _recent(date, min(days, default=date))
        before, days = _alike(before, {one: days[one] for one in recent if one in days})
        nothing = Facts(before.facts.names, before.facts.values[:0])
        facts_of = [days[one].facts if one in days else nothing for one in recent]
        found = watch(before.facts, facts_of)
        if not found.looks:
            return self._to_tell(counts.ended("Drifted" if alarm else "Nothing new", alarm))
        looks = {window: (before, look) for window, look in found.looks.items()}
        # Once the kind that was labelled last comes alone, or more or less often, days are unlike the gate as a whole.
        if found.drifted and not accepted and not alarm:
            looks |= self._like_parts(found, days, facts_of)
        window, (beside, look) = _shown(looks)
        end = _ENDS[look.verdict] if today.new else "Nothing new"
        shown = _Shown(self, beside, {one: days[one] for one in recent[-window:] if one in days}, look)
        first = label_first(beside.facts, shown.facts).tolist()
        counts = counts.with_look(look, window, shown.estimate, tuple(shown.paths[place] for place in first))
        counts = counts.beside("" if beside is before else beside.which)
        folder = f"label-first/{self.dataset}/{alarm.date if alarm else date}"
        if look.verdict == "drifted" and not alarm:
            write_folder(folder, shown.whys(first), self.place, self.kept.store)
        page = shown.page(first, f"{self.kept.store.address}/{folder}" if look.verdict == "drifted" or alarm else "")
        if look.verdict == "drifted" and not alarm:
            address = f"{self.kept.store.address}/{folder}"
            alarm = self.kept.keep(
                Alarm(
                    number=number,
                    date=date,
                    window=tuple(shown.days),
                    facts=counts.moved,
                    model=self.model.address,
                    folder=address,
                    page=page,
                )
            )
        return self._to_tell(counts.ended("Drifted" if alarm else end, alarm, page=page))

    def _like_parts(
        self, found: Watch, days: Mapping[str, Day], facts_of: Sequence[Facts]
    ) -> dict[int, tuple[Beside, Look]]:
        """Of the windows that alarm beside all of gate, the looks beside other shares of its images that show no drift:
        of each window the one beside those that it is most like."""
        like: dict[int, tuple[Beside, Look]] = {}
        for part in parts_of_gate(self.model, self.measuring, self.workplace):
            beside, _ = _alike(part, days)
            for window, look in like_part(found, watch(beside.facts, facts_of)).items():
                if window not in like or look.p > like[window][1].p:
                    like[window] = beside, look
        return like

    def _to_tell(self, result: Watched) -> Watched:
        """It with the message on the alarm that stands, unless that was passed on."""
        return result.to_tell(self.kept.drifted(result.alarm), self.kept) if result.alarm else result

    def _compared_with(self, accepted: Sequence[Acceptance]) -> tuple[Beside, str]:
        """What later days are held against, and after which day they begin: the gate, or what a person accepted."""
        if not accepted:
            return Beside(self.reference.facts, correct=self.reference.correct), ""
        last = accepted[-1]
        window = [day.facts for date in last.window if (day := self._day(date))]
        if not window:
            return Beside(self.reference.facts), last.date
        names = shared(window)
        facts = Facts(names, np.concatenate([one.only(names).values for one in window]))
        return Beside(facts, f"that were accepted as drift of {last.date}"), last.window[-1]

    def _day(self, date: str) -> Day | None:
        """The day's file; None for one that is damaged."""
        return day_file.read(self.kept.store.read(self.kept.day_key(date)) or b"")


def _alike(beside: Beside, days: Mapping[str, Day]) -> tuple[Beside, dict[str, Day]]:
    """All of them with the facts that they share: what an earlier version measured has fewer."""
    names = shared([beside.facts, *(day.facts for day in days.values())])
    alike = {date: replace(day, facts=day.facts.only(names)) for date, day in days.items()}
    return replace(beside, facts=beside.facts.only(names)), alike


def _recent(date: str, first: str) -> list[str]:
    """The days of the longest window that ends with this one, from `first` on."""
    last = datetime.fromisoformat(date)
    days = [f"{last - timedelta(days=back):%Y-%m-%d}" for back in range(max(WINDOWS))]
    return [day for day in reversed(days) if day >= first]


def _shown(looks: dict[int, tuple[Beside, Look]]) -> tuple[int, tuple[Beside, Look]]:
    """The shortest window that alarms; else the longest one, of those beside other images than the rest if any."""
    alarming = [window for window, (_, look) in looks.items() if look.verdict == "drifted"]
    apart = [window for window, (beside, _) in looks.items() if beside.correct is None]
    window = min(alarming, default=max(apart or looks))
    return window, looks[window]


@dataclass(frozen=True)
class _Shown:
    """The look at the days of a window, for people."""

    of: _Days
    beside: Beside
    days: dict[str, Day]
    look: Look

    @cached_property
    def facts(self) -> Facts:
        """Those of all its pictures."""
        return Facts(self.beside.facts.names, np.concatenate([day.facts.values for day in self.days.values()]))

    @cached_property
    def paths(self) -> list[str]:
        """Theirs, in the inbox."""
        return [path for day in self.days.values() for path in day.paths]

    @property
    def estimate(self) -> Estimate | None:
        """None beside what a person accepted too: nobody knows which answers were right there."""
        if self.beside.correct is None or self.look.verdict != "steady":
            return None
        sure = self.beside.facts.column(CONFIDENCE)
        return estimated_top1(sure, self.beside.correct, self.facts.column(CONFIDENCE))

    def whys(self, places: Sequence[int]) -> list[tuple[str, str]]:
        """Path and reason of pictures to label."""
        names = [name for name in (CONFIDENCE, UNUSUALNESS) if name in self.facts.names]
        return [
            (self.paths[place], ", ".join(f"{name} {self.facts.column(name)[place]:.3g}" for name in names))
            for place in places
        ]

    def page(self, first: Sequence[int], folder: str) -> str:
        """The page on the latest look, in the place of that before; its address."""
        of = self.of
        places = shown_places(self.look.moved, first)
        facts = DriftFacts(
            source=of.place.address if of.place else of.source or f"{of.kept.store.address}/inbox/{of.dataset}",
            model=of.model.address,
            name=of.dataset,
            look=self.look,
            reference=self.beside.facts,
            which=self.beside.which,
            window=self.facts,
            gate_top1=None if self.beside.correct is None else of.reference.top1,
            estimate=self.estimate,
            pictures=sum(day.new for day in self.days.values()),
            measured=sum(day.measured for day in self.days.values()),
            unreadable=sum(day.unreadable for day in self.days.values()),
            label_first=first,
            paths={place: self.paths[place] for place in places},
            at=datetime.now(UTC),
            images=self._images(places),
            folder=folder,
        )
        return keep_page(report(facts), f"docs/watch-{of.dataset}.html", of.kept.store)

    def _images(self, places: Sequence[int]) -> dict[int, Images]:
        """Those that are still there."""
        of = self.of
        if not of.place:
            return {}
        # Its size was within the caps when it was measured.
        files = tuple(File(self.paths[place], -1, "") for place in places)
        drawn = Drawn(of.place, files, Caps(), of.measuring.side, of.measuring.framing)
        read = {place: drawn.read(range(row, row + 1))[0] for row, place in enumerate(places)}
        return {place: image for place, image in read.items() if not isinstance(image, str)}
