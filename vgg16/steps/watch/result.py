"""What a day's look at an inbox comes to. It imports nothing heavy: the flow reads it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vgg16.reports.text import plural
from vgg16.shown import markdown, visible
from vgg16.steps.data.report import how_to_open
from vgg16.steps.watch.records import Alarm, Kept, Message
from vgg16.storage.store import ExistsError
from vgg16.workplace.workplace import Workplace

if TYPE_CHECKING:
    from vgg16.checks.drift.accuracy import Estimate
    from vgg16.checks.drift.look import Look

End = Literal["Steady", "Drifted", "Undecided", "Nothing new"]


@dataclass(frozen=True)
class Watched:
    """The `end` of a look at a dataset's inbox, and what it counted of the day's `new` files: `measured`, `unreadable`,
    the first one for the reason `why`, and `left_out` for the caps. `moved` are facts of the window of so many `days`;
    `like` says which images of gate these pictures are like where they are unlike the whole of it. `alarm` is the one
    that stands, `labels` says what people have labelled since, and `messages` are those that were not passed on yet."""

    dataset: str
    end: End = "Nothing new"
    why: str = ""
    model: str = ""
    digest: str = ""
    new: int = 0
    measured: int = 0
    unreadable: int = 0
    left_out: int = 0
    days: int = 0
    moved: tuple[str, ...] = ()
    like: str = ""
    estimate: tuple[float, float, float] | None = None
    label_first: tuple[str, ...] = ()
    alarm: Alarm | None = None
    labels: str = ""
    messages: tuple[Message, ...] = ()
    page: str = ""

    def with_look(self, look: Look, days: int, estimate: Estimate | None, first: tuple[str, ...]) -> Watched:
        """It with what a window's look found."""
        value = (estimate.value, *estimate.interval) if estimate else None
        moved = tuple(one.fact for one in look.moved)
        return replace(self, days=days, moved=moved, estimate=value, label_first=first)

    def beside(self, images: str) -> Watched:
        """It with the images of gate that these pictures are like."""
        return replace(self, like=images)

    def ended(self, end: End, alarm: Alarm | None, page: str = "") -> Watched:
        """It with its end."""
        return replace(self, end=end, alarm=alarm, page=page)

    def to_tell(self, message: Message, kept: Kept) -> Watched:
        """It with a message, unless that was passed on."""
        return self if kept.is_told(message) else replace(self, messages=(*self.messages, message))

    def labelled(self, labels: str) -> Watched:
        """It with what people have labelled."""
        return replace(self, labels=labels)

    @property
    def text(self) -> str:
        """All of it in a line."""
        parts = [f"{plural(self.new, 'new file')}: {self.measured:,} measured, {self.unreadable:,} unreadable"]
        if self.left_out:
            parts.append(f"{self.left_out:,} left out by the caps of a day")
        if self.why:
            parts.append(visible(self.why))
        if self.like and not self.alarm:
            parts.append(f"unlike the gate as a whole, but like images {self.like}")
        if self.alarm:
            facts = ", ".join(self.alarm.facts)
            parts.insert(0, f"{self.dataset} drifted on {self.alarm.date} and no one has accepted it yet ({facts})")
            parts.append(f"label first: {self.alarm.folder}")
            parts += [self.labels] if self.labels else []
            parts.append(f"page: {self.page or self.alarm.page}")
        return "; ".join(parts)


def in_markdown(result: Watched) -> str:
    """It, for a page of Prefect."""
    lines = [f"**{result.end}.** {markdown(result.text)}.", ""]
    if result.estimate:
        value, low, high = result.estimate
        lines += [f"Probable top-1: {value:.3f} ({low:.3f} to {high:.3f}), if no new classes came.", ""]
    if result.alarm:
        lines += ["What to label first:", "", *(f"1. {markdown(path)}" for path in result.label_first), ""]
        accept = f"vgg16 data review {result.dataset} drift --as keep"
        lines += [f"`{accept}` takes these pictures for how they are from now on.", ""]
    if result.page:
        lines += how_to_open(result.page, "The page of the latest look")
    return "\n".join(lines) + "\n"


def mark_told(message: Message, workplace: Workplace) -> None:
    """It was passed on, and is not again."""
    with suppress(ExistsError):
        workplace.store.create(message.key, b"{}\n")
