"""The team's servers in containers, as far as they can be judged without an engine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.compose import INFRA, ROOT, VARIABLE, command_of, rendered, required, services

SECRETS = {name: f"the-{name.lower()}" for name in required()}
SERVICES = services(SECRETS)
JOBS = {"bucket", "deploy"}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVICES[request.param]


def test_the_file_is_what_the_compose_specification_allows() -> None:
    from compose_spec import PyCompose

    # The specification's grammar has a tag or a digest; Docker reads both, and goes by the digest.
    text = re.sub(r"(image: [\w./-]+):[\w.-]+(@sha256:)", r"\1\2", rendered(SECRETS))
    compose = PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text)))
    compose.validate()
    assert set(compose.service_names()) == set(SERVICES)


def test_docker_compose_reads_it(tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker with its Compose plugin here")
    profiles = ["--profile", "gpu", "--profile", "serve"]
    command = ["docker", "compose", "--file", str(INFRA / "compose.yaml"), *profiles, "config", "--quiet"]
    told = subprocess.run(command, env=os.environ | SECRETS, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    empty = [*command[:2], "--env-file", os.devnull, *command[2:]]
    refused = subprocess.run(empty, capture_output=True, text=True, check=False)
    assert "make infra/.env" in refused.stderr


def test_every_image_is_pinned(service: dict[str, Any]) -> None:
    name, _, tag = service["image"].partition(":")
    assert name
    tag = tag.partition("@")[0]
    assert tag[0].isdigit()
    assert tag.count(".") >= 1


def test_a_service_is_watched_and_started_again_and_a_job_ends(request: pytest.FixtureRequest) -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name not in JOBS), name
        assert service["restart"] == ("on-failure" if name in JOBS else "unless-stopped"), name


def test_what_is_waited_for_exists_and_can_come(service: dict[str, Any]) -> None:
    for name, how in service.get("depends_on", {}).items():
        assert how["condition"] == ("service_completed_successfully" if name in JOBS else "service_healthy")
        assert name in SERVICES


def test_ports_listen_on_loopback_unless_told_otherwise(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert all(
        port.startswith("0.0.0.0:")
        for each in services(SECRETS | {"BIND": "0.0.0.0"}).values()
        for port in each.get("ports", [])
    )


def test_volumes_and_mounted_files_exist(service: dict[str, Any]) -> None:
    known = yaml.safe_load(rendered(SECRETS))["volumes"]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (INFRA / source).is_file() if source.startswith(".") else source in known


def test_every_command_can_be_executed(service: dict[str, Any]) -> None:
    command = command_of(service)
    if not command:
        assert service["image"].startswith("postgres:")
        return
    assert (Path(sys.executable).parent / command[0]).exists()
    if command[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(command[2])


def test_no_secret_is_in_the_file() -> None:
    def values(node: Any) -> list[tuple[str, str]]:
        if isinstance(node, dict):
            return [
                pair
                for key, value in node.items()
                for pair in ([(key, value)] if isinstance(value, str) else values(value))
            ]
        return [pair for each in node for pair in values(each)] if isinstance(node, list) else []

    secret = ("PASSWORD", "SECRET", "AUTH_STRING", "_KEY", "TOKEN")
    found = [
        (key, value)
        for key, value in values(yaml.safe_load((INFRA / "compose.yaml").read_text()))
        if any(word in key for word in secret) and key != "AWS_ACCESS_KEY_ID"
    ]
    assert len(found) > len(SECRETS)
    for key, value in found:
        assert ":?" in value, key
        assert VARIABLE.sub("", value) in ("", "admin:"), key


def test_make_writes_a_secret_for_every_name_and_never_twice(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(INFRA / "env.example", tmp_path / "infra")
    subprocess.run(["make", f"PYTHON={sys.executable}", "infra/.env"], cwd=tmp_path, check=True, capture_output=True)
    written = tmp_path / "infra" / ".env"
    lines = [line for line in written.read_text().splitlines() if line and not line.startswith("#")]
    secrets = dict(line.split("=", 1) for line in lines)
    assert set(secrets) == required()
    assert len(set(secrets.values())) == len(secrets)
    assert all(len(value) >= 32 for value in secrets.values())
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    before = written.read_text()
    (tmp_path / "infra" / "env.example").touch()
    subprocess.run(["make", f"PYTHON={sys.executable}", "infra/.env"], cwd=tmp_path, check=True, capture_output=True)
    assert written.read_text() == before
    ignored = subprocess.run(["git", "check-ignore", "infra/.env"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0
