"""What the process that exports tells the one that asked it, a line each: progress, what is made, and why it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TextIO

from vgg16.config.types import Frozen
from vgg16.steps.exporting.records import Exported
from vgg16.workplace.workplace import Display, Silence


class Failed(Frozen):
    """Why there is no file: of which format, "" where it is not one of them alone, and which kind of error that is."""

    kind: str
    message: str
    hint: str
    format: str = ""


class Counted(Frozen):
    """How much of a work is done, of how much; all of it ends it."""

    what: str
    done: int
    total: int


class Line(Frozen):
    """One line: one of these."""

    say: str = ""
    counted: Counted | None = None
    exported: Exported | None = None
    failed: Failed | None = None


class Lines(Silence):
    """A display whose progress becomes such lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def send(self, line: Line) -> None:
        """Write a line."""
        print(line.model_dump_json(exclude_defaults=True), file=self.out, flush=True)  # it is a pipe

    def say(self, text: str) -> None:
        """Send it."""
        self.send(Line(say=text))

    def counting(self, what: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Send how much is done."""
        return nullcontext(lambda done, total: self.send(Line(counted=Counted(what=what, done=done, total=total))))


def read(lines: Iterable[str], display: Display) -> tuple[list[Exported], Failed | None]:
    """Show the progress that lines tell of, and answer the rest. What is no such line, a library has printed."""
    made: list[Exported] = []
    failed = None
    with _bars(display) as show:
        for text in lines:
            line = Line.model_validate_json(text)
            show(line.counted)
            if line.say:
                display.say(line.say)
            made += [line.exported] if line.exported else []
            failed = line.failed or failed
    return made, failed


@contextmanager
def _bars(display: Display) -> Iterator[Callable[[Counted | None], None]]:
    """One bar at a time: that of what is being counted."""
    with ExitStack() as stack:
        what, on_step = "", None

        def show(counted: Counted | None) -> None:
            nonlocal what, on_step
            if counted is None or counted.what != what:
                stack.close()
                what, on_step = "", None
            if counted:
                if on_step is None:
                    what, on_step = counted.what, stack.enter_context(display.counting(counted.what))
                on_step(counted.done, counted.total)

        yield show
