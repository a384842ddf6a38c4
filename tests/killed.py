"""A function in a process that is killed amid it. One that pytest's own process forked might wait for ever for a lock
that another thread had: so a process without threads forks it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

_PROCESSES = multiprocessing.get_context("forkserver")
# What functions that are killed are of: imported once, seconds, and not by each process.
_PROCESSES.set_forkserver_preload(["tests.steps.test_add", "tests.steps.test_scoring_kills", "tests.data.test_reviews"])


def is_killed(function: Callable[..., object], *arguments: Any) -> bool:
    """Whether a function of a module kills its process, rather than coming to an end. Raises AssertionError where it
    raises."""
    process = _PROCESSES.Process(target=_call, args=(dict(os.environ), function, arguments))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), "its error stands above"
    return process.exitcode != 0


def _call(environment: Mapping[str, str], function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)
