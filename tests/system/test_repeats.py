"""A command that is killed between any two of its writes, and repeated until it ends, does everything once: each place
of a kill is the last one of one life, and the next life is the same command."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Answer
from tests.system import commander
from tests.system.commander import CHAIN, PROMOTION, ROLLBACK, TRAINING, WAITING
from vgg16.config.types import Experiment, Question, Study
from vgg16.promotion import challengers, ledger
from vgg16.storage.store import FolderStore
from vgg16.training import checkpoints

pytestmark = pytest.mark.system
log = logging.getLogger(__name__)

NAME = "vgg16-digits"


class Home:
    """A home whose commands are processes, each a child of one that has imported everything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lives = folder, 0
        folder.mkdir()
        self.store = FolderStore(folder / "store")
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([commander.__name__])

    def obey(self, command: str, end: str | float | None = None, /, **arguments: Any) -> Any:
        """What a command answers, None where it was killed."""
        self.lives += 1
        answer = self.folder / f"answer{self.lives}"
        process = self.processes.Process(
            target=commander.obey, args=(self.folder, command, arguments, answer, end), daemon=False
        )
        process.start()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            return None
        assert process.exitcode == 0, process.exitcode
        return json.loads(answer.read_text())

    def sql(self, query: str) -> list[Any]:
        with sqlite3.connect(self.folder / "mlflow.db") as database:
            return database.execute(query).fetchall()

    @property
    def entries(self) -> list[tuple[str, str]]:
        return [(entry.action, entry.version) for entry in ledger.entries(self.store, NAME)]

    @property
    def proven(self) -> dict[str, str]:
        """The sha256 of the one ONNX file that the ledger has of each version."""
        pairs = {(entry.version, entry.exports["onnx"]) for entry in ledger.entries(self.store, NAME)}
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)

    @property
    def files(self) -> list[str]:
        """The sha256 of each ONNX file in the store."""
        return [Path(key).stem for key in self.store.keys("exports/") if key.endswith(".onnx")]

    def left_over(self) -> list[str]:
        """What a kill has left: runs that are called running, checkpoints, chains without an end, processes."""
        running = [f"{name} runs" for (name,) in self.sql("select name from runs where status = 'RUNNING'")]
        kept = [f"{left.request} is kept" for left in checkpoints.unfinished(self.store)]
        deadline = time.monotonic() + 60  # of a killed one, a process that answers ends when it has answered
        while (alive := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return running + kept + self.store.keys("chains/begun/") + alive

    def _processes(self) -> list[str]:
        mine = f"VGG16_HOME={self.folder}".encode()
        alive = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mine in (process / "environ").read_bytes().split(b"\0"):
                    alive.append(f"process {process.name}")
        return alive

    @property
    def waiting(self) -> list[str]:
        return [version for version, stage in self.stages.items() if stage == "Staging"]

    @property
    def stages(self) -> dict[str, str]:
        query = "select version, current_stage from model_versions"
        return {str(number): stage for number, stage in self.sql(f"{query} where name = '{NAME}'")}


def tiny(name: str, **settings: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": name,
            "description": "for tests",
            "dataset": {"name": "digits", "limit": 100},
            "backbone": {"name": "vgg11", "width": 0.05, "batch_norm": "after"},
            "head": {"units": [16]},
            "phases": [{"epochs": 1, "optimizer": {"learning_rate": 0.01}}],
            "batch_size": 25,
            "gate": {"floor": 0.0, "max_ece": 1, "max_latency_ms": 1e6},
        }
        | settings
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Where version 1 is in production, by a run that was killed at every place."""
    home = Home(tmp_path_factory.mktemp("repeats") / "home")
    for place in TRAINING | PROMOTION | CHAIN:
        assert home.obey("run", place, experiments=[tiny("one")]) is None, place
    return home


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_every_place_trains_once_and_its_version_is_judged(home: Home) -> None:
    answer = home.obey("run", experiments=[tiny("one")])
    assert (answer["verdict"], answer["stage"], answer["production"]) == ("promote", "Production", "1")
    assert home.entries == [("promote", "1")]
    assert home.stages == {"1": "Production"}
    assert home.proven == {"1": home.files[0]}
    assert len(home.files) == 1
    assert len(list((home.folder / "trained").iterdir())) == 1
    assert home.left_over() == []
    # It came to its end: the same command is another run now, whose version waits.
    for place in ("it is in Staging", *WAITING):
        assert home.obey("run", place, experiments=[tiny("one")]) is None, place
    again = home.obey("run", experiments=[tiny("one")])
    assert again["challenger"]["version"] == "2"
    assert home.stages == {"1": "Production", "2": "Staging"}
    assert len(list((home.folder / "trained").iterdir())) == 2
    waits = challengers.read(home.store, NAME)
    assert waits
    assert (waits.version, {waits.onnx, *home.proven.values()}) == ("2", set(home.files))
    assert len(home.files) == 2


@pytest.mark.timeout(600)
def test_a_promotion_that_is_killed_at_every_place_is_made_once_and_a_person_is_told_that_it_is(home: Home) -> None:
    forced = {"name": NAME, "version": "2", "force": True, "reason": "a demonstration"}
    # It came to wait with its file, which is used again.
    for place in (place for place in PROMOTION if place != "its file is kept"):
        assert home.obey("promote", place, **forced) is None, place
    # What is left by then is nothing but the answer.
    refused = home.obey("promote", **forced)
    assert refused["message"] == f"{NAME} version 2 is in production already."
    assert home.entries == [("promote", "1"), ("promote", "2")]
    assert home.stages == {"1": "Archived", "2": "Production"}
    assert sorted(home.proven.values()) == home.files
    assert len(home.files) == 2
    assert challengers.read(home.store, NAME) is None


def test_a_promotion_that_is_cut_off_ends_as_it_would_have(home: Home) -> None:
    again = {"name": NAME, "version": "1", "force": True, "reason": "the other one"}
    before = len(home.entries)
    for place in ("the entry is written", "that is noted"):
        assert home.obey("promote", place, **again) is None, place
    answer = home.obey("promote", **again)
    assert (answer["stage"], answer["forced"], answer["previous"]) == ("Production", True, "2")
    assert answer["reasons"][0] == "forced: the other one"
    assert home.entries[before:] == [("promote", "1")]


def test_a_rollback_that_was_cut_off_is_finished_once_and_one_that_was_followed_is_followed_by_another(
    home: Home,
) -> None:
    before = len(home.entries)
    for place in ROLLBACK:
        assert home.obey("rollback", place, name=NAME) is None, place
    answer = home.obey("rollback", name=NAME, reason="again")
    assert (answer["version"], answer["previous"], answer["reasons"]) == ("2", "1", ["asked for"])
    assert home.entries[before:] == [("rollback", "2")]
    assert home.stages["2"] == "Production"
    assert home.obey("rollback", name=NAME)["version"] == "1"
    assert home.entries[before:] == [("rollback", "2"), ("rollback", "1")]
    # With the files that they had: none was made anew.
    assert sorted(home.proven.values()) == home.files
    assert len(home.files) == 2


def test_a_rollback_to_a_version_is_exact(home: Home) -> None:
    home.obey("promote", name=NAME, version="2", force=True, reason="once more")
    before = len(home.entries)
    assert home.obey("rollback", "the entry is written", name=NAME, to="1") is None
    for changed in (True, False, False):
        answer = home.obey("rollback", name=NAME, to="1")
        assert (answer["version"], answer["changed"]) == ("1", changed)
    assert home.entries[before:] == [("rollback", "1")]
    refused = home.obey("rollback", name=NAME, to="2")
    assert refused["error"] == "refused"
    assert "version 2 was not in production before version 1" in refused["message"]
    assert home.obey("rollback", name=NAME, to="9")["error"] == "request"


@pytest.mark.timeout(600)
def test_a_study_that_is_killed_has_one_run_and_trains_each_member_once(home: Home) -> None:
    question = Question(name="width", members=(tiny("one"), tiny("wider", seed=3)))
    study = Study(name="widths", description="for tests", questions=(question,))
    lives = len(list((home.folder / "trained").iterdir()))
    places = ("the run is created", "the study is named", "the run is noted", "it is registered")
    for place in (*places, "the run is called finished", "its report is written"):
        assert home.obey("study", place, name=study) is None, place
    answer = home.obey("study", name=study)
    assert [run["experiment"] for run in answer["runs"]] == ["one", "wider"]
    assert len(list((home.folder / "trained").iterdir())) == lives + 1
    # What a chain has trained is the dataset's own, and what a study has a version of another name.
    assert [run["model"]["name"] for run in answer["runs"]] == [NAME, f"{NAME}.study"]
    assert home.stages.keys() == {"1", "2"}
    assert home.sql("select count(*) from tags where key = 'vgg16.study'") == [(1,)]
    assert home.left_over() == []


@pytest.mark.timeout(600)
def test_two_versions_that_wait_still_do_after_a_weekly_run_a_forced_promotion_and_a_rollback(
    home: Home, vgg16: Callable[..., Answer]
) -> None:
    """Seen by whoever asks, and told each time."""
    assert home.obey("promote", name=NAME, version="2", stage="staging")["stage"] == "Staging"
    # The study's member becomes a version of the dataset's model, once.
    member = {"name": f"{NAME}.study", "version": "1", "stage": "staging"}
    for place in ("the version is made", "it is registered"):
        assert home.obey("promote", place, **member) is None, place
    entered = home.obey("promote", **member)
    assert (entered["name"], entered["version"], entered["stage"]) == (NAME, "3", "Staging")
    weekly = home.obey("run", experiments=[tiny("weekly", seed=7, gate={"floor": 1.0})])
    version = weekly["challenger"]["version"]
    assert (weekly["verdict"], weekly["stage"], weekly["production"]) == ("refuse", "Archived", "1")
    assert home.waiting == ["2", "3"]
    forced = {"name": NAME, "version": version, "force": True, "reason": "a demonstration"}
    assert home.obey("promote", **forced)["stage"] == "Production"
    assert home.waiting == ["2", "3"]
    assert home.obey("rollback", name=NAME)["version"] == "1"
    assert home.waiting == ["2", "3"]
    until = (datetime.now(UTC).date() + timedelta(days=90)).isoformat()
    seen = vgg16("status", "--json", VGG16_HOME=str(home.folder)).json["waiting"]
    assert seen == [{"model": NAME, "version": n, "waits_for": "a person", "until": until} for n in ("2", "3")]
    shown = vgg16("models", NAME, VGG16_HOME=str(home.folder)).stdout
    assert shown.count(f"a person, until {until}") == 2
    # A person decides on one; the other waits on.
    assert home.obey("promote", name=NAME, version="2", force=True, reason="it is good")["stage"] == "Production"
    assert home.waiting == ["3"]


KILLS = 40


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_forty_kills_at_random_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    log.info("seed %d", seed)
    chance = random.Random(seed)
    home, kills, production = Home(tmp_path / "home"), 0, ""
    home.obey("run", 3600.0, experiments=[tiny("first")])
    # How many seconds a command took the last time when it was not killed: at first a guess.
    took: dict[str, float] = {}
    number = 0
    while kills < KILLS:
        number += 1
        command = chance.choice(["run", "study", "promote", "rollback"])
        versions, entries = sorted(home.stages), home.entries
        (production,) = [version for version, stage in home.stages.items() if stage == "Production"]
        others = [version for version in versions if version != production]
        earlier = [version for version in ledger.productions(ledger.entries(home.store, NAME)) if version != production]
        arguments: dict[str, Any] = {"experiments": [tiny(f"run{number}", seed=number)]}
        if command == "study":
            question = Question(name="seed", members=(tiny(f"study{number}", seed=number),))
            arguments = {"name": Study(name=f"seeds{number}", description="for tests", questions=(question,))}
        elif command == "promote" and others:
            arguments = {"name": NAME, "version": chance.choice(others), "force": True, "reason": "by chance"}
        elif command == "rollback" and earlier:
            arguments = {"name": NAME, "to": chance.choice(earlier)}
        else:
            command = "run"
        answer = None
        for last in [False] * chance.randint(1, 4) + [True]:
            start = time.monotonic()
            answer = home.obey(command, 3600.0 if last else chance.uniform(0.2, took.get(command, 5.0)), **arguments)
            if answer:
                took[command] = time.monotonic() - start
                break
            kills += 1
        assert answer
        log.info("%s, %d kills by now: %s", command, kills, answer)
        if command == "promote":
            assert home.entries[len(entries) :] == [("promote", arguments["version"])]
            assert home.stages[arguments["version"]] == "Production"
        elif command == "rollback":
            assert home.entries[len(entries) :] == [("rollback", arguments["to"])]
            assert home.stages[arguments["to"]] == "Production"
        elif command == "run":
            promoted = answer["stage"] == "Production"
            version = answer["challenger"]["version"]
            assert home.entries[len(entries) :] == [("promote", version)] * promoted
            assert home.stages[version if promoted else production] == "Production"
        assert list(home.stages.values()).count("Production") == 1
        assert home.left_over() == []
    requests = home.sql("select value, count(*) from tags where key = 'vgg16.request' group by value")
    assert [count for _, count in requests] == [1] * len(requests)
    steps = home.sql("select run_uuid, step, count(*) from metrics where key = 'val_loss' group by run_uuid, step")
    assert [(step, count) for _, step, count in steps] == [(1, 1)] * len(requests)
