"""What a service, a job and a unit of infra/ may not do: tables of rules, held against everything that is started, so
that a new service without limits fails here."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from docker.models.containers import _create_container_args

from tests.infra.compose import INFRA, rendered, required, services
from tests.infra.test_job_templates import rendered as job
from vgg16.cli.models.serve import serve
from vgg16.serving.limits import Limits
from vgg16.workplace.settings import VARIABLES

SECRETS = {name: f"the-{name.lower()}" for name in required()}
SERVICES = services(SECRETS)
NETWORKS = yaml.safe_load(rendered(SECRETS))["networks"]
UNITS = sorted((INFRA / "systemd").glob("*.service"))


def mounted(service: dict[str, Any]) -> set[str]:
    """Where a service can write: its volumes that are not read-only, and what lies in memory."""
    volumes = [volume.split(":") for volume in service.get("volumes", [])]
    return {words[1] for words in volumes if words[2:] != ["ro"]} | {each.split(":")[0] for each in service["tmpfs"]}


# What holds for every service of compose.yaml.
RULES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "rights are dropped, all of them": lambda service: service["cap_drop"] == ["ALL"] and "cap_add" not in service,
    "none can be had again": lambda service: service["security_opt"] == ["no-new-privileges:true"],
    "it is a user without a name to become": lambda service: re.fullmatch(r"[1-9]\d+:[1-9]\d+", service["user"]),
    "its root file system is read-only": lambda service: service["read_only"] is True,
    "it has a place for what is temporary": lambda service: "/tmp" in mounted(service),
    "its memory ends": lambda service: re.fullmatch(r"\d+g", service["mem_limit"]),
    "its processes end": lambda service: 0 < service["pids_limit"] <= 4096,
    "its CPU ends, or gives way": lambda service: service["cpus"] > 0 or service["cpu_shares"] < 1024,
    "its logs end": lambda service: {"max-size", "max-file"} <= set(service["logging"]["options"]),
    "it says which networks it is in": lambda service: (
        bool(service["networks"]) and set(service["networks"]) <= set(NETWORKS)
    ),
    "it has neither the host's devices, network nor Docker": lambda service: (
        not (service.keys() & {"privileged", "devices", "network_mode", "pid", "ipc", "userns_mode"})
        and not any("docker.sock" in volume for volume in service.get("volumes", []))
    ),
    "another's image is named by its digest": lambda service: (
        "build" in service or re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"])
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_for_every_service(rule: str) -> None:
    broken = [name for name, service in SERVICES.items() if not RULES[rule](service)]
    assert broken == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_our_image_writes_has_a_place(name: str) -> None:
    if name == "postgres":
        assert mounted(SERVICES[name]) >= {"/var/lib/postgresql/data", "/var/run/postgresql"}
    elif name == "s3":
        assert mounted(SERVICES[name]) >= {"/data", "/home/vgg16"}
    elif name == "serve":  # HOME and VGG16_HOME of its image are there
        assert mounted(SERVICES[name]) == {"/tmp"}
    else:  # Prefect's and MLflow's own files are in the home folder, ours in VGG16_HOME
        home = (INFRA / "Dockerfile").read_text().split("VGG16_HOME=")[-1].split()[0]
        assert "/home/vgg16" in mounted(SERVICES[name])
        assert home in mounted(SERVICES[name]) or name == "mlflow"


def test_who_keeps_data_is_out_of_the_workers_reach_and_all_but_s3_out_of_the_services() -> None:
    within = {network: {name for name in SERVICES if network in SERVICES[name]["networks"]} for network in NETWORKS}
    assert within["database"] == {"postgres", "mlflow", "prefect"}
    assert within["storage"] == {"s3", "bucket", "mlflow"}
    assert within["workers"] == set(SERVICES) - {"postgres", "bucket", "serve"}
    assert within["serving"] == {"s3", "serve"}
    assert [name for name in NETWORKS if not (NETWORKS[name] or {}).get("internal")] == ["workers", "serving"]
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            waits = other in ("bucket", "deploy")  # ends before it begins
            assert waits or set(service["networks"]) & set(SERVICES[other]["networks"]), (name, other)


def test_each_secret_is_known_only_where_it_is_used() -> None:
    known = {
        secret: {name for name, service in SERVICES.items() if secret in json.dumps(service["environment"])}
        for secret in SECRETS.values()
    }
    assert not any(secret in json.dumps(service.get("command")) for secret in known for service in SERVICES.values())
    clients = {"deploy", "worker", "worker-gpu"}
    assert known == {
        SECRETS["POSTGRES_PASSWORD"]: {"postgres"},
        SECRETS["PREFECT_DATABASE_PASSWORD"]: {"postgres", "prefect"},
        SECRETS["MLFLOW_DATABASE_PASSWORD"]: {"postgres", "mlflow"},
        SECRETS["PREFECT_PASSWORD"]: {"prefect", *clients},
        SECRETS["MLFLOW_PASSWORD"]: {"mlflow", *clients},
        SECRETS["MLFLOW_SECRET_KEY"]: {"mlflow"},
        SECRETS["S3_SECRET_KEY"]: {"s3", *clients},
        SECRETS["S3_MLFLOW_SECRET_KEY"]: {"s3", "mlflow"},
        SECRETS["S3_SERVE_SECRET_KEY"]: {"s3", "serve"},
        SECRETS["S3_ADMIN_SECRET_KEY"]: {"s3", "bucket"},
        SECRETS["SERVE_TOKEN"]: {"serve"},
    }


@pytest.mark.parametrize("variable", ["POSTGRES", "S3", "MLFLOW", "PREFECT", "WORKER", "WORKER_GPU", "SERVE"])
def test_memory_can_be_set_by_a_variable_that_the_example_names(variable: str) -> None:
    name = variable.lower().replace("_", "-")
    assert services(SECRETS | {f"{variable}_MEMORY": "77g"})[name]["mem_limit"] == "77g"
    assert f"# {variable}_MEMORY={SERVICES[name]['mem_limit']}\n" in (INFRA / "env.example").read_text()


def test_a_pod_is_confined() -> None:
    spec = job("kubernetes", name="x")["job_manifest"]["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) >= {"cpu", "memory", "ephemeral-storage"}
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        places = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        assert set(places) == {"/tmp", "/home/vgg16", "/data", "/dev/shm"}
        assert all(volume["emptyDir"]["sizeLimit"] for volume in places.values())


def test_the_network_policy_is_of_the_pods_of_the_template_and_names_every_way_out() -> None:
    policy = yaml.safe_load((INFRA / "kubernetes-network-policy.yaml").read_text())
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    spec = policy["spec"]
    labels = job("kubernetes", name="x")["job_manifest"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert spec["ingress"] == []
    assert all(rule["ports"] for rule in spec["egress"])
    ports = {each["port"] for rule in spec["egress"] for each in rule["ports"]}
    called = {name: service for name, service in SERVICES.items() if name != "serve"}
    served = {int(port.split(":")[-1]) for service in called.values() for port in service.get("ports", [])}
    assert ports == served | {53, 443}
    web = next(rule for rule in spec["egress"] if rule["ports"] == [{"protocol": "TCP", "port": 443}])
    assert "169.254.0.0/16" in web["to"][0]["ipBlock"]["except"]  # a cloud's metadata, with its keys


def test_a_job_in_docker_is_confined_and_docker_knows_the_words() -> None:
    template = job("docker", name="x")
    container = template["container_create_kwargs"] | {"image": template["image"], "version": "1.50"}
    container |= {"mem_limit": template["mem_limit"], "device_requests": []}
    made = _create_container_args(container)
    host = made["host_config"]
    assert made["user"] == "1000:1000"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["PidsLimit"] == 4096
    assert host["Memory"] == 32 * 1024**3
    volumes = {volume.split(":")[1] for volume in template["volumes"]}
    assert volumes | set(host["Tmpfs"]) == {"/data", "/tmp", "/home/vgg16"}
    # Those of compose.yaml, which Docker names after the project.
    compose = yaml.safe_load(rendered(SECRETS))
    own = {f"{compose['name']}_{name}" for kind in ("networks", "volumes") for name in compose[kind]}
    assert {*template["networks"], *(volume.split(":")[0] for volume in template["volumes"])} <= own


# What every unit is denied.
HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "read-only",
    "PrivateTmp": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallFilter": "@system-service",
    "SystemCallErrorNumber": "EPERM",
    "UMask": "0077",
    "User": "vgg16",
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_hardened(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    assert HARDENED.items() <= dict(parser["Service"]).items()
    assert {"MemoryMax", "TasksMax"} <= set(parser["Service"])
    # A service of the champion reads the store, and writes to its own /tmp alone.
    assert parser["Service"].get("ReadWritePaths") == ("/srv/vgg16" if "serve" not in unit.name else None)
    if shutil.which("systemd-analyze"):
        command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=30", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_unit_of_the_service_is_the_command_and_ends_as_it_does() -> None:
    text = (INFRA / "systemd" / "vgg16-serve@.service").read_text()
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    environment = dict(each.split("=", 1) for each in values["Environment"].split())
    program, command, *arguments = (Template(word).substitute(environment) for word in values["ExecStart"].split())
    assert (program, command) == ("/srv/vgg16/.venv/bin/vgg16", "serve")
    parameters = serve.make_context("serve", arguments).params
    assert parameters["host"] == "127.0.0.1"
    assert (parameters["name"], parameters["port"], parameters["wait"]) == ("%i", 8080, True)
    assert values["SuccessExitStatus"] == "143"
    assert int(values["TimeoutStopSec"]) > Limits().finish_seconds
    assert environment["VGG16_HOME"].startswith("/tmp/")
    ours = set(re.findall(r"VGG16_[A-Z_]+", text))
    assert ours <= set(VARIABLES)
