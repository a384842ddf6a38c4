"""Which Prefect server is named, and by what; and the temporary one of a home without: its own, and tied to its run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ENVIRONMENT
from vgg16.stack import leftovers

SILENT = "http://127.0.0.1:9/api"
PLACES = {
    "a variable": ({}, {"PREFECT_API_URL": SILENT}, "PREFECT_API_URL,"),
    "a file of variables": ({".env": f"PREFECT_API_URL={SILENT}\n"}, {}, "PREFECT_API_URL in {here}/.env"),
    "prefect.toml": ({"prefect.toml": f'[api]\nurl = "{SILENT}"\n'}, {}, "[api] url in {here}/prefect.toml"),
    "pyproject.toml": (
        {"pyproject.toml": f'[tool.prefect.api]\nurl = "{SILENT}"\n'},
        {},
        "[tool.prefect.api] url in {here}/pyproject.toml",
    ),
    "the active profile": (
        {".prefect/profiles.toml": f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{SILENT}"\n'},
        {},
        "PREFECT_API_URL of the profile team in {here}/.prefect/profiles.toml",
    ),
    "another profile, elsewhere": (
        {"p.toml": f'active = "own"\n[profiles.own]\n[profiles.team]\nPREFECT_API_URL = "{SILENT}"\n'},
        {"PREFECT_PROFILES_PATH": "p.toml", "PREFECT_PROFILE": "team"},
        "PREFECT_API_URL of the profile team in p.toml",
    ),
}
ASK = """
import sys
from vgg16.cli import prepare
from vgg16.errors import Vgg16Error
try:
    prepare.prefect_server()
except Vgg16Error as error:
    sys.exit(str(error))
"""


def put(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("place", PLACES)
def test_a_silent_server_is_told_with_what_names_it(place: str, tmp_path: Path) -> None:
    files, variables, named_by = PLACES[place]
    put(files, tmp_path)
    environment = ENVIRONMENT | {"HOME": str(tmp_path), "VGG16_HOME": str(tmp_path / "home")} | variables
    asked = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    expected = f"The Prefect server at {SILENT}, named by {named_by.format(here=tmp_path)}"
    assert asked.stderr.splitlines()[-1].startswith(expected), asked.stderr


def test_what_needs_no_flow_asks_no_prefect_server(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    put(PLACES["a file of variables"][0], tmp_path)
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": SILENT, "VGG16_TRAIN_ON": "pool"}
    shown = vgg16("models", "--json", cwd=tmp_path, **names)
    assert (shown.status, shown.json) == (0, {"models": []})


# What would lead the temporary server, and its flow, elsewhere; the first in files that win over nothing of ours.
ELSEWHERE = {
    ".env": "PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://127.0.0.1:9/x\nPREFECT_FLOWS_DEFAULT_RETRIES=3\n",
    "prefect.toml": '[server.api]\nauth_string = "a:b"\n[server.ephemeral]\nenabled = false\n',
}
VARIABLES = {"PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/x.db", "PREFECT_TEST_MODE": "1"}
RUN = """
import json, os, sys, time
from vgg16.cli import prepare
prepare.prepare_flows("a test")
from prefect.client.orchestration import get_client
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings
(server,) = SubprocessASGIServer._instances.values()
with get_client(sync_client=True) as client:
    client.read_flows()
    address = str(client.api_url)
found = get_current_settings()
answer = {"address": address, "pid": server.server_process.pid, "home": str(found.home)}
answer |= {"scratch": os.environ["TMPDIR"], "retries": found.flows.default_retries}
answer |= {"login": os.environ["PREFECT_API_AUTH_STRING"]}
print(json.dumps(answer), flush=True)
time.sleep(60)
"""


def test_a_temporary_server_is_this_homes_alone_locked_and_gone_with_a_run_that_is_killed(tmp_path: Path) -> None:
    put(ELSEWHERE, tmp_path)
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()
    environment = ENVIRONMENT | VARIABLES | {"HTTP_PROXY": "http://127.0.0.1:9", "VGG16_HOME": str(home)}
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout
    assert run.stderr
    answer = json.loads(run.stdout.readline() or "{}")
    assert answer, run.stderr.read()
    server = psutil.Process(answer["pid"])
    try:
        assert (answer["retries"], answer["home"]) == (0, str(home / "prefect"))
        assert (home / "prefect" / "prefect.db").is_file()
        address, login = f"{answer['address'].rstrip('/')}/flows/filter", tuple(answer["login"].split(":"))
        with httpx.Client(trust_env=False) as client:
            assert client.post(address, json={}).status_code == 401
            assert client.post(address, json={}, auth=login).status_code == 200
            # The name under which a page of elsewhere leads a browser here.
            assert client.post(address, json={}, auth=login, headers={"Host": "evil.example"}).status_code == 400
        assert Path(answer["scratch"]).parent == home / "tmp"
        run.send_signal(signal.SIGKILL)
        run.wait()
        server.wait(15)
    finally:
        for process in (run, server):
            if process.poll() is None if isinstance(process, subprocess.Popen) else process.is_running():
                process.kill()
    told = run.stderr.read()
    assert "PREFECT_TEST_MODE set aside" in told
    assert "PREFECT_API_DATABASE_CONNECTION_URL set aside" in told


def sleeping(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
        env=ENVIRONMENT | {"PREFECT__SERVER_EPHEMERAL": "1"} | environment,
        stdout=subprocess.PIPE,
    )


def test_servers_that_killed_runs_have_left_are_swept_and_no_others(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owned = sleeping(**{leftovers.OWNER: leftovers.me()})
    orphan = sleeping(**{leftovers.OWNER: f"{gone.pid} {time.time()}"})
    another = sleeping(PREFECT_HOME=str(tmp_path / "prefect"))  # of an earlier version, with a parent that lives
    try:
        for process in (owned, orphan, another):
            assert process.stdout
            process.stdout.readline()
        assert leftovers.sweep(tmp_path) == 1
        assert orphan.wait(10) == -signal.SIGTERM
        assert (owned.poll(), another.poll()) == (None, None)
    finally:
        for process in (owned, orphan, another):
            process.kill()
            process.wait()
    assert os.environ.get("PREFECT_HOME") is None or leftovers.sweep(tmp_path) == 0


BAD = {
    "a setting": ({}, {"PREFECT_SERVER_API_PORT": "many"}, "Prefect cannot read its settings"),
    "a file": ({"prefect.toml": "[api\n"}, {}, "Prefect cannot read its settings"),
    "an address": ({}, {"PREFECT_API_URL": "http://["}, "is no address"),
    "no scheme": ({}, {"PREFECT_API_URL": "127.0.0.1:4200/api"}, "Did you mean http://127.0.0.1:4200/api?"),
    "a profile": ({}, {"PREFECT_PROFILE": "taem"}, "no profile 'taem'"),
}


@pytest.mark.parametrize("case", BAD)
def test_settings_that_prefect_cannot_take_are_one_paragraph(case: str, tmp_path: Path) -> None:
    files, variables, message = BAD[case]
    put(files, tmp_path)
    environment = ENVIRONMENT | {"VGG16_HOME": str(tmp_path / "home")} | variables
    asked = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1
    assert message in asked.stderr.splitlines()[-1], asked.stderr
    assert "Traceback" not in asked.stderr
