"""One process of the stack: started apart from the terminal, known again by its pid and the time of its creation, and
ended with all that it started."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from vgg16.storage.files import sync

# In the environment of all that a stack starts: which service of which home it belongs to.
MARK = "VGG16_STACK"

CLOCK_SECONDS = 2.0  # a clock that is set moves the time of creation that the kernel reports
CHILDREN_SECONDS = 10.0  # for what a service leaves behind


def start(
    command: Sequence[str], environment: Mapping[str, str], mark: str, log: Path, *, cwd: Path, user: str = ""
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, which no Ctrl-C of this terminal reaches; an older log is kept beside its."""
    if log.exists():
        log.replace(log.with_suffix(".log.before"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env={**environment, MARK: mark},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **as_user(user),
        )


def as_user(name: str) -> dict[str, Any]:
    """What makes subprocess run as this user; "" for the one that we are."""
    if not name:
        return {}
    user = pwd.getpwnam(name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def find(pid: int, created: float) -> psutil.Process | None:
    """The process of that pid, if it lives and is the one that was created then."""
    try:
        process = psutil.Process(pid)
        return process if alive(process) and abs(process.create_time() - created) < CLOCK_SECONDS else None
    except psutil.NoSuchProcess:
        return None


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that ended and that nobody has asked for its status does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def marked(mark: str) -> list[psutil.Process]:
    """All that was started under this mark and lives, whatever became of its parent."""
    living = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and alive(process):
                living.append(process)
        except (psutil.Error, OSError):
            continue
    return living


def send(processes: Iterable[psutil.Process], signum: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        try:
            process.send_signal(signum)
        except psutil.NoSuchProcess:
            continue


def wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, that long at most; those that have not."""
    left, deadline = list(processes), time.monotonic() + seconds
    while (left := [process for process in left if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def end(
    leaders: Mapping[str, psutil.Process | None],
    signals: Mapping[str, signal.Signals],
    seconds: float,
    *,
    children_first: bool = False,
) -> bool:
    """End the processes of these marks, together: each leader by its signal (SIGTERM), then what is left of its own,
    then by force. Returns whether all are gone."""
    own = [process for mark in leaders for process in marked(mark)]
    living = {mark: leader for mark, leader in leaders.items() if leader}
    if children_first:
        others = [process for process in own if process not in living.values()]
        send(others, signal.SIGTERM)
        wait(others, seconds)
    for mark, leader in living.items():
        send([leader], signals.get(mark, signal.SIGTERM))
    wait(living.values(), seconds)
    # Those that were there before and those that came meanwhile.
    meanwhile = [process for mark in leaders for process in marked(mark)]
    left = [process for process in {*own, *meanwhile} if alive(process)]
    send(left, signal.SIGTERM)
    left = wait(left, CHILDREN_SECONDS)
    send(left, signal.SIGKILL)
    return not wait(left, CHILDREN_SECONDS)


def ports(process: psutil.Process) -> set[int]:
    """The ports that it, or what it started, listens on."""
    listening = set()
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):  # it ended meanwhile
            connections = one.net_connections("tcp")
            listening |= {connection.laddr.port for connection in connections if connection.status == "LISTEN"}
    return listening


def free_port(wanted: int, taken: Iterable[int]) -> int:
    """The first port of the loopback interface from this one on that nobody listens on."""
    others = set(taken)
    return next(port for port in range(wanted, 65536) if port not in others and _is_free(port))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def private(path: Path, text: str) -> None:
    """Write a file whole or not at all, for this user's eyes only."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    sync(draft)
    draft.replace(path)
    sync(path.parent)
