"""What a person sees while it runs: a line per step and a bar while training. Everything goes to standard error,
and to the Prefect run's log where there is one. The command line opens the console; a worker leaves it quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from vgg16 import shown
from vgg16.records import EpochMetrics
from vgg16.workplace.workplace import TrainingCallbacks

LINE_SECONDS = 30.0  # of silence, after which long work says a line where no bar can be drawn

console = Console(stderr=True, quiet=True, highlight=False, emoji=False)


def _draws() -> bool:
    """Whether a bar can be drawn: on a terminal that goes back to the beginning of a line."""
    return console.is_terminal and not console.is_dumb_terminal


def _plain(text: str) -> Text:
    return Text(shown.message(text))


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """On a terminal say what goes on until it has ended, and then take that away; the function says something else."""
    with Console(stderr=True).status(_plain(what), spinner="line") as status:
        yield lambda text: status.update(_plain(text))


def say(text: str) -> None:
    """One line for the person and for the run's log."""
    text = shown.message(text)
    console.print(text, soft_wrap=True, markup=False)
    _log(text)


def _log(text: str) -> None:
    if "prefect" not in sys.modules:  # then there is no run, and importing it takes a second
        return
    from prefect import exceptions, get_run_logger

    with suppress(exceptions.MissingContextError):
        get_run_logger().info(text)


class _Pace:
    """Where no bar can be drawn, a line after each LINE_SECONDS of silence."""

    def __init__(self) -> None:
        self.spoken = time.monotonic()

    def reset(self) -> None:
        self.spoken = time.monotonic()

    def say(self, text: str) -> None:
        if not _draws() and time.monotonic() - self.spoken >= LINE_SECONDS:
            self.reset()
            say(text)


@contextmanager
def training(name: str, epochs: int) -> Iterator[TrainingCallbacks]:
    """A bar on a terminal, a line per epoch elsewhere."""
    columns = (
        TextColumn("  {task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not _draws()) as bar:
        task = bar.add_task(name, total=None, metrics="")
        pace = _Pace()

        def on_part(what: str, unit: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)
            pace.say(f"  {what}  {done} of {total} {unit}")

        def on_epoch(metrics: EpochMetrics) -> None:
            pace.reset()
            bar.update(task, metrics=f"val_top1 {metrics.val_top1:.4f}")
            say(
                # Within 80 columns, by the names that Keras has for them.
                f"  epoch {metrics.epoch:>2}/{epochs}  loss {metrics.train_loss:7.4f}  "
                f"top1 {metrics.train_top1:.4f}  val_loss {metrics.val_loss:7.4f}  "
                f"val_top1 {metrics.val_top1:.4f}"
            )

        yield TrainingCallbacks(on_epoch, partial(on_part, name, "steps"), partial(on_part, "features", "images"))


@contextmanager
def downloading(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """The callback that `download` reports through, in bytes: a bar on a terminal, a line now and then elsewhere."""
    columns = (
        TextColumn(f"  {name}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not _draws()) as bar:
        task = bar.add_task(name, total=None)
        pace = _Pace()

        def on_bytes(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)
            pace.say(f"  {name}  {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else ""))

        yield on_bytes


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """The callback that work on many files reports through, done of total, the first of which may be done before: a bar
    with the rate on a terminal, a line now and then elsewhere."""
    columns = (
        TextColumn(f"  {what}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not _draws()) as bar:
        task = bar.add_task(what, total=None, rate="")
        pace, rate = _Pace(), _Rate()

        def on_done(done: int, total: int) -> None:
            a_second = rate.of(done)
            speed = f"{a_second:,.0f}/s" if a_second >= 10 else f"{a_second:,.1f}/s"
            bar.update(task, completed=done, total=total, rate=speed * bool(a_second))
            left = f", {speed}, {_lasting((total - done) / a_second)} left" if a_second else ""
            pace.say(f"  {what}  {done:,} of {total:,}{left}")

        yield on_done


class _Rate:
    """How many are done in a second, since the first report."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def of(self, done: int) -> float:
        """The rate with so many done by now; 0 where nothing can be said yet."""
        now = time.monotonic()
        first, begun = self._first = self._first or (done, now)
        return (done - first) / (now - begun) if now > begun else 0.0


def _lasting(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
