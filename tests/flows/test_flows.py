"""The flows on a real Prefect server, and what stops them."""

from __future__ import annotations

import http.server
import inspect
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prefect.states import Completed, Running, Scheduled

from tests.conftest import ENVIRONMENT, QUIET, answers, as_seen_by, free_port, wait_for
from vgg16.config.types import Experiment
from vgg16.steps.fresh_process import FreshProcess
from vgg16.storage.s3 import S3Store

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).parent / "prefect")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a real Prefect server with a home of its own."""
    folder = tmp_path_factory.mktemp("prefect-server")
    port, log = free_port(), folder / "log"
    environment = ENVIRONMENT | QUIET | {"PREFECT_HOME": str(folder)}
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/api"

    try:
        wait_for(lambda: answers(url), server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)


SMALL = ["--set", "dataset.limit=200", "--set", "phases.0.epochs=1", "--set", "backbone.width=0.1"]


def test_with_a_server_the_runs_and_their_artifacts_show_there(
    prefect_server: str, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    done = vgg16(
        "run", "digits-scratch", *SMALL, "--json", VGG16_HOME=str(tmp_path / "home"), PREFECT_API_URL=prefect_server
    )
    assert done.status == 0, done.stderr
    assert not list((tmp_path / "home" / "prefect").glob("*.db*")), "no other server ran"
    flow_runs = httpx.post(f"{prefect_server}/flow_runs/filter", json={}).json()
    states = {run["name"].split()[0]: run["state"]["name"] for run in flow_runs}
    assert states["train"] == states["promote"] == "Completed"
    assert "Refused" in states.values()
    artifacts = {each["key"]: each["data"] for each in httpx.post(f"{prefect_server}/artifacts/filter", json={}).json()}
    summary = artifacts["retrain-summary"]
    for fact in ("refuse", done.json["dataset"]["digest"], done.json["runs"][0]["run_id"][:8], done.json["docs"]):
        assert fact in summary
    assert done.json["docs"] in artifacts["data-docs-digits"]
    assert "data:image/png;base64," in artifacts["confusion-matrix-digits-scratch"]
    logs = httpx.post(f"{prefect_server}/logs/filter", json={"limit": 200}).json()
    assert any("epoch" in line["message"] and "val_top1" in line["message"] for line in logs)


@pytest.mark.nightly
def test_a_team_shares_an_mlflow_server_and_a_store_in_s3(
    prefect_server: str, mlflow_server: str, s3: S3Store, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    servers = {"PREFECT_API_URL": prefect_server, "MLFLOW_TRACKING_URI": mlflow_server}
    bucket = {"VGG16_STORE": "s3://tests/team", **as_seen_by(s3)}
    alice = {"VGG16_HOME": str(tmp_path / "alice"), **servers, **bucket}
    bob = {"VGG16_HOME": str(tmp_path / "bob"), **servers}

    run = vgg16("run", "digits-scratch", *SMALL, "--set", "gate.floor=0", "--set", "gate.max_ece=1", "--json", **alice)
    assert run.status == 0, run.stderr
    assert (run.json["verdict"], run.json["stage"]) == ("promote", "Production")
    assert "ledger/vgg16-digits/000001.json" in [key.removeprefix("team/") for key in keys_in(s3)]
    # Links are those that a browser opens.
    artifacts = [str(each["data"]) for each in asked(prefect_server, "artifacts")]
    targets = {target.partition(":")[0] for data in artifacts for target in re.findall(r"\]\(([^)]*)\)", data)}
    assert targets == {"http", "data"}
    docs, card = run.json["docs_page"].partition("?")[0], f"{mlflow_server}/#/models/vgg16-digits/versions/1"
    for page in (docs, docs.removesuffix("/artifacts/data-docs.html"), card):
        assert any(f"]({page}?workflowType=machine_learning)" in data for data in artifacts), page
    assert any("s3://tests/team/docs/digits-" in data for data in artifacts)

    # Bob forgot the store; his own, an empty one, must not unseat the champion.
    forgot = vgg16("rollback", "vgg16-digits", "--json", **bob)
    assert forgot.status == 3
    assert "s3://tests/team" in forgot.json["error"]["hint"]
    (version,) = vgg16("models", "vgg16-digits", "--json", **bob).json["models"]
    assert (version["version"], version["stage"]) == ("1", "Production")

    samples = sorted(map(str, (tmp_path / "alice" / "samples" / "digits").iterdir()))
    found = vgg16("predict", *samples, "--json", **(bob | bucket)).json
    assert found["model"] == "models:/vgg16-digits@champion"
    assert len(found["predictions"]) == 10


def keys_in(s3: S3Store) -> list[str]:
    """Every key of the bucket."""
    return [item["Key"] for item in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


@pytest.mark.parametrize("variable", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_a_server_that_does_not_answer_is_told(warm: Callable[..., Any], tmp_path: Path, variable: str) -> None:
    nobody = {variable: f"http://127.0.0.1:{free_port()}"}
    failed = warm("run", "digits-scratch", "--json", VGG16_HOME=str(tmp_path / "home"), **nobody)
    assert failed.status == 1
    assert failed.json["error"]["kind"] == "failed"
    assert "does not answer" in failed.json["error"]["message"]
    assert variable in failed.json["error"]["hint"]
    assert "Traceback" not in failed.stderr


def test_the_process_that_judges_starts_once_ahead_and_goes_where_nobody_asks_it() -> None:
    def found() -> list[psutil.Process]:
        return [each for each in psutil.Process().children() if "vgg16.steps.fresh_process" in each.cmdline()]

    with FreshProcess() as scorer:
        assert not found()
        scorer.start()
        scorer.start()
        assert len(found()) == 1
    assert not found()


@pytest.mark.parametrize(("polls", "told"), [({"a": 5, "b": 8}, False), ({"a": 4, "b": 4}, False), ({"b": 5}, True)])
def test_only_a_pool_that_takes_nothing_for_a_while_is_told_of(
    monkeypatch: pytest.MonkeyPatch, polls: dict[str, int], told: bool
) -> None:
    from vgg16.flows import members

    now = [0.0]
    clock = SimpleNamespace(sleep=lambda _: now.append(now[-1] + members.LINE_SECONDS / 3), monotonic=lambda: now[-1])
    # The first of two runs while the other waits for its place.
    states = {
        name: iter([*[Scheduled() if name == "b" else Running()] * count, Running(), Completed()])
        for name, count in polls.items()
    }
    said: list[str] = []
    monkeypatch.setattr(members, "time", clock)
    monkeypatch.setattr(members, "say", said.append)
    monkeypatch.setattr(members.server, "state_of", lambda name: next(states[name]))
    assert members._wait({name: name for name in polls}) == {}
    assert any("no worker of the pool" in line for line in said) == told


def test_where_every_experiment_diverges_the_run_fails_with_the_causes_and_registers_nothing(
    prefect_server: str, vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": prefect_server}
    wild = ["--set", "phases.0.optimizer.learning_rate=1e30"]
    failed = vgg16("run", "digits-scratch", *SMALL, *wild, "--json", **names)
    assert failed.status == 1
    assert "Every experiment diverged. digits-scratch: " in failed.json["error"]["message"]
    assert "learning rate" in failed.json["error"]["hint"]
    assert "Traceback" not in failed.stderr
    assert vgg16("models", "--json", **names).json == {"models": []}
    (run,) = vgg16("compare", "--json", **names).json["runs"]
    assert run["status"] == "diverged"


@pytest.fixture(scope="session")
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """The address of a receiver, and what it was sent."""
    received: list[Any] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()


@pytest.fixture(scope="session")
def deployed(prefect_server: str, webhook: tuple[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server's API address after `python -m vgg16.flows.deploy`, run twice."""
    environment = ENVIRONMENT | QUIET | {"PREFECT_API_URL": prefect_server, "VGG16_WEBHOOK": webhook[0]}
    environment["PREFECT_HOME"] = environment["VGG16_HOME"] = str(tmp_path_factory.mktemp("deploy"))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "vgg16.flows.deploy"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return prefect_server


