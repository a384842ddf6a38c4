"""infra/kubernetes-serve.yaml: what must hold of the service in a cluster, as far as it can be judged without one."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.compose import INFRA, ROOT, services
from tests.infra.test_confinement import SECRETS
from tests.test_wheel import UV
from vgg16.cli.models.serve import serve
from vgg16.serving.app import ROUTES
from vgg16.serving.http.guard import OPEN
from vgg16.serving.limits import Limits
from vgg16.workplace.settings import VARIABLES

FILE = INFRA / "kubernetes-serve.yaml"
OBJECTS: dict[str, dict[str, Any]] = {made["kind"]: made for made in yaml.safe_load_all(FILE.read_text())}
POD = OBJECTS["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
NAME = OBJECTS["Deployment"]["metadata"]["name"]
COMPOSE = services(SECRETS)["serve"]


def test_all_of_it_is_of_the_pods_of_the_deployment() -> None:
    assert {*OBJECTS} == {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
    }
    labels = POD["metadata"]["labels"]
    assert {made["metadata"]["name"] for made in OBJECTS.values()} == {NAME}
    selectors = [
        OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service"]["spec"]["selector"],
        OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in POD["spec"]["topologySpreadConstraints"]),
    ]
    assert len(selectors) == 5
    assert all(selector == labels for selector in selectors)
    target = OBJECTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"], target["name"]) == ("apps/v1", "Deployment", NAME)
    assert "replicas" not in OBJECTS["Deployment"]["spec"]


def test_the_policy_of_the_jobs_opens_nothing_for_the_service() -> None:
    jobs = yaml.safe_load((INFRA / "kubernetes-network-policy.yaml").read_text())
    assert not jobs["spec"]["podSelector"]["matchLabels"].items() <= POD["metadata"]["labels"].items()


def test_the_pod_is_of_the_restricted_profile() -> None:
    spec = POD["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
    (volume,) = spec["volumes"]
    assert volume["emptyDir"]["sizeLimit"]
    assert [(mount["name"], mount["mountPath"]) for mount in CONTAINER["volumeMounts"]] == [(volume["name"], "/tmp")]
    limits, requests = CONTAINER["resources"]["limits"], CONTAINER["resources"]["requests"]
    assert set(limits) == set(requests) == {"cpu", "memory", "ephemeral-storage"}


def test_no_limit_of_memory_is_below_what_the_largest_pictures_take() -> None:
    limits = Limits()
    # Four are decoded at once, at 7 bytes a pixel, beside the requests that are held, the program and a model.
    most = 4 * 7 * limits.pixels + limits.held_bytes + 800 * 1024**2
    assert int(CONTAINER["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024**3 > most
    assert int(COMPOSE["mem_limit"].removesuffix("g")) * 1024**3 > most


def test_probes_ask_what_needs_no_token_and_only_the_one_for_traffic_wants_a_champion() -> None:
    asked = {name: CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/v2/health/live",
        "liveness": "/v2/health/live",
        "readiness": "/v2/health/ready",
    }
    for probe in asked.values():
        assert probe["path"] in OPEN
        assert probe["path"] in {route.path for route in ROUTES}
    (port,) = CONTAINER["ports"]
    (service_port,) = OBJECTS["Service"]["spec"]["ports"]
    assert {probe["port"] for probe in asked.values()} == {port["name"]} == {service_port["targetPort"]}
    assert port["containerPort"] == serve.make_context("serve", ["x"]).params["port"]
    assert OPEN[0] in COMPOSE["healthcheck"]["test"][-1]
    assert f":{port['containerPort']}/" in COMPOSE["healthcheck"]["test"][-1]


def test_a_pod_that_ends_finishes_what_runs() -> None:
    command, seconds = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert POD["spec"]["terminationGracePeriodSeconds"] > int(seconds) + Limits().finish_seconds + 5
    assert int(COMPOSE["stop_grace_period"].removesuffix("s")) > Limits().finish_seconds + 5
    assert OBJECTS["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert OBJECTS["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2
    assert OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_variables_are_known_and_what_is_secret_comes_from_a_secret() -> None:
    variables = {each["name"]: each for each in CONTAINER["env"]}
    assert set(variables) == set(COMPOSE["environment"])
    assert {name for name in variables if name.startswith("VGG16_")} <= set(VARIABLES)
    secret = {name for name, each in variables.items() if "value" not in each}
    assert secret == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "VGG16_SERVE_TOKEN"}
    for name in secret:
        assert variables[name]["valueFrom"] == {"secretKeyRef": {"name": NAME, "key": name}}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert CONTAINER["image"] == COMPOSE["image"] == f"vgg16-serve:{version}"
    assert serve.make_context("serve", [*CONTAINER["args"]]).params["name"] == "vgg16-digits"


def test_the_network_policy_lets_in_who_is_named_and_out_to_dns_and_s3_alone() -> None:
    spec = OBJECTS["NetworkPolicy"]["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    (ingress,) = spec["ingress"]
    assert [each["port"] for each in ingress["ports"]] == [CONTAINER["ports"][0]["containerPort"]]
    assert all(source["namespaceSelector"]["matchLabels"] for source in ingress["from"])
    ports = [{each["port"] for each in rule["ports"]} for rule in spec["egress"]]
    endpoint = next(each["value"] for each in CONTAINER["env"] if each["name"] == "AWS_ENDPOINT_URL_S3")
    assert ports == [{53}, {int(endpoint.rpartition(":")[2])}]


@pytest.mark.system
def test_kubernetes_own_schemas_take_it(tmp_path: Path) -> None:
    """Strictly: a key that there is not is refused."""
    program = """
import json, sys
import kubernetes_validate
for made in json.load(open(sys.argv[1])):
    for version in sys.argv[2:]:
        print(made["kind"], kubernetes_validate.validate(made, version, strict=True))
"""
    jobs = yaml.safe_load((INFRA / "kubernetes-network-policy.yaml").read_text())
    (tmp_path / "objects.json").write_text(json.dumps([*OBJECTS.values(), jobs]))
    command = [UV, "run", "--no-project", "--isolated", "--with", "kubernetes-validate==1.37.0", "python", "-c"]
    command += [program, "objects.json", "1.27", "1.37"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if re.search(r"error sending request|No solution found|dns error", done.stderr):
        pytest.skip("the schemas of Kubernetes are not to be had: PyPI is out of reach")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2 * (len(OBJECTS) + 1)
