"""What breaks: workers, machines, servers and schedules, on the real parts of a team's setup. Nothing is lost, nothing
is there twice, and nothing is left running."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.system.conftest import Stack
from tests.system.team import Team, at_work, wait_for_it
from vgg16.config.catalog import SHIPPED
from vgg16.flows.server import VERDICTS

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

EPOCHS = 30
# An epoch of half a second or more: a kill falls into it, not between two runs.
SMALL = ["dataset.limit=600", f"phases.0.epochs={EPOCHS}", "backbone.width=0.15", "gate.floor=0"]
# Of each chain and of each of its flow runs: one that crashes more often is given up.
ROUNDS, KILLS, MOST = 2, 10, 4


@pytest.fixture(scope="module")
def team(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with at_work(stack, tmp_path_factory.mktemp("machines")) as team:
        yield team


def small(seed: int, *more: str) -> dict[str, Any]:
    """A chain of one experiment that nobody has asked for before."""
    return {"experiments": ["digits-scratch"], "overrides": [*SMALL, f"seed={seed}", *more]}


def in_training(team: Team, flow_run: str, epochs: int = 2) -> None:
    """Wait until a chain's training has told of so many epochs."""
    wait_for_it(lambda: any(len(team.steps(run)) >= epochs for run in team.trained(flow_run)), 180)


@pytest.mark.nightly
def test_a_machine_that_dies_in_training_is_missed_and_another_ends_the_run(team: Team) -> None:
    # A user's own experiment, which travels whole.
    own = SHIPPED.experiments["digits-scratch"].model_copy(update={"name": "mine"})
    chain = team.start(**small(1) | {"experiments": [own.model_dump(mode="json")]})
    in_training(team, chain)
    team.die("one")
    team.worker("two", "gpu")
    # Of the silence nobody is told but by the automation on heartbeats.
    assert team.ended(chain)["state_name"] in VERDICTS
    (member,) = team.members(chain)
    assert member["run_count"] == 2
    assert "resumes" in (team.folder / "two" / "log").read_text()
    team.check_nothing_lost_or_doubled(chain, EPOCHS)
    team.check_nothing_runs()


@pytest.mark.nightly
def test_processes_killed_at_random_moments_lose_and_double_nothing(team: Team) -> None:
    for name in {"one", "two"} - set(team.workers):
        team.worker(name, "gpu")
    seed = int(os.environ.get("VGG16_TEST_SEED") or time.time())
    draw = random.Random(seed)
    members = {"experiments": ["digits-scratch", "digits-adam"]}
    killed = Counter[str]()
    for number in range(ROUNDS):
        chain = team.start(**small(100 + number, f"phases.0.epochs={2 * EPOCHS}") | members)
        ours, before = {chain}, killed.total()
        while killed.total() - before < KILLS and team.run(chain)["state_type"] not in ("COMPLETED", "FAILED"):
            time.sleep(draw.uniform(0.5, 8))
            ours |= {each["id"] for each in team.members(chain)}
            engines = {_flow_run(engine): engine for engine in team.engines()}
            alive = sorted(each for each in ours & set(engines) if killed[each] < MOST)
            if alive:
                chosen = draw.choice(alive)
                engines[chosen].kill()
                killed[chosen] += 1
        ended = team.ended(chain)
        assert ended["state_name"] in VERDICTS, f"VGG16_TEST_SEED={seed}: {ended['state']}"
        team.check_nothing_lost_or_doubled(chain, 2 * EPOCHS, members=2)
    assert killed.total() >= 20, f"VGG16_TEST_SEED={seed}: {killed}"
    team.check_nothing_runs()


def _flow_run(engine: psutil.Process) -> str:
    try:
        return str(engine.environ().get("PREFECT__FLOW_RUN_ID", ""))
    except psutil.Error:
        return ""


@pytest.mark.nightly
@pytest.mark.parametrize("service", ["prefect", "mlflow"])
def test_a_server_that_goes_away_in_mid_run_and_comes_back_stops_nothing(team: Team, service: str) -> None:
    chain = team.start(**small({"prefect": 2, "mlflow": 3}[service]))
    in_training(team, chain)
    team.stack.kill(service)
    time.sleep(20)
    assert team.stack.command("up", "--json").status == 0
    team.stack.kill("worker cpu", "worker gpu")
    assert team.ended(chain)["state_name"] in VERDICTS
    team.check_nothing_lost_or_doubled(chain, EPOCHS)
    team.check_nothing_runs()
    if service == "prefect":
        # As a supervisor does: a worker that has lost its server hears of no cancellation any more.
        team.renew()


@pytest.mark.nightly
def test_two_schedules_at_once_run_one_after_the_other_and_the_second_finds_nothing_new(team: Team) -> None:
    both = [team.start(**small(4), unless_unchanged=True) for _ in range(2)]
    ended = sorted((team.ended(each) for each in both), key=lambda each: str(each["start_time"]))
    assert ended[0]["state_name"] in VERDICTS
    assert ended[1]["state_name"] == "Skipped (unchanged)"
    assert ended[0]["end_time"] <= ended[1]["start_time"]
    assert ended[1]["total_run_time"] < 60


