"""PostgreSQL as it is installed on this machine: a cluster of the stack's own, with a role and a database for each
server. It refuses to run as root, who starts it as Debian's user `postgres`."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psutil

from vgg16.errors import Vgg16Error
from vgg16.stack.processes import as_user

DEBIAN = Path("/usr/lib/postgresql")
ROOT_RUNS_AS = "postgres"


def obstacle(folder: Path) -> str:
    """Why PostgreSQL cannot keep its data in this folder, "" where it can."""
    if not _binaries(folder):
        return "it is not installed"
    if not find_spec("psycopg2"):
        return "psycopg2, of the extra `stack`, is not installed"
    user = runs_as()
    if not user:
        return ""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return f"it does not run as root, and there is no user {user}"
    if subprocess.run(["test", "-x", folder.parent], check=False, **as_user(user)).returncode:
        return f"it does not run as root, and the user {user} cannot reach {folder.parent}"
    return ""


def runs_as() -> str:
    """The user to start it as, "" for the one that we are."""
    return ROOT_RUNS_AS if os.geteuid() == 0 else ""


def let_pass(home: Path) -> None:
    """Let the user that it runs as pass through a home that is closed to all others, and see nothing there: by the
    home's group, where that has no rights yet."""
    try:
        group = as_user(runs_as()).get("group")
    except KeyError:  # there is no such user, as `obstacle` tells
        return
    mode = home.stat().st_mode
    if group is None or mode & 0o071:
        return
    os.chown(home, -1, group)
    home.chmod(stat.S_IMODE(mode) | 0o010)


def initialise(folder: Path, password: str) -> None:
    """Make a cluster there unless there is one; its superuser is `vgg16`."""
    if (folder / "data" / "PG_VERSION").exists():
        _forget_copied_server(folder / "data")
        return
    shutil.rmtree(folder, ignore_errors=True)  # half a cluster is none
    folder.mkdir(mode=0o700)
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if runs_as():
        for path in (folder, secret):
            shutil.chown(path, runs_as(), as_user(runs_as())["group"])
    draft = folder / "draft"
    command = [str(_binary(folder, "initdb")), f"--pgdata={draft}", "--username=vgg16", f"--pwfile={secret}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **as_user(runs_as()))
    secret.unlink()
    if done.returncode:
        raise Vgg16Error(f"PostgreSQL's initdb failed: {done.stderr.strip()}", f"Look at the folder {folder}.")
    draft.rename(folder / "data")


def _forget_copied_server(data: Path) -> None:
    """A copy of a cluster that ran names the original's server, and would not start beside it."""
    lock = data / "postmaster.pid"
    try:
        server = psutil.Process(int(lock.read_text().split()[0]))
        copied = not Path(server.cwd()).samefile(data)
    except (OSError, ValueError, IndexError, psutil.Error):
        return  # PostgreSQL itself sees that nobody runs
    if copied:
        lock.unlink()


def command(folder: Path, port: int) -> list[str]:
    """What starts it: on loopback, without a socket in the file system."""
    return [
        str(_binary(folder, "postgres")),
        *("-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port)),
        *("-c", "unix_socket_directories="),
    ]


def ready(port: int, password: str, roles: Mapping[str, str]) -> bool:
    """Whether it answers and has each role, by its password, with the database of the same name: made if missing."""
    # Of the extra `stack`.
    from psycopg2 import OperationalError, connect, sql

    try:
        connection = connect(
            host="127.0.0.1", port=port, user="vgg16", password=password, dbname="postgres", connect_timeout=3
        )
    except OperationalError:
        return False
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for role, secret in roles.items():
                name = sql.Identifier(role)
                cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
                if not cursor.rowcount:
                    cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(name), [secret])
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [role])
                if not cursor.rowcount:
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    finally:
        connection.close()
    return True


def _binary(folder: Path, name: str) -> Path:
    binaries = _binaries(folder)
    if not binaries:
        version = folder / "data" / "PG_VERSION"
        wanted = f"PostgreSQL {version.read_text().strip()}" if version.exists() else "PostgreSQL"
        raise Vgg16Error(
            f"The stack's data are in {folder}, and {wanted} is not installed any more.",
            f"Install {wanted} again, or remove {folder.parent} and begin anew.",
        )
    return binaries / name


def _binaries(folder: Path) -> Path | None:
    """Where initdb and postgres are: of the version that made the data, else the newest."""
    made = folder / "data" / "PG_VERSION"
    versions = sorted((path for path in DEBIAN.glob("*/bin") if path.parent.name.isdigit()), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*versions, *([Path(on_path).resolve().parent] if on_path else [])]
    for candidate in candidates:
        if not ((candidate / "initdb").exists() and (candidate / "postgres").exists()):
            continue
        if not made.exists() or _major_version(candidate) == made.read_text().strip():
            return candidate
    return None


def _version(binaries: Path) -> int:
    return int(binaries.parent.name)


def _major_version(binaries: Path) -> str:
    """Of what it prints, as in `postgres (PostgreSQL) 15.3`."""
    text = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return text.partition(")")[2].strip().split(".")[0].split()[0] if ")" in text else ""
