"""A function in a process that is killed amid it. One that pytest's own process forked might wait for ever for a lock
that another thread had: so a process without threads forks it."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

_PROCESSES = multiprocessing.get_context("forkserver")
# What functions that are killed are of: imported once, seconds, and not by each process.
_PROCESSES.set_forkserver_preload(["tests.steps.test_add", "tests.steps.test_scoring_kills", "tests.data.test_reviews"])


def is_killed(function: Callable[..., object], *arguments: Any) -> bool:
    """Whether a function of a module kills its process, rather than coming to an end. Raises AssertionError where it
    raises."""
    process = _PROCESSES.Process(target=_call, args=(dict(os.environ), function, arguments))
    # The server's socket: below a test's own folder, which temporary files may be in by now, its path is too long.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing.util, "get_temp_dir", _short_folder)
        process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), "its error stands above"
    return process.exitcode != 0


@functools.cache
def _short_folder() -> str:
    folder = tempfile.mkdtemp(prefix="vgg16-killed-", dir="/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _call(environment: Mapping[str, str], function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)
