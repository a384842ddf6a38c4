"""What another account of this machine may do: `python -I stranger.py` asks as `nobody` where root starts it, and else
with an empty environment. It reads what to ask as JSON, and writes the answers in their order.

A question is `[port, method, path, headers]` for HTTP, answered by status and body, or `[port, [bytes, ...]]` in
hexadecimal, each sent when the answer to the one before has come, and answered by all that comes back; nothing comes
where the connection is refused or closed.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  # found later, as nobody, where Python is in somebody's home
import http.client
import json
import os
import pwd
import socket
import sys
from contextlib import suppress
from typing import Any

ANSWER_SECONDS = 10.0
QUIET_SECONDS = 0.3  # between two parts of an answer


def leave() -> None:
    """Be nobody, from now on."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    os.environ.clear()
    os.chdir("/")


def by_http(port: int, method: str, path: str, headers: dict[str, str]) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = None if method in ("GET", "HEAD") else b"{}"
        connection.request(method, path, body, {"Content-Type": "application/json", **headers} if body else headers)
        answer = connection.getresponse()
        return [answer.status, answer.read(20_000_000).decode(errors="replace")]
    except (OSError, http.client.HTTPException):
        return [0, ""]
    finally:
        connection.close()


def by_bytes(port: int, parts: list[str]) -> str:
    received = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
        for part in parts:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(bytes.fromhex(part))
            while came := connection.recv(4096):
                received += came
                connection.settimeout(QUIET_SECONDS)
                with suppress(TimeoutError):
                    received += connection.recv(4096)
                break
    return received.hex()


if __name__ == "__main__":
    leave()
    questions = json.load(sys.stdin)
    json.dump([by_bytes(*each) if len(each) == 2 else by_http(*each) for each in questions], sys.stdout)
