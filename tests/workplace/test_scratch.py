"""Temporary files lie in a folder of their process, and those of killed ones do not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT

WRITE = """
import os, sys, tempfile, time
from pathlib import Path
from vgg16.workplace import scratch
scratch.work_below(Path(sys.argv[1]))
kept = tempfile.mkstemp()[1]
assert Path(kept).parent == Path(os.environ["TMPDIR"])
print(kept, flush=True)
time.sleep(float(sys.argv[2]))
"""


def writing(home: Path, seconds: float, **environment: str) -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", WRITE, str(home), str(seconds)]
    process = subprocess.Popen(command, env=ENVIRONMENT | environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("place", ["in the home", "in the folder of a person's choice"])
def test_they_go_with_their_process_and_those_of_a_killed_one_with_the_next(tmp_path: Path, place: str) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    own.mkdir()
    variables = {} if place == "in the home" else {"TMPDIR": str(own)}
    root = own if variables else home / "tmp"
    alive, of_the_living = writing(home, 60, **variables)
    killed, left = writing(home, 60, **variables)
    try:
        assert {of_the_living.parent.parent, left.parent.parent} == {root}
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        (root / "of others").write_text("stays")
        ended, gone = writing(home, 0, **variables)
        assert ended.wait() == 0
        assert not gone.parent.exists()
        assert not left.parent.exists()
        assert of_the_living.exists()
        assert (root / "of others").exists()
    finally:
        alive.kill()
        alive.wait()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    process, kept = writing(tmp_path, 0, TMPDIR=str(tmp_path / "nowhere"))
    assert process.wait() == 0
    assert kept.parent.parent == tmp_path / "tmp"
    assert not (tmp_path / "nowhere").exists()
    assert not os.path.lexists(kept)
