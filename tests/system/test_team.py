"""A team's servers, those of infra/compose.yaml: who is let in, who is not, and what a person is told."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ENVIRONMENT
from tests.infra.compose import INFRA
from tests.system.servers import BIN, MLFLOW_LOGIN, PREFECT_LOGIN, SECRETS, Team, serving

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL = ["--set", "dataset.limit=200", "--set", "phases.0.epochs=1", "--set", "backbone.width=0.1"]


@pytest.fixture(scope="session")
def team() -> Iterator[Team]:
    new = tempfile.TemporaryDirectory(prefix="vgg16-team-", ignore_cleanup_errors=True)
    with new as folder, serving(Path(folder)) as team:
        yield team


@pytest.mark.parametrize(
    ("login", "status"),
    [(None, 401), (("admin", "wrong"), 401), (("nobody", SECRETS["MLFLOW_PASSWORD"]), 401)],
    ids=["anonymous", "wrong password", "wrong name"],
)
def test_who_is_not_let_in_reads_and_writes_nothing(team: Team, login: tuple[str, str] | None, status: int) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments"
    assert httpx.get(f"{experiments}/search?max_results=1", auth=login).status_code == status
    assert httpx.post(f"{experiments}/create", json={"name": "x"}, auth=login).status_code == status
    assert httpx.get(f"{team.mlflow}/api/2.0/mlflow-artifacts/artifacts", auth=login).status_code == status
    assert httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=login).status_code == status
    assert httpx.post(f"{team.prefect}/variables/", json={"name": "x", "value": 1}, auth=login).status_code == status


def test_who_has_the_password_is_let_in(team: Team) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(experiments, auth=MLFLOW_LOGIN).status_code == 200
    assert httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=PREFECT_LOGIN).status_code == 200


def test_mlflow_answers_to_its_own_names_only(team: Team) -> None:
    experiments = f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    refused = httpx.get(experiments, auth=MLFLOW_LOGIN, headers={"Host": "evil.example"})
    assert refused.status_code == 403
    assert "Invalid Host" in refused.text


def test_prefect_shows_its_pages_which_know_where_the_api_is(team: Team) -> None:
    root = team.prefect.removesuffix("/api")
    page = httpx.get(root, follow_redirects=True)
    assert page.status_code == 200
    assert "<html" in page.text
    assert httpx.get(f"{root}/ui-settings").json()["auth"] == "BASIC"


def test_s3_wants_its_keys(team: Team) -> None:
    assert httpx.get(f"{team.person['AWS_ENDPOINT_URL_S3']}/vgg16").status_code == 403


def test_the_worker_is_online_in_its_pool(team: Team) -> None:
    deadline = time.monotonic() + 60
    while True:
        workers = httpx.post(f"{team.prefect}/work_pools/cpu/workers/filter", json={}, auth=PREFECT_LOGIN).json()
        if any(worker["status"] == "ONLINE" for worker in workers):
            return
        assert time.monotonic() < deadline, workers
        time.sleep(1)


def test_a_person_with_the_passwords_trains_and_reads(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    person = team.person | {"VGG16_HOME": str(tmp_path)}
    run = vgg16("run", "digits-scratch", *SMALL, "--set", "gate.floor=0", "--json", **person)
    assert run.status == 0, run.stderr
    assert (run.json["verdict"], run.json["stage"]) == ("promote", "Production")
    (version,) = vgg16("models", "vgg16-digits", "--json", **person).json["models"]
    assert version["stage"] == "Production"
    runs = httpx.post(f"{team.prefect}/flow_runs/filter", json={}, auth=PREFECT_LOGIN).json()
    assert {"Completed"} <= {each["state"]["name"] for each in runs}
    answers_by_the_champion(team, next((tmp_path / "samples" / "digits").glob("*.png")))


def answers_by_the_champion(team: Team, picture: Path) -> None:
    """The service, up since before there was any version, is ready now, for who has the token."""
    deadline = time.monotonic() + 20
    while not httpx.get(f"{team.serve}/v2/health/ready").is_success:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    token = {"Authorization": f"Bearer {SECRETS['SERVE_TOKEN']}"}
    answer = httpx.post(f"{team.serve}/predict", content=picture.read_bytes(), headers=token).raise_for_status().json()
    assert (answer["model"], answer["version"]) == ("vgg16-digits", "1")
    assert httpx.post(f"{team.serve}/predict", content=picture.read_bytes()).status_code == 401


@pytest.mark.parametrize("how", ["wrong", "none"])
@pytest.mark.parametrize(
    ("server", "variable"), [("MLflow", "MLFLOW_TRACKING_PASSWORD"), ("Prefect", "PREFECT_API_AUTH_STRING")]
)
def test_a_wrong_password_is_told_with_its_variable(
    team: Team, vgg16: Callable[..., Any], tmp_path: Path, server: str, variable: str, how: str
) -> None:
    person = team.person | {"VGG16_HOME": str(tmp_path), variable: "admin:wrong"}
    if how == "none":
        person = {name: value for name, value in person.items() if name != variable}
    # What needs no flow asks no Prefect.
    command = ["models"] if server == "MLflow" else ["run", "digits-scratch"]
    failed = vgg16(*command, "--json", **person)
    assert failed.status == 1
    error = failed.json["error"]
    assert f"The {server} server at " in error["message"]
    assert "refuses the user name or the password" in error["message"]
    assert variable in error["hint"]
    assert "Traceback" not in failed.stderr


def test_a_name_that_mlflow_does_not_answer_to_is_told(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    # 127.1 is the loopback too, by a name that is not among the allowed ones.
    elsewhere = {"VGG16_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": team.mlflow.replace("127.0.0.1", "127.1")}
    failed = vgg16("models", "--json", **(team.person | elsewhere))
    assert failed.status == 1
    assert "does not answer to that name" in failed.json["error"]["message"]
    assert "--allowed-hosts" in failed.json["error"]["hint"]


@pytest.mark.parametrize("kind", ["kubernetes", "docker"])
def test_prefect_takes_a_pool_with_our_job_template(team: Team, tmp_path: Path, kind: str) -> None:
    file = INFRA / f"{kind}-job-template.json"
    command = [f"{BIN}/prefect", "work-pool", "create", kind, "--type", kind, "--base-job-template", str(file)]
    environment = ENVIRONMENT | team.person | {"PREFECT_HOME": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    pool = httpx.get(f"{team.prefect}/work_pools/{kind}", auth=PREFECT_LOGIN).json()
    assert pool["type"] == kind
    assert "shm_size" in pool["base_job_template"]["variables"]["properties"]
