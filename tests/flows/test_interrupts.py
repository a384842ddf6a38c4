"""A run that is interrupted from outside ends in order and leaves nothing behind that the next one meets."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, VGG16

pytestmark = pytest.mark.system


def processes_of(home: Path) -> list[int]:
    """The processes whose environment names this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"VGG16_HOME={home}\0".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def killed_after(signs: Sequence[str], command: Sequence[str], home: Path, cwd: Path | None = None) -> None:
    """Run a command until its lines have told these, one after the other; then kill it and all its processes."""
    process = subprocess.Popen(
        [VGG16, *command],
        cwd=cwd,
        env=ENVIRONMENT | {"VGG16_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    awaited = list(signs)
    for line in process.stderr:
        if awaited[0] in line:
            awaited.pop(0)
        if not awaited:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    for left in processes_of(home):  # Prefect's own server outlives a kill
        os.kill(left, signal.SIGKILL)
    assert not awaited, f"it ended before it told {awaited}"


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly)],
    ids=["ctrl-c", "sigterm"],
)
def test_an_interrupted_run_ends_with_its_status_and_leaves_nothing_running(
    tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    home = tmp_path / "home"
    process = subprocess.Popen(
        [VGG16, "run", "digits-scratch", "--set", "phases.0.epochs=500"],
        env=ENVIRONMENT | {"VGG16_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch  2/500" in line:
            break
    # As a terminal, `timeout` and systemd do it: to all processes of the group.
    os.killpg(process.pid, sent)
    try:
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, told
    assert "Traceback" not in told
    deadline = time.monotonic() + 20
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of(home) == []
    with sqlite3.connect(home / "mlflow.db") as database:
        assert database.execute("select status from runs").fetchall() == [("KILLED",)]
    assert list((home / "store" / "checkpoints").glob("*/states/*/manifest.json"))
