"""The loop closes: pictures come into a bucket, a drift is told once, people label, the champion's experiment is
trained again and judged, the service takes over; and with a kill in each of these steps each happens once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ENVIRONMENT, VGG16, free_port, wait_for
from tests.data.test_folder import COLORS, classes, picture
from tests.system.conftest import Stack
from tests.system.team import Team, at_work, wait_for_it
from tests.system.test_own_photographs import FORGIVING, SMALL
from vgg16.promotion import ledger
from vgg16.storage.addresses import open_store
from vgg16.storage.store import Store

pytestmark = [pytest.mark.system, pytest.mark.nightly, pytest.mark.timeout(1800)]

EPOCHS = 10  # of all phases of SMALL
EVERY_MINUTE = {"active": True, "slug": "every-minute", "schedule": {"cron": "* * * * *", "timezone": "UTC"}}


@pytest.fixture
def team(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """The stack with workers of the test's own; this process sees its bucket."""
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    with at_work(stack, tmp_path / "machines") as team:
        yield team


class Service:
    """`vgg16 serve vgg16-insects`, which may be killed and is started again as a supervisor does."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.environment = ENVIRONMENT | stack.environment
        self.start()

    def start(self) -> None:
        command = [VGG16, "serve", "vgg16-insects", "--port", str(self.port)]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        wait_for(lambda: bool(self.version()), self.process, self.folder / "service.log")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def version(self, file: Path | None = None, label: str = "") -> str:
        """The version that answers a picture, by this label if one is given; "" for none."""
        file = file or next(self.folder.glob("photos/ant/*.png"))
        try:
            answer = httpx.post(f"http://127.0.0.1:{self.port}/predict", content=file.read_bytes(), timeout=10)
        except httpx.HTTPError:
            return ""
        right = answer.is_success and label in ("", answer.json()["label"])
        return str(answer.json()["version"]) if right else ""


def inverted(folder: Path, count: int, seed: int) -> None:
    """What another camera makes of the classes: so many pictures of each, of other colours."""
    for label, (name, (red, green, blue)) in enumerate(COLORS.items()):
        for number in range(count):
            color = 255 - red, 255 - green, 255 - blue
            picture(folder / name / f"new-{number}.png", color, seed + 1000 * label + number)


def upload(store: Store, folder: Path, prefix: str) -> None:
    for file in folder.rglob("*.png"):
        store.upload(file, f"{prefix}/{file.relative_to(folder).as_posix()}")


def kill_each_once(team: Team, moments: dict[str, Callable[[str], Any]]) -> None:
    """End one process of a flow run of each deployment, once its moment, asked with the run's id, is there."""
    names = {found["id"]: found["name"] for found in team.ask("deployments")}
    left = dict(moments)

    def all_killed() -> bool:
        for engine in team.engines():
            try:
                run = str(engine.environ().get("PREFECT__FLOW_RUN_ID", ""))
                name = names.get(team.run(run)["deployment_id"], "") if run else ""
                if name in left and left[name](run):
                    engine.kill()
                    del left[name]
            except psutil.Error:
                continue
        return not left

    wait_for_it(all_killed, 600)


def events(team: Team, name: str) -> int:
    """How many events of this name the server has."""
    answer = team.prefect.post("events/filter", json={"filter": {"event": {"name": [name]}}})
    return int(answer.raise_for_status().json()["total"])


def by_automation(team: Team) -> list[Any]:
    """The flow runs that an automation has started."""
    return [run for run in team.ask("flow_runs") if (run["created_by"] or {}).get("type") == "AUTOMATION"]


