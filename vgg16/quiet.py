"""Standard output and error as this project needs them: silence for libraries in C, which print past Python's own
streams; and no reader that leaves, full disk or old encoding ends the work that is being reported."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
# Of each muted descriptor: how many are inside, and a copy of what it was.
_inside: dict[int, tuple[int, int]] = {}


@contextmanager
def muted(descriptor: int) -> Iterator[None]:
    """Inside, nothing that this process writes to the file descriptor (1 or 2) arrives anywhere; of several threads
    the last one that leaves gives it back."""
    with _lock:
        count, kept = _inside.get(descriptor) or (0, os.dup(descriptor))
        if not count:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a device, not a path
                os.dup2(nowhere.fileno(), descriptor)
        _inside[descriptor] = (count + 1, kept)
    try:
        yield
    finally:
        with _lock:
            count, kept = _inside.pop(descriptor)
            if count > 1:
                _inside[descriptor] = (count - 1, kept)
            else:
                os.dup2(kept, descriptor)
                os.close(kept)


class _Descriptor(io.FileIO):
    """A descriptor of this process, which stays open; what cannot be written is dropped, and why is remembered."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.problem: OSError | None = None

    def write(self, b: Any, /) -> int:
        """As of FileIO; all of it is done where nothing can be done."""
        try:
            return super().write(b)
        except OSError as error:
            self.problem = self.problem or error
            # Libraries in C and children would meet it too.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(b).nbytes


class Output(io.TextIOWrapper):
    """Text to a descriptor; a character that its encoding does not have becomes an escape, as `\\xe4`."""

    def __init__(self, number: int, encoding: str, *, lines: bool = False) -> None:
        self._descriptor = _Descriptor(number)
        # click writes UTF-8 to what calls itself ASCII.
        self._ascii = codecs.lookup(encoding).name == "ascii"
        super().__init__(
            io.BufferedWriter(self._descriptor),
            encoding="latin-1" if self._ascii else encoding,
            errors="backslashreplace",
            line_buffering=lines or number == 2 or self._descriptor.isatty(),
        )

    def write(self, text: str, /) -> int:
        """As of TextIOWrapper."""
        return super().write(text.encode("ascii", "backslashreplace").decode() if self._ascii else text)

    def finish(self) -> str:
        """Write what is left; why something was lost, "" where nothing was or its reader wanted no more."""
        self.flush()
        problem = self._descriptor.problem
        return "" if problem is None or problem.errno == errno.EPIPE else problem.strerror or str(problem)


def take_over() -> None:
    """Let standard output and error of this process be such; where one of the three was closed, nothing is behind it.
    To be called before anything is opened."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The first file that is opened would take its place, and be printed into.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        given = getattr(sys, name)
        if given is getattr(sys, f"__{name}__"):  # what somebody has put in its place is theirs
            setattr(sys, name, Output(number, given.encoding if given else "utf-8"))


def keep_for_answer() -> Output:
    """The standard output that was; whatever else is printed from now on, by a library in C too, goes to standard
    error."""
    kept = Output(os.dup(1), "utf-8")
    os.dup2(2, 1)
    return kept


def keep_for_log() -> Output:
    """The standard error that is, line by line, for what must arrive while a library in C is `muted`."""
    return Output(os.dup(2), "utf-8", lines=True)


def colour() -> bool | None:
    """False where a person wants no colours (NO_COLOR) or the terminal has none; None where it depends on whether there
    is one."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
