"""A process as the container of the service has it, where there is no engine: nobody's user, without rights, on a
read-only root of which it sees a few folders, and with /tmp in memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.infra.compose import INFRA

NOBODY = 65534
# Of the machine: programs, libraries, names of hosts and users, devices.
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc", "/dev", "/proc", "/sys")
_SCRIPT = """
set -e
root=$1; shift
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir "$root/tmp"
mount -t tmpfs -o mode=700,uid=65534,gid=65534,size=256m tmpfs "$root/tmp"
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --rbind "$1" "$root$1"
  case "$1" in /dev|/proc|/sys) ;; *) mount -o remount,bind,ro "$root$1" ;; esac
  shift
done
shift
mount -o remount,ro "$root"
cd "$root"
PATH=$PATH:/usr/sbin:/sbin
exec chroot "$root" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all \
  --bounding-set=-all "$@"
"""


def obstacle() -> str:
    """Why no process can be confined here, "" where one can."""
    if os.geteuid() or not all(map(shutil.which, ("unshare", "chroot", "setpriv"))):
        return "only root can confine a process, with util-linux"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"no mounts of one's own here: {tried.stderr.strip()}" if tried.returncode else ""


def image_environment() -> dict[str, str]:
    """The variables that the image of the service sets, but for the path of its programs."""
    stage = (INFRA / "Dockerfile").read_text().partition(" AS serve\n")[2].partition("\nFROM ")[0]
    (line,) = re.findall(r"^ENV (.*)$", stage, re.MULTILINE)
    variables = dict(each.split("=", 1) for each in line.split())
    return variables | {"PATH": os.defpath}


@contextmanager
def started(
    folder: Path, command: list[str], environment: dict[str, str], *visible: Path
) -> Iterator[subprocess.Popen[str]]:
    """The process, which sees these folders beside the system's own and Python's, none of which it can write to."""
    root = folder / "root"
    root.mkdir()
    seen = dict.fromkeys([path for path in _SYSTEM if Path(path).exists()])
    seen |= dict.fromkeys(str(path.resolve()) for path in (Path(sys.base_prefix), *visible))
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(root), *seen, "--", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