def test_pictures_drift_people_label_and_the_service_takes_over_each_once_whatever_is_killed(
    stack: Stack, team: Team, tmp_path: Path
) -> None:
    address = stack.environment["VGG16_STORE"]
    bucket, store = open_store("/".join(address.split("/")[:3])), open_store(address)
    classes(tmp_path / "photos", 100)
    upload(bucket, tmp_path / "photos", "photos")
    added = stack.command("data", "add", "insects", f"{bucket.address}/photos", "--image-size", "32", cwd=tmp_path)
    assert added.status == 0, added.stderr
    settings = [word for setting in (*SMALL, *FORGIVING) for word in ("--set", setting)]
    first = stack.command("run", "insects-scratch-fast", *settings, "--json", cwd=tmp_path)
    assert (first.status, first.json["stage"]) == (0, "Production"), first.stderr
    service = Service(stack, tmp_path)
    (watch,) = team.ask("deployments", deployments={"name": {"any_": ["watch"]}})
    daily = EVERY_MINUTE | {"parameters": {"dataset": "insects", "min_labelled": 10}}
    schedules = f"deployments/{watch['id']}/schedules"
    try:
        # Pictures come; the process that has measured them is killed before it has told of them.
        inverted(tmp_path / "new", 40, 7_000)
        upload(store, tmp_path / "new", "inbox/insects")
        (schedule,) = team.prefect.post(schedules, json=[daily]).raise_for_status().json()
        measured = "watch/insects/"
        kill_each_once(team, {"watch": lambda _: any(key.endswith(".npz") for key in store.keys(measured))})
        wait_for_it(lambda: events(team, "vgg16.drifted"), 400)
        assert by_automation(team) == []
        listed = [key for key in store.keys("label-first/insects/") if key.endswith("list.csv")]
        assert len(listed) == 1

        # A person labels pictures; their arrival is killed too.
        inverted(tmp_path / "labelled", 120, 90_000)
        upload(bucket, tmp_path / "labelled", "photos")
        arrival = team.start("add", name="insects")
        kill_each_once(team, {"add": lambda run: team.run(run)["state_type"] == "RUNNING" and not time.sleep(6)})
        assert team.ended(arrival)["state_type"] == "COMPLETED"

        # A look has asked for a retraining; it or the next one is killed, the training, and the chain that judges.
        def trained() -> list[Any]:
            return [run for chain in by_automation(team) for run in team.trained(chain["id"])]

        moments = {
            "watch": lambda _: events(team, "vgg16.labels-came"),
            "train": lambda _: any(len(team.steps(run)) >= 3 for run in trained()),
            "retrain": lambda _: any(team.versions_of(run) for run in trained()),
        }
        kill_each_once(team, moments)
        (retrain,) = by_automation(team)

        # The service is killed in the middle of the swap.
        wait_for_it(lambda: len(ledger.entries(store, "vgg16-insects")) == 2, 600)
        service.kill()
        service.start()
        pictures = sorted((tmp_path / "new").glob("*/*.png"))
        wait_for_it(lambda: service.version(pictures[0], pictures[0].parent.name) == "2", 120)
        assert team.ended(retrain["id"])["state_name"] == "Promoted"
        right = sum(service.version(picture, picture.parent.name) == "2" for picture in pictures)
        assert right >= 0.9 * len(pictures)

        # The drift ended with its champion, and the pictures are not new to the next one.
        wait_for_it(lambda: team.ask("flow_runs", flow_runs={"state": {"name": {"any_": ["Nothing new"]}}}), 200)
    finally:
        service.kill()
        team.prefect.delete(f"{schedules}/{schedule['id']}").raise_for_status()
    assert (events(team, "vgg16.drifted"), events(team, "vgg16.labels-came")) == (1, 1)
    assert len(by_automation(team)) == 1
    assert len([key for key in store.keys("watch/insects/") if "/alarm-" in key]) == 1
    assert [key for key in store.keys("label-first/insects/") if key.endswith("list.csv")] == listed
    assert [entry.version for entry in ledger.entries(store, "vgg16-insects")] == ["1", "2"]
    team.check_nothing_lost_or_doubled(retrain["id"], EPOCHS)
    evidence = ledger.entries(store, "vgg16-insects")[-1].evidence
    assert evidence["gate_newer_images"] >= 10
    assert evidence["difference_newer"] > 0.3
    team.check_nothing_runs()
