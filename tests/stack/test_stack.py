"""The local stack without its servers: what it keeps and knows again of its processes."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import VGG16
from vgg16.errors import Vgg16Error
from vgg16.stack import processes, stack
from vgg16.stack.configuration import PORTS, Configuration, load_secrets
from vgg16.stack.pools import POOLS
from vgg16.stack.services import Service, services

ROOT = Path(__file__).parents[2]


def configured(folder: Path, database: str) -> Configuration:
    folder.mkdir(exist_ok=True)
    secrets = {name: f"{name} of $tests" for name in load_secrets(folder)}
    return Configuration(folder, database, PORTS, secrets)


def test_down_ends_what_version_0_1_started(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "env").write_text("export VGG16_STORE=s3://vgg16/store\n")
    # The service starts one of its own, which outlives it.
    program = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    environment = {"VGG16_STACK": f"{folder}/mlflow"}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True)
    while len(processes.marked(f"{folder}/mlflow")) < 2:
        assert child.poll() is None
    service = {
        "name": "mlflow",
        "url": "http://127.0.0.1:5000",
        "pid": child.pid,
        "create_time": psutil.Process(child.pid).create_time(),
        "ports": {"mlflow": 5000},
        "log": str(folder / "mlflow" / "log"),
        "request": "00a69eeb8002",
    }
    written: dict[str, Any] = {"up": True, "database": "sqlite", "ports": {"mlflow": 5000}}
    written |= {"services": [service], "variables": {"VGG16_STORE": "s3://vgg16/store"}, "deployed": True}
    (folder / "stack.json").write_text(json.dumps(written, indent=2))
    ended = stack.down(tmp_path, lambda _: None)
    answer = {key: service[key] for key in ("name", "url", "pid", "log")}
    assert ended == [{**answer, "ok": True, "running": False}]
    child.wait()
    assert processes.marked(f"{folder}/mlflow") == []
    assert json.loads((folder / "stack.json").read_text()) == written | {"up": False, "services": []}
    assert not (folder / "env").exists()
    assert stack.down(tmp_path, lambda _: None) == []


def test_secrets_are_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert len(set(first.values())) == len(first) >= 7
    assert load_secrets(tmp_path) == first
    # Of an earlier version, whose Prefect and MLflow let everybody in.
    earlier = {name: secret for name, secret in first.items() if not name.endswith("_login")}
    (tmp_path / "secrets.json").write_text(json.dumps(earlier))
    now = load_secrets(tmp_path)
    assert now.items() > earlier.items()
    assert now.keys() == first.keys()
    assert load_secrets(tmp_path) == now
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(Vgg16Error, match=r"secrets.json is no JSON"):
        load_secrets(tmp_path)


def test_a_shell_that_sources_the_exports_has_the_variables(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "sqlite")
    (tmp_path / "env").write_text(configuration.exports())
    command = f". {shlex.quote(str(tmp_path / 'env'))}; env -0"
    done = subprocess.run(["sh", "-c", command], env={}, capture_output=True, text=True, check=True)
    sourced = dict(line.partition("=")[::2] for line in done.stdout.split("\0") if line)
    assert sourced.items() >= (configuration.variables | {"VGG16_HOME": str(tmp_path.parent)}).items()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_service_needs_only_services_that_are_there_and_hides_its_secrets(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.postgresql, "command", lambda folder, port: ["postgres", str(folder), str(port)])
    configuration = configured(tmp_path, database)
    rows = services(configuration)
    names = {row.name for row in rows}
    assert ("postgresql" in names) == (database == "postgresql")
    assert names == {name for stage in stack.STAGES for name in stage} - ({"postgresql"} - names)
    for row in rows:
        assert set(row.needs) <= names
        for secret in configuration.secrets.values():
            assert secret not in " ".join(row.command)


def test_no_variable_of_the_user_leads_a_server_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEED_GRPC_CA", "AWS_ACCESS_KEY_ID", "PREFECT_API_URL", "MLFLOW_TRACKING_URI", "VGG16_STORE"):
        monkeypatch.setenv(name, "of the user")
    monkeypatch.setenv("LANG", "of the user")
    begun = stack._Stack(tmp_path, lambda _: None)
    begun._begin(Service("s3", "", [sys.executable, "-c", "import os; print(dict(os.environ))"], lambda _: True))
    begun.children["s3"].wait()
    inherited = begun.state.log("s3").read_text()
    assert inherited.count("of the user") == 1
    assert "'LANG': 'of the user'" in inherited


def test_who_was_started_with_another_password_or_none_is_started_anew(tmp_path: Path) -> None:
    first = configured(tmp_path, "sqlite")
    for login, started in {
        "prefect_login": {"prefect", "deployments", "worker cpu", "worker gpu"},
        "mlflow_login": {"mlflow", "deployments", "worker cpu", "worker gpu"},
    }.items():
        second = replace(first, secrets={**first.secrets, login: "another"})
        rows = zip(services(first), services(second), strict=True)
        assert {one.name for one, other in rows if one.request != other.request} == started


def test_the_deployments_are_of_pools_that_have_a_worker() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {deployment["work_pool"]["name"] for deployment in deployments} == set(POOLS)


def test_a_process_that_only_has_the_pid_is_not_ours() -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        created = psutil.Process(other.pid).create_time()
        assert processes.find(other.pid, created)
        assert processes.find(other.pid, created - 100) is None
    finally:
        other.kill()
        other.wait()
    assert processes.find(other.pid, created) is None


@pytest.mark.parametrize("unit", ["vgg16-stack.service", "vgg16-worker@.service", "vgg16-serve@.service"])
def test_systemd_understands_the_units(unit: str, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    # The folders of the units are those of another machine.
    text = (ROOT / "infra" / "systemd" / unit).read_text()
    text = text.replace("/srv/vgg16/.venv/bin", str(Path(VGG16).parent)).replace("/srv/vgg16", str(tmp_path))
    (tmp_path / unit.replace("@", "@cpu")).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.replace("@", "@cpu"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.split(".", maxsplit=1)[0].rstrip("@") in line]
    assert complaints == [], done.stderr
