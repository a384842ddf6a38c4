"""What a person sees while it runs: a line per step and a bar while training. Everything goes to standard error,
and to the Prefect run's log where there is one. The command line makes the console speak; a worker leaves it quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from vgg16.records import EpochMetrics

console = Console(stderr=True, quiet=True, highlight=False)


def say(text: str) -> None:
    """One line for the person and for the run's log."""
    console.print(text, soft_wrap=True, markup=False)
    _log(text)


def _log(text: str) -> None:
    from prefect.context import get_run_context
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_run_logger

    try:
        get_run_context()
    except MissingContextError:
        return
    get_run_logger().info(text)


@contextmanager
def training(name: str, epochs: int) -> Iterator[tuple[Callable[[EpochMetrics], None], Callable[[int, int], None]]]:
    """The two callbacks that `train` reports through: a bar on a terminal, a line per epoch elsewhere."""
    columns = (
        TextColumn(f"  {name}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None, metrics="")

        def on_step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        def on_epoch(metrics: EpochMetrics) -> None:
            bar.update(task, metrics=f"val_top1 {metrics.val_top1:.4f}")
            say(
                f"  epoch {metrics.epoch:>2}/{epochs}  train_loss {metrics.train_loss:7.4f}  "
                f"train_top1 {metrics.train_top1:.4f}  val_loss {metrics.val_loss:7.4f}  "
                f"val_top1 {metrics.val_top1:.4f}"
            )

        yield on_epoch, on_step


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """The callback that work on many files reports through, done of total: a bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(f"  {what}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
