"""What another account of the machine reaches of a running stack: on every port that listens, what everybody may see
stands in a table, and all else is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system.conftest import SERVED, Stack
from vgg16.stack import processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

# What everybody may see: whether a server is well, and the pages of Prefect's UI with their settings and files, which
# are those of any installation and ask for the password themselves.
OPEN = {
    "prefect": {
        "/api/health",
        "/api/ready",
        "/",
        "/v2",
        "/ui-settings",
        "/docs",
        "/redoc",
        "/openapi.json",
    },
    "mlflow": {"/health"},
    "s3": {"/healthz", "/status"},
    # Its page holds nothing of the model, and asks for the token itself.
    SERVED: {"/v2/health/live", "/v2/health/ready", "/ping", "/health", "/", "/page/page.js"},
}
# Of HTTP: what is no TLS; a person who is not known; one who may not. 0 is a connection that is closed.
REFUSED = (0, 400, 401, 403)


def asked(questions: Sequence[Sequence[Any]]) -> list[Any]:
    """What the stranger is answered."""
    program = [sys.executable, "-I", str(Path(__file__).with_name("stranger.py"))]
    done = subprocess.run(program, input=json.dumps(questions), capture_output=True, text=True, check=True, env={})
    return list(json.loads(done.stdout))


def listening(processes: Sequence[psutil.Process]) -> set[int]:
    return {
        connection.laddr.port
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_every_port_that_listens_is_one_that_is_asked_here(stack: Stack) -> None:
    # A worker has one for what it tells its runs to do, each by a token of its own; who has none is left alone.
    workers = listening(
        [one for pool in ("cpu", "gpu") for one in processes.marked(f"{stack.home}/stack/worker {pool}")]
    )
    names = {port: name for name, port in stack.state["ports"].items()}
    tried = {"prefect", "mlflow", "postgresql", SERVED, *SEAWEEDFS}
    assert {names.get(port, port) for port in listening(stack.processes()) - workers} <= tried
    tokens = (b"", b"0" * 32, b"0" * 32 + b"\n", json.dumps({"token": "0" * 32}).encode() + b"\n")
    answers = asked([[port, [(token + bytes(64)).hex()]] for port in workers for token in tokens])
    assert set(answers) <= {""}


def test_of_prefect_everybody_sees_the_pages_and_nobody_the_data(stack: Stack) -> None:
    port = stack.state["ports"]["prefect"]
    pages = sorted(OPEN["prefect"])
    answers = asked([[port, "GET", page, {}] for page in pages])
    assert {page: answer[0] for page, answer in zip(pages, answers, strict=True) if answer[0] not in (200, 307)} == {}
    files = re.findall(r'(?:src|href)="(/[^"]+)"', answers[pages.index("/")][1])
    assert files
    assert [file for file in files if not file.startswith(("/assets/", "/favicon", "/ico/"))] == []
    secrets = json.loads((stack.home / "stack" / "secrets.json").read_text()).values()
    assert not [page for page, (_, text) in zip(pages, answers, strict=True) for each in secrets if each in text]

    described = json.loads(answers[pages.index("/openapi.json")][1])["paths"]
    calls = [(method.upper(), path) for path, methods in described.items() for method in methods]
    assert len(calls) > 180
    filled = [(method, re.sub(r"{\w+}", str(uuid.uuid4()), f"/api{path}")) for method, path in calls]
    closed = [call for call in filled if call[1] not in OPEN["prefect"]]
    wrong = {"Authorization": f"Basic {b64encode(b'vgg16:').decode()}"}
    for headers in ({}, wrong, {"Host": "evil.example"}):
        answers = asked([[port, *call, headers] for call in closed])
        expected = 400 if "Host" in headers else 401
        refused = zip(closed, answers, strict=True)
        assert [(call, answer) for call, answer in refused if answer[0] != expected] == []


SOCKETS = (
    "/api/events/in",
    "/api/events/out",
    "/api/logs/out",
    "/api/task_runs/subscriptions/scheduled",
    "/api/work_pools/cpu/workers/connect",
)
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)


def text_frame(text: str) -> bytes:
    """A short text as a client of a websocket sends it, masked by zeros."""
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text.encode()


@pytest.mark.parametrize("token", ["", "vgg16:wrong"])
def test_no_websocket_of_prefect_is_open(stack: Stack, token: str) -> None:
    port = stack.state["ports"]["prefect"]
    prefect = "Sec-WebSocket-Protocol: prefect\r\n"
    first = text_frame(json.dumps({"type": "auth", "token": token}))
    shaken = [HANDSHAKE.format(path=path, port=port, more=more) for path in SOCKETS for more in ("", prefect)]
    answers = asked([[port, [text.encode().hex(), first.hex()][: 1 + (prefect in text)]] for text in shaken])
    for text, answer in zip(shaken, map(bytes.fromhex, answers), strict=True):
        head, _, frames = answer.partition(b"\r\n\r\n")
        if prefect in text:
            # It is closed, with the code for who is not let in.
            assert b" 101 " in head, text
            assert (frames[0], int.from_bytes(frames[2:4], "big")) == (0x88, 1008), text
        else:
            assert b" 403 " in head, text


def test_of_mlflow_nobody_sees_anything(stack: Stack) -> None:
    from mlflow.server import app

    port = stack.state["ports"]["mlflow"]
    calls = [
        (method, re.sub(r"<[^>]+>", "x", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]
    # What MLflow serves beside that application, what runs programs, and ways around the one page that is open.
    others = (
        "/v1/traces",
        "/ajax-api/3.0/mlflow/assistant/message",
        "/ajax-api/3.0/jobs/",
        "/gateway/x/mlflow/invocations",
    )
    around = (
        "//health",
        "/health/",
        "/health/../api/2.0/mlflow/experiments/search",
        "/health%2f..",
        "/static-files/index.html",
    )
    calls += [(method, path) for path in (*others, *around) for method in ("GET", "POST")]
    calls += [("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"), ("GET", "/api/2.0/mlflow-artifacts/artifacts")]
    closed = [call for call in calls if not (call[1] in OPEN["mlflow"] and call[0] in ("GET", "HEAD"))]
    assert len(closed) > 200
    answers = asked([[port, *call, {}] for call in closed])
    assert [call for call, answer in zip(closed, answers, strict=True) if answer[0] != 401] == []
    assert asked([[port, "GET", path, {}] for path in sorted(OPEN["mlflow"])]) == [[200, "OK"]]
    shaken = HANDSHAKE.format(path="/", port=port, more="")
    assert b" 403 " in bytes.fromhex(asked([[port, [shaken.encode().hex()]]])[0])


def test_of_a_service_everybody_sees_its_page_and_nobody_an_answer(stack: Stack) -> None:
    from vgg16.serving.app import ROUTES

    port = stack.state["ports"][SERVED]
    filled = {re.sub(r"{\w+}", "vgg16-digits", route.path): route.methods or set() for route in ROUTES}
    calls = [(method, path) for path, methods in filled.items() for method in sorted(methods | {"POST", "DELETE"})]
    around = ("//metrics", "/page", "/v2/health/live/", "/v2/health/../models/vgg16-digits", "/nothing")
    calls += [(method, path) for path in around for method in ("GET", "POST")]
    closed = [call for call in calls if call[1] not in OPEN[SERVED] and not call[1].startswith("/page/")]
    assert len(closed) > 30
    for headers, expected in (
        ({}, 401),
        ({"Authorization": "Bearer " + "0" * 40}, 401),
        ({"Authorization": f"Basic {b64encode(b'vgg16:').decode()}"}, 401),
        ({"Host": "evil.example"}, 403),
    ):
        answers = asked([[port, *call, headers] for call in closed])
        refused = zip(closed, answers, strict=True)
        assert [(call, answer) for call, answer in refused if answer[0] != expected] == []
    pages = asked([[port, "GET", page, {}] for page in sorted(OPEN[SERVED])])
    assert {status for status, _ in pages} <= {200, 503}
    secrets = json.loads((stack.home / "stack" / "secrets.json").read_text()).values()
    assert not [text for _, text in pages for secret in secrets if secret in text]
    # Of the page there are its files, and nothing beside them.
    beside = ("/page/../metrics", "/page/..%2fmetrics", "/page/%2e%2e%2fapp.py", "/page//etc/passwd")
    assert {status for status, _ in asked([[port, "GET", path, {}] for path in beside])} == {404}


def test_postgresql_asks_for_a_password(stack: Stack) -> None:
    if stack.state["database"] != "postgresql":
        pytest.skip("no PostgreSQL here")
    port = stack.state["ports"]["postgresql"]
    for user, database in (
        ("vgg16", "postgres"),
        ("prefect", "prefect"),
        ("mlflow", "mlflow"),
        ("postgres", "postgres"),
    ):
        text = f"user\0{user}\0database\0{database}\0\0".encode()
        (answer,) = asked([[port, [((len(text) + 8).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + text).hex()]]])
        # Message R, of kind 10: an exchange by SCRAM. Kind 0 would let in.
        assert (bytes.fromhex(answer)[:1], int(answer[10:18], 16)) == (b"R", 10)


# What reads, writes and removes, by the port of the S3 server's part; those of gRPC are asked for a connection.
GRPC = "grpc"
SEAWEEDFS: dict[str, tuple[tuple[str, str], ...] | str] = {
    "s3": (
        ("GET", "/"),
        ("GET", "/vgg16?list-type=2"),
        ("PUT", "/vgg16/x"),
        ("DELETE", "/vgg16/x"),
        ("POST", "/vgg16?delete"),
    ),
    "s3 master": (
        ("GET", "/dir/status"),
        ("GET", "/dir/assign"),
        ("GET", "/vol/grow"),
        ("GET", "/col/delete?collection=x"),
        ("GET", "/submit"),
    ),
    "s3 filer": (("GET", "/"), ("GET", "/buckets/vgg16/"), ("POST", "/x"), ("DELETE", "/x?recursive=true")),
    "s3 volume": (("GET", "/1,01"), ("POST", "/1,01637037d6"), ("DELETE", "/1,01637037d6")),
    "s3 port.grpc": GRPC,
    "s3 master.grpc": GRPC,
    "s3 volume.grpc": GRPC,
    "s3 filer.grpc": GRPC,
}
# HTTP/2's first bytes, with settings that say nothing; who speaks it without a certificate answers with its own.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS = 4


@pytest.mark.parametrize("part", SEAWEEDFS)
def test_the_parts_of_the_s3_server_let_nobody_in(stack: Stack, part: str) -> None:
    port, calls = stack.state["ports"][part], SEAWEEDFS[part]
    if isinstance(calls, str):
        (answer,) = asked([[port, [PREFACE.hex()]]])
        assert bytes.fromhex(answer)[3:4] != bytes((SETTINGS,))
        return
    answers = asked([[port, *call, {}] for call in calls])
    assert [(call, answer) for call, answer in zip(calls, answers, strict=True) if answer[0] not in REFUSED] == []
    pages = sorted(OPEN.get(part, ()))
    assert [status for status, _ in asked([[port, "GET", page, {}] for page in pages])] == [200] * len(pages)
