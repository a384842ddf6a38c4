"""The base job templates of infra/, by Prefect's own word on each type of worker and its own templating."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import prefect.server.api
import pytest
from prefect.utilities.templating import apply_values, find_placeholders
from prefect.workers.base import BaseJobConfiguration

from tests.infra.compose import INFRA, ROOT

VIEWS = Path(prefect.server.api.__file__).parent / "collections_data" / "views"
WORKERS = json.loads((VIEWS / "aggregate-worker-metadata.json").read_text())
# Prefect's own field of the Docker worker's configuration that its default template leaves out.
MORE = {"docker": {"container_create_kwargs"}, "kubernetes": set[str]()}


def template(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((INFRA / f"{kind}-job-template.json").read_text())
    return found


def rendered(kind: str, **values: Any) -> dict[str, Any]:
    """The job that a worker would make, defaults and these values filled in as Prefect does it."""
    asked = template(kind)
    defaults = BaseJobConfiguration._get_base_config_defaults(asked["variables"]["properties"])
    job: dict[str, Any] = apply_values(asked["job_configuration"], defaults | values)
    return job


@pytest.fixture(params=MORE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_keys_are_those_of_the_type_and_every_variable_is_used_and_told(kind: str) -> None:
    asked, known = template(kind), WORKERS[f"prefect-{kind}"][kind]["default_base_job_configuration"]
    assert set(asked["job_configuration"]) <= set(known["job_configuration"]) | MORE[kind]
    variables = asked["variables"]["properties"]
    used = {each.name for each in find_placeholders(json.dumps(asked["job_configuration"]))}
    assert used == set(variables)
    assert all({"title", "description", "type"} <= set(each) for each in variables.values())


def test_a_job_on_kubernetes_has_its_gpus_shared_memory_toleration_and_secret() -> None:
    job = rendered("kubernetes", gpus=2, shm_size="16Gi", env_secret="team", name="x")["job_manifest"]
    assert (job["apiVersion"], job["kind"], job["spec"]["backoffLimit"]) == ("batch/v1", "Job", 0)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["envFrom"] == [{"secretRef": {"name": "team"}}]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}} in pod["volumes"]
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["restartPolicy"] == "Never"
    assert "{{" not in json.dumps(job)


def test_a_job_in_docker_has_its_gpus_and_shared_memory() -> None:
    job = rendered("docker", shm_size="2g")
    made = job["container_create_kwargs"]
    assert made["shm_size"] == "2g"
    assert made["device_requests"] == [{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]
    assert job["env"]["MLFLOW_TRACKING_PASSWORD"] == "{{ prefect.blocks.secret.mlflow-password }}"
    assert rendered("docker", device_requests=[])["container_create_kwargs"]["device_requests"] == []


def test_the_image_is_this_versions(kind: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert template(kind)["variables"]["properties"]["image"]["default"] == f"vgg16-gpu:{version}"
    for line in (INFRA / "compose.yaml").read_text().splitlines():
        if "image: vgg16" in line:
            assert line.endswith(f":{version}")