def asked(server: str, what: str, **filters: Any) -> Any:
    """What a Prefect server answers to a filter."""
    return posted(f"{server}/{what}/filter", filters)


def posted(url: str, body: Any) -> Any:
    """What a Prefect server answers. While its SQLite is busy it says 503; as its own client does, ask again."""
    deadline = time.monotonic() + 60
    while (answer := httpx.post(url, json=body, timeout=30)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer.raise_for_status().json()


def test_a_server_has_each_deployment_once_with_its_pool_its_form_and_its_limit(deployed: str) -> None:
    found = {each["name"]: each for each in asked(deployed, "deployments")}
    assert {name: each["work_pool_name"] for name, each in found.items()} == {
        "ingest": "cpu",
        "add": "cpu",
        "retrain": "cpu",
        "study": "cpu",
        "train": "gpu",
        "stages": "cpu",
        "promote": "cpu",
        "rollback": "cpu",
        "score": "cpu",
        "watch": "cpu",
    }
    for name, collision in (
        ("add", "ENQUEUE"),
        ("retrain", "ENQUEUE"),
        ("promote", "ENQUEUE"),
        ("rollback", "ENQUEUE"),
        ("stages", "CANCEL_NEW"),
        ("watch", "CANCEL_NEW"),
    ):
        assert found[name]["global_concurrency_limit"]["limit"] == 1
        assert found[name]["concurrency_options"]["collision_strategy"] == collision
    assert {each["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] for each in found.values()} == {"30"}
    (schedule,) = found["retrain"]["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * 1", "UTC")
    assert schedule["parameters"] == {"unless_unchanged": True}
    forms = {name: each["parameter_openapi_schema"]["properties"] for name, each in found.items()}
    assert forms["promote"]["stage"]["enum"] == ["staging", "production"]
    assert forms["promote"]["name"]["anyOf"] == forms["rollback"]["name"]["anyOf"]
    assert "vgg16-cifar100" in forms["promote"]["name"]["anyOf"][0]["enum"]
    assert [
        field for name in ("promote", "rollback") for field, of in forms[name].items() if not of["description"]
    ] == []
    # By name, in a list to choose from; or whole, a user's own.
    by_name, whole = forms["retrain"]["experiments"]["items"]["anyOf"]
    assert "digits-finetune" in by_name["enum"]
    assert whole == {"$ref": "#/definitions/Experiment"}
    assert forms["study"]["name"]["anyOf"][0]["enum"] == ["course"]
    assert forms["score"]["engine"]["enum"] == ["faster", "onnx", "keras"]
    assert [field for field, of in forms["score"].items() if not of["description"]] == []
    assert found["score"]["schedules"] == []
    assert [field for field, of in forms["watch"].items() if not of["description"]] == []
    (schedule,) = found["watch"]["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 4 * * *", "UTC")


def answered(method: str, url: str, **given: Any) -> httpx.Response:
    """What the server answers, asked again while its SQLite is locked, as Prefect's own client does."""
    for _ in range(20):
        answer = httpx.request(method, url, **given)
        if answer.status_code != 503:
            break
        time.sleep(0.5)
    return answer


def test_the_forms_offer_the_models_that_there_are_and_say_what_waits_first(deployed: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from vgg16.flows.server import offer

    def forms() -> dict[str, Any]:
        return {each["name"]: each for each in asked(deployed, "deployments")}

    def offered(staged: dict[str, list[str]]) -> dict[str, Any]:
        with temporary_settings({PREFECT_API_URL: deployed}):
            offer(staged)
        return {name: each["parameter_openapi_schema"]["properties"] for name, each in forms().items()}

    before = forms()
    try:
        for _ in range(2):
            found = offered({"vgg16-a": [], "vgg16-pets": ["2", "5"], "vgg16-pets.study": []})
            for form in ("promote", "rollback"):
                assert found[form]["name"]["anyOf"][0]["enum"] == ["vgg16-pets", "vgg16-a", "vgg16-pets.study"]
            help_of_version = found["promote"]["version"]["description"]
            assert help_of_version.endswith("such as 3. In Staging, the first one first: vgg16-pets 2, 5")
        after = forms()
        kept = ("schedules", "work_pool_name", "concurrency_options", "job_variables", "parameters", "description")
        assert [after[name][key] for name in after for key in kept] == [
            before[name][key] for name in after for key in kept
        ]
        assert after["retrain"]["parameter_openapi_schema"] == before["retrain"]["parameter_openapi_schema"]
    finally:
        shipped = before["promote"]["parameter_openapi_schema"]["properties"]["name"]["anyOf"][0]["enum"]
        found = offered({name: [] for name in shipped})
    assert found["promote"]["version"]["description"].endswith("such as 3.")


@pytest.mark.parametrize(
    ("name", "status"),
    [("vgg16-digits", 201), ("vgg16-pets", 201), ("vgg16-pets.study", 201), ("pets", 409), ("vgg16-pets.other", 409)],
)
def test_models_of_a_users_own_can_be_promoted_from_a_server(deployed: str, name: str, status: int) -> None:
    found = {each["name"]: each["id"] for each in asked(deployed, "deployments")}
    asking = {"parameters": {"name": name, "version": "1"}}
    made = answered("POST", f"{deployed}/deployments/{found['promote']}/create_flow_run", json=asking)
    assert made.status_code == status
    if made.is_success:
        answered("DELETE", f"{deployed}/flow_runs/{made.json()['id']}").raise_for_status()


def test_a_deployment_refuses_an_unknown_experiment_before_any_worker_starts(deployed: str) -> None:
    found = {each["name"]: each["id"] for each in asked(deployed, "deployments")}
    refused = httpx.post(
        f"{deployed}/deployments/{found['retrain']}/create_flow_run", json={"parameters": {"experiments": ["nope"]}}
    )
    assert refused.status_code == 409
    assert "'nope' is not one of" in refused.text


def test_a_server_has_each_pool_and_automation_once(deployed: str) -> None:
    from vgg16.flows.servers.automations import AUTOMATIONS, NOTIFICATIONS
    from vgg16.stack.pools import POOLS

    assert sorted(each["name"] for each in asked(deployed, "work_pools")) == sorted(POOLS)
    names = sorted(row["name"] for row in (*AUTOMATIONS, *(row for row, _ in NOTIFICATIONS)))
    assert sorted(each["name"] for each in asked(deployed, "automations")) == names


@pytest.mark.parametrize(
    ("output", "status"),
    [("s3://b/scores/{date}.parquet", 201), ("/tmp/s.csv", 201), ("scores.xlsx", 409), ("scores", 409)],
)
def test_the_form_of_a_scoring_takes_the_names_of_files_that_can_be_written(
    deployed: str, output: str, status: int
) -> None:
    found = {each["name"]: each["id"] for each in asked(deployed, "deployments")}
    asking = {"parameters": {"source": "s3://b/photos", "output": output}}
    made = answered("POST", f"{deployed}/deployments/{found['score']}/create_flow_run", json=asking)
    assert made.status_code == status
    if made.is_success:
        answered("DELETE", f"{deployed}/flow_runs/{made.json()['id']}").raise_for_status()


def test_the_schedule_of_the_docs_is_one_that_the_server_takes(deployed: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "team.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": deployed}
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT | names, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (deployment,) = (each for each in asked(deployed, "deployments") if each["name"] == "score")
    (schedule,) = deployment["schedules"]
    try:
        assert schedule["active"]
        assert set(schedule["parameters"]) == {"source", "output"}
    finally:
        url = f"{deployed}/deployments/{deployment['id']}/schedules/{schedule['id']}"
        answered("DELETE", url).raise_for_status()


SCORED = """
import sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from vgg16.workplace import reach
reach.prepare()
from tests.steps.test_labelled_scoring import Shades, shade
from vgg16.config.types import GateRules
from vgg16.evaluation.holds import Judged
from vgg16.flows.score import score
from vgg16.steps.scoring import labelled, score as scoring
from vgg16.steps.scoring.model import Model
from vgg16.storage.addresses import upload

folder = Path(sys.argv[1])
for number in range(50):
    shade(folder / ("dark" if number < 30 else "light") / f"{number}.png", 50 if 6 <= number < 30 else 200, number)
scoring.find_model = lambda *_: Model("m", "models:/vgg16-shades/3", "d" * 64, False, None, 1.0, None)
scoring.open_engine = lambda *_: nullcontext(Shades())
for right in (30, 28):
    labelled.judged = lambda *_: Judged(GateRules(), np.array([right, right]), np.array([30, 30]))
    output = str(folder.parent / f"{{date}}-{right}.csv")
    state = score(str(folder), output, "models:/vgg16-shades@champion", return_state=True)
    print(state.name, state.result().output)
for file in folder.rglob("*.png"):
    upload(file, f"s3://tests/new/{file.relative_to(folder)}")
state = score("s3://tests/new", "s3://tests/out/{date}.parquet", "m", return_state=True)
print(state.name, state.result().output, state.result().observed["page"])
from uuid import UUID
from vgg16.config.catalog import SHIPPED
from vgg16.flows import tasks, watch
from vgg16.steps.watch.records import Alarm, Message
from vgg16.steps.watch.result import Watched
alarm = Alarm(number=1, date="2026-11-27", window=(), facts=("sharpness",), model="m", folder="f", page="p")
own = SHIPPED.experiments["digits-scratch"].model_copy(update={"name": "mine", "description": "{{ 'it\\'s' }}"})
asked = {"experiments": [own.model_dump(mode="json")], "bases": {"mine": own.model_dump(mode="json")}}
messages = (
    Message(event="drifted", id=UUID(int=7), key="a", payload={}),
    Message(event="labels-came", id=UUID(int=8), key="b", payload=asked),
)
tasks.look_at_inbox = lambda _: Watched("shades", end="Drifted", alarm=alarm, labels="40 came", messages=messages)
tasks.mark_told = lambda _: None
for _ in range(2):  # as after a kill between telling and marking it
    print(watch.watch("shades", return_state=True).name)
print(score("https://me:SECRET@host/photos", "a.csv", "m", return_state=True).message)
print(score(str(folder), "{hour}.csv", "m", return_state=True).message)
"""


def test_a_scoring_with_true_classes_ends_as_what_it_found_and_tells_of_a_model_that_got_worse(
    deployed: str, webhook: tuple[str, list[Any]], s3: S3Store, tmp_path: Path
) -> None:
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": deployed, "PYTHONPATH": str(ROOT)}
    names |= {"VGG16_STORE": "s3://tests/scored", **as_seen_by(s3)}
    command = [sys.executable, "-c", SCORED, str(tmp_path / "photos")]
    done = subprocess.run(command, env=ENVIRONMENT | names, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    worse, undecided, in_s3, *drifted, secret, unknown = done.stdout.splitlines()[-7:]
    assert drifted == ["Drifted", "Drifted"]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert worse == f"Worse {tmp_path}/{today}-30.csv"
    assert undecided == f"Undecided {tmp_path}/{today}-28.csv"
    assert in_s3.startswith(f"Undecided s3://tests/out/{today}.parquet s3://tests/scored/docs/score-")
    assert {f"out/{today}.parquet", in_s3.rpartition("s3://tests/")[2]} <= {*keys_in(s3)}
    assert "was given with a password or key in it" in secret
    assert "expected {date} or {time} in braces, found {hour}" in unknown
    assert len((tmp_path / f"{today}-30.csv").read_text().splitlines()) == 51
    states = {each["state"]["name"]: each["state"]["message"] for each in asked(deployed, "flow_runs")}
    assert "models:/vgg16-shades/3: worse than when it was judged" in states["Worse"]
    artifacts = [each["data"] for each in asked(deployed, "artifacts") if each["key"] == "scores-vgg16-shades"]
    assert any("Does it still hold? worse." in data and f"{today}-30.csv" in data for data in artifacts)
    assert not any("SECRET" in str(each["data"]) for each in asked(deployed, "artifacts"))
    logs = asked(deployed, "logs", limit=200, sort="TIMESTAMP_DESC")
    assert [line["message"] for line in logs if "SECRET" in line["message"]] == []
    assert not any("SECRET" in run["name"] for run in asked(deployed, "flow_runs"))
    assert told(webhook, "models:/vgg16-shades/3: worse than when it was judged")
    assert told(webhook, "shades drifted on 2026-11-27")
    # Each message once, though both flow runs have sent both.
    assert sum("shades drifted on" in each["text"] for each in webhook[1]) == 2
    (retrain,) = _runs_of_an_automation(deployed)
    (experiment,) = retrain["parameters"]["experiments"]
    assert (experiment["name"], experiment["description"]) == ("mine", "{{ 'it's' }}")
    assert (retrain["parameters"]["bases"], retrain["parameters"]["unless_unchanged"]) == ({"mine": experiment}, True)
    answered("DELETE", f"{deployed}/flow_runs/{retrain['id']}").raise_for_status()


def _runs_of_an_automation(server: str) -> list[Any]:
    """What automations have started, waited for half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        runs = [
            run
            for run in asked(server, "flow_runs", limit=200)
            if (run["created_by"] or {}).get("type") == "AUTOMATION"
        ]
        if runs:
            time.sleep(2)  # whether another comes
            return [
                run
                for run in asked(server, "flow_runs", limit=200)
                if (run["created_by"] or {}).get("type") == "AUTOMATION"
            ]
        time.sleep(0.5)
    return []


MOVED = """
from vgg16.workplace import reach
reach.prepare()
from vgg16.flows.reconcile import stages
from vgg16.workplace.workplace import open_workplace
client = open_workplace().tracker.registry.client
client.create_registered_model("vgg16-moved")
run = client.create_run("0").info
client.create_model_version("vgg16-moved", run.artifact_uri, run_id=run.run_id)
client.set_registered_model_alias("vgg16-moved", "champion", "1")
for _ in range(2):
    print(stages(return_state=True).name)
print(client.get_registered_model("vgg16-moved").aliases)
"""


def test_the_check_of_stages_undoes_a_move_by_hand_and_tells_of_it_and_status_shows_only_what_was_found(
    deployed: str, webhook: tuple[str, list[Any]], vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": deployed}
    command = [sys.executable, "-c", MOVED]
    done = subprocess.run(command, env=ENVIRONMENT | names, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["Undone", "Unmoved", "{}"]
    states = {each["state"]["name"]: each["state"]["message"] for each in asked(deployed, "flow_runs")}
    assert "vgg16-moved: moved by hand in MLflow: stage Production has none, alias champion 1" in states["Undone"]
    assert told(webhook, "vgg16-moved: moved by hand in MLflow")

    found = {each["name"]: each["id"] for each in asked(deployed, "deployments")}
    for state in ("Undone", "Unmoved"):
        made = {"tags": ["auto-scheduled"], "state": {"type": "COMPLETED", "name": state, "message": f"is {state}"}}
        url = f"{deployed}/deployments/{found['stages']}/create_flow_run"
        posted(url, made)
    for state in ("Worse", "Holds"):
        made = {"tags": ["auto-scheduled"], "state": {"type": "COMPLETED", "name": state, "message": f"is {state}"}}
        made["parameters"] = {"source": "digits", "output": "s.csv"}
        url = f"{deployed}/deployments/{found['score']}/create_flow_run"
        posted(url, made)
    shown = [each["state"] for each in vgg16("status", "--json", **names).json["runs"]]
    assert {"Undone", "Worse"} <= {*shown}
    assert not {"Unmoved", "Holds"} & {*shown}


def told(webhook: tuple[str, list[Any]], text: str) -> bool:
    """Whether the receiver is sent this text within half a minute."""
    deadline = time.monotonic() + 30
    while not (found := [each for each in webhook[1] if text in each["text"]]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return bool(found)


def test_a_failure_and_a_promotion_are_told_to_the_webhook(
    deployed: str, webhook: tuple[str, list[Any]], vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    found = {each["name"]: each["id"] for each in asked(deployed, "deployments")}
    made = posted(f"{deployed}/deployments/{found['retrain']}/create_flow_run", {})
    cause = 'the person said "no"\nand left'
    failed = {"state": {"type": "FAILED", "message": cause}, "force": True}
    posted(f"{deployed}/flow_runs/{made['id']}/set_state", failed)
    assert told(webhook, f"retrain, {made['name']}: Failed. {cause}")

    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": deployed}
    run = vgg16("run", "digits-scratch", *SMALL, "--set", "gate.floor=0", "--json", **names)
    assert run.json["verdict"] == "promote"
    assert told(webhook, "vgg16-digits version 1 is in production: ")


def test_status_tells_what_is_scheduled_next(deployed: str, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    names = {"VGG16_HOME": str(tmp_path / "home"), "PREFECT_API_URL": deployed}

    def next_run() -> Any:
        return vgg16("status", "--json", **names).json["next"]

    deadline = time.monotonic() + 30  # the server's scheduler looks every few seconds
    while not (coming := next_run()) and time.monotonic() < deadline:
        time.sleep(1)
    assert coming["deployment"] == "retrain"
    at = datetime.fromisoformat(coming["when"])
    assert (at.isoweekday(), at.hour, at.utcoffset()) == (1, 3, timedelta(0))


def test_status_without_a_server_says_how_to_get_one(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    told = vgg16("status", VGG16_HOME=str(tmp_path / "home"))
    assert told.status == 0
    assert "vgg16 up" in told.stdout
    assert vgg16("status", "--json", VGG16_HOME=str(tmp_path / "home")).json["runs"] == []


def test_training_on_a_pool_needs_a_server_that_is_named(vgg16: Callable[..., Any], tmp_path: Path) -> None:
    refused = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(tmp_path / "home"), VGG16_TRAIN_ON="pool")
    assert refused.status == 2
    assert "PREFECT_API_URL" in refused.json["error"]["hint"]
    wrong = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(tmp_path / "home"), VGG16_TRAIN_ON="gpu")
    assert wrong.status == 2
    assert "inline or pool" in wrong.json["error"]["message"]


def test_a_chain_is_known_again_by_its_data_its_settings_and_its_code(
    tiny: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.records import DatasetRef
    from vgg16.steps import chain

    ref = DatasetRef(name="digits", digest="1", key="", class_names=(), splits={})
    known = chain.chain_digest([tiny], ref)
    assert chain.chain_digest([tiny], ref) == known
    assert chain.chain_digest([tiny], ref.model_copy(update={"digest": "2"})) != known
    assert chain.chain_digest([tiny.model_copy(update={"seed": 9})], ref) != known
    assert chain.chain_digest([tiny, tiny], ref) != known
    copied = tmp_path / "flows" / "tasks.py"
    copied.parent.mkdir()
    copied.write_text("changed")
    monkeypatch.setattr(chain.installation, "PACKAGE", tmp_path)
    changed = chain.chain_digest([tiny], ref)
    assert changed != known
    (tmp_path / "config" / "rows").mkdir(parents=True)
    (tmp_path / "config" / "rows" / "backbones.toml").write_text("a row")
    assert chain.chain_digest([tiny], ref) not in (known, changed)


def test_every_deployment_names_a_flow_and_its_parameters() -> None:
    import importlib

    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        path, _, name = deployment["entrypoint"].rpartition(".")
        module = importlib.import_module(path)
        known = set(inspect.signature(getattr(module, name).fn).parameters)
        assert set(deployment.get("parameters", {})) <= known
        for schedule in deployment.get("schedules", []):
            assert schedule["timezone"]
            assert set(schedule["parameters"]) <= known


@pytest.mark.parametrize(
    "command", [["run", "digits-scratch"], ["data", "validate", "digits"]], ids=lambda each: each[0]
)
def test_bad_data_stops_the_chain_before_any_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    from vgg16.cli.main import cli
    from vgg16.data.sources import generated
    from vgg16.errors import DataError
    from vgg16.workplace.workplace import open_workplace

    def broken(dataset: Any) -> tuple[Any, Any]:
        images, labels = generated._digits()
        images[5] = 0
        return images, labels

    monkeypatch.setitem(generated.MADE, "digits", broken)
    with pytest.raises(DataError) as refused:
        cli.main(command, standalone_mode=False)
    assert "no_blank_image: expected more than one brightness in an image, found 1 of 1797" in refused.value.message
    assert refused.value.status == 3
    facts = refused.value.facts
    assert facts["dataset"] == "digits"
    assert facts["ok"] is False
    assert facts["failed"][0]["expectation"] == "no_blank_image"
    assert Path(facts["docs"]).is_file()
    assert f"{facts['checked']} expectations, refused" in capsys.readouterr().out
    client = open_workplace().tracker.registry.client
    assert client.search_runs([each.experiment_id for each in client.search_experiments()]) == []


def test_a_failure_of_input_and_output_is_tried_again_and_a_refusal_is_final() -> None:
    from botocore.exceptions import ClientError
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
    from prefect.states import Failed

    from vgg16.errors import RefusedError
    from vgg16.flows.tasks import _may_pass

    def answered(status: int) -> ClientError:
        return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]

    def passes(error: Exception) -> bool:
        return _may_pass(None, None, Failed(data=error))

    assert passes(ConnectionError("refused"))
    assert passes(TimeoutError())
    assert passes(answered(503))
    assert passes(MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE))
    assert not passes(answered(403))
    assert not passes(MlflowException.invalid_parameter_value("wrong"))
    assert not passes(FileNotFoundError())
    assert not passes(RefusedError("no"))
    assert not passes(ValueError("a defect"))


@pytest.mark.parametrize(("conflicts", "decided"), [(0, True), (2, True), (3, False)])
def test_a_decision_that_another_overtakes_is_made_again_three_times_in_all(
    monkeypatch: pytest.MonkeyPatch, conflicts: int, decided: bool
) -> None:
    from vgg16.flows import promote
    from vgg16.promotion.ledger import ConflictError

    outcomes: list[Any] = [ConflictError("overtaken")] * conflicts + ["decision"]

    def decide(*_: object) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ConflictError):
            raise outcome
        return outcome

    monkeypatch.setattr(promote, "_decide", decide)
    if decided:
        assert promote.promote.fn("vgg16-x", "1") == "decision"
    else:
        with pytest.raises(ConflictError):
            promote.promote.fn("vgg16-x", "1")
        assert outcomes == ["decision"]


def test_a_chain_that_was_killed_after_its_promotion_is_told_that_decision_and_a_person_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vgg16.errors import RefusedError
    from vgg16.flows import promote
    from vgg16.promotion.records import LedgerEntry, Standing
    from vgg16.records import ModelVersion

    entry = LedgerEntry.model_validate(
        {
            "number": 1,
            "name": "vgg16-digits",
            "action": "promote",
            "version": "2",
            "previous": "1",
            "by": "me",
            "at": "2026-01-01T00:00:00+00:00",
            "verdict": "promote",
            "reasons": ("better",),
            "evidence": {"p": 0.01},
        }
    )
    standing = Standing(history=(entry,), champion="2", before="", reference="2")
    scored: list[str] = []
    version = ModelVersion(name="vgg16-digits", version="2", stage="Production", run_id="r", experiment="e")
    monkeypatch.setattr(promote.tasks, "repair_stages", lambda _: standing)
    monkeypatch.setattr(promote.tasks, "find_version", lambda *_: version)
    monkeypatch.setattr(promote.tasks, "score_on_test", lambda scored_version: scored.append(scored_version.version))
    monkeypatch.setattr(promote.tasks, "write_card", lambda *_: None)
    monkeypatch.setattr(promote.tasks, "write_report", lambda run_id: f"{run_id}.html")
    decision = promote.promote.fn("vgg16-digits", "2", approved=False)
    assert (decision.verdict, decision.stage, decision.previous) == ("promote", "Production", "1")
    assert decision.report == "r.html"
    with pytest.raises(RefusedError, match="in production already"):
        promote.promote.fn("vgg16-digits", "2")
    assert scored == ["2", "2"]