def test_a_schedule_fires_by_itself_and_status_tells_how_it_ended(team: Team, vgg16: Callable[..., Any]) -> None:
    (retrain,) = team.ask("deployments", deployments={"name": {"any_": ["retrain"]}})
    every_minute = {
        "active": True,
        "slug": "every-minute",
        "schedule": {"cron": "* * * * *", "timezone": "UTC"},
        "parameters": small(5) | {"unless_unchanged": True},
    }
    address = f"deployments/{retrain['id']}/schedules"
    (made,) = team.prefect.post(address, json=[every_minute]).raise_for_status().json()
    try:
        skipped = {"state": {"name": {"any_": ["Skipped (unchanged)"]}}, "tags": {"all_": ["auto-scheduled"]}}
        wait_for_it(lambda: team.ask("flow_runs", flow_runs=skipped), 560)
        said = vgg16("status", "--json", **team.stack.environment).json
    finally:
        team.prefect.delete(f"{address}/{made['id']}").raise_for_status()
    assert "Skipped (unchanged)" in {run["state"] for run in said["runs"]}
    first = next(run for run in said["runs"] if run["verdict"])
    assert first["verdict"] in VERDICTS.values()
    assert said["next"]["deployment"] == "retrain"
    team.check_nothing_runs()


def test_s3_with_wrong_keys_is_told_and_nothing_is_begun(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    wrong = team.stack.environment | {"AWS_SECRET_ACCESS_KEY": "wrong", "VGG16_HOME": str(tmp_path / "home")}
    failed = vgg16("run", "digits-scratch", "--json", **wrong)
    assert failed.status == 1
    assert "SignatureDoesNotMatch" in failed.json["error"]["message"]
    assert "Traceback" not in failed.stderr


def test_s3_that_refuses_connections_is_told(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    gone = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "VGG16_HOME": str(tmp_path / "home")}
    failed = vgg16("data", "fetch", "digits", "--json", **(team.stack.environment | gone))
    assert failed.status == 1
    assert "http://127.0.0.1:9" in failed.json["error"]["message"]
    assert "Traceback" not in failed.stderr


class Slow(socketserver.BaseRequestHandler):
    """A wire to the S3 server on which every piece takes a while."""

    behind: tuple[str, int]

    def handle(self) -> None:
        with socket.create_connection(self.behind) as server:
            back = threading.Thread(target=self._carry, args=(server, self.request), daemon=True)
            back.start()
            self._carry(self.request, server)
            back.join(5)

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                time.sleep(0.3)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


@pytest.mark.nightly
def test_a_slow_s3_is_waited_for(team: Team, vgg16: Callable[..., Any], tmp_path: Path) -> None:
    found = urlsplit(team.stack.environment["AWS_ENDPOINT_URL_S3"])
    Slow.behind = (str(found.hostname), int(found.port or 0))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as wire:
        wire.daemon_threads = True
        threading.Thread(target=wire.serve_forever, daemon=True).start()
        slow = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{wire.server_address[1]}",
            "VGG16_STORE": "s3://vgg16/slow",
            "VGG16_HOME": str(tmp_path / "home"),
        }
        done = vgg16("data", "validate", "digits", "--json", **(team.stack.environment | slow))
        wire.shutdown()
    assert done.status == 0, done.stderr
    assert done.json["ok"]


# Where a secret of the stack stands, beside the files that have all of them.
WRITTEN = {
    "AWS_SECRET_ACCESS_KEY": "identities.json",
    "PREFECT_API_AUTH_STRING": "login",
    "MLFLOW_TRACKING_PASSWORD": "login",
}


def test_secrets_are_in_no_log_no_parameter_and_no_artifact(team: Team) -> None:
    places = [*team.folder.rglob("*"), *team.stack.home.rglob("*")]
    for variable, also in WRITTEN.items():
        secret = team.stack.environment[variable].rpartition(":")[2].encode()
        found = [path for path in places if _holds(path, secret)]
        # The stack's own, which only its owner may read.
        assert {oct(path.stat().st_mode & 0o077) for path in found} == {"0o0"}
        assert {path.name for path in found} == {"stack.json", "secrets.json", "env", also}
        assert all(path.is_relative_to(team.stack.home / "stack") for path in found)


def _holds(path: Path, secret: bytes) -> bool:
    try:
        return path.is_file() and secret in path.read_bytes()
    except OSError:  # servers at work remove files
        return False


def test_after_all_that_doctor_finds_nothing(team: Team) -> None:
    done = team.stack.command("doctor", "--json")
    assert [check for check in done.json["checks"] if not check["ok"]] == []


def test_a_run_that_a_person_cancels_takes_its_training_with_it(team: Team) -> None:
    chain = team.start(**small(6))
    in_training(team, chain)
    cancelling = {"state": {"type": "CANCELLING"}}
    team.prefect.post(f"flow_runs/{chain}/set_state", json=cancelling).raise_for_status()
    assert team.ended(chain, 120)["state_type"] == "CANCELLED"
    (member,) = team.members(chain)
    assert team.ended(member["id"], 120)["state_type"] == "CANCELLED"
    (run,) = team.trained(chain)
    wait_for_it(lambda: team.trained(chain)[0]["info"]["status"] == "KILLED", 60)
    assert run["info"]["status"] != "FINISHED"
    team.check_nothing_runs()
