"""A home whose stack is down, was moved or was copied: what its commands know of that from `stack.json`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import call
from vgg16.errors import Vgg16Error
from vgg16.stack import mlflow_ui, postgresql
from vgg16.stack.state import State
from vgg16.workplace import reach, settings, stack_file
from vgg16.workplace.workplace import open_workplace


def written(home: Path, **changes: Any) -> Path:
    """The home with the file of a stack of one service that ran there."""
    folder = home / "stack"
    folder.mkdir(parents=True)
    service = {"name": "s3", "pid": 1, "create_time": 0.0, "log": str(folder / "s3" / "log"), "request": ""}
    content = {"up": False, "variables": {"VGG16_STORE": "s3://vgg16/store"}, "services": [], "deployed": True}
    if changes.get("up"):
        content |= {"services": [service]}
    (folder / "stack.json").write_text(json.dumps(content | changes))
    return home


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


# What `down` noted, and what `vgg16 up` is said to bring; "" where the home is free.
KEPT = {
    "several versions": ({"kept": {"versions": 4, "empty": False}}, "back 4 versions."),
    "one version": ({"kept": {"versions": 1, "empty": False}}, "back 1 version."),
    "a dataset alone": ({"kept": {"versions": 0, "empty": False}}, "them back."),
    "what an earlier version brought down": ({}, "them back."),
    "nothing": ({"kept": {"versions": 0, "empty": True}}, ""),
    "what never came up": ({"deployed": False}, ""),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_home_knows_what_is_behind_its_stack(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, back = KEPT[case]
    monkeypatch.setenv("VGG16_HOME", str(written(tmp_path, **changes)))
    for door in (reach.prepare, lambda: reach.prepare(writes=False), open_workplace):
        settings.load.cache_clear()
        if not back:
            door()
            continue
        with pytest.raises(Vgg16Error) as told:
            door()
        assert told.value.status == 1
        assert f"`vgg16 up` brings {back}" in told.value.message
    reach.prepare(reads=False)  # `show` of a shipped experiment needs nothing of it
    for free in (*stack_file.FREE, ""):
        with monkeypatch.context() as environment:
            for name in {*stack_file.FREE} - {free}:
                environment.setenv(name, str(tmp_path))
            if free and back:
                with pytest.raises(Vgg16Error):
                    stack_file.check(tmp_path)
            else:
                stack_file.check(tmp_path)


def test_the_command_line_begins_no_second_world(tmp_path: Path) -> None:
    home = written(tmp_path, kept={"versions": 4, "empty": False})
    for command in (("models",), ("run", "digits-scratch"), ("data", "fetch", "digits")):
        refused = call(*command, "--json", VGG16_HOME=str(home))
        assert refused.status == 1
        assert "`vgg16 up` brings back 4 versions." in refused.json["error"]["message"]
    assert {path.name for path in home.iterdir()} == {"stack"}


def test_a_stack_is_up_where_it_was_started_and_nowhere_else(tmp_path: Path) -> None:
    home = written(tmp_path / "home", up=True)
    linked, copied, moved = (tmp_path / name for name in ("linked", "copied", "moved"))
    linked.symlink_to(home)
    shutil.copytree(home, copied)
    assert [stack_file.read(each)["up"] for each in (home, linked, copied)] == [True, True, False]
    # Of the original's services the copy knows none, so that its `down` ends none and its `up` starts others.
    assert [len(State(each / "stack").services) for each in (home, linked, copied)] == [1, 1, 0]
    home.rename(moved)
    assert not stack_file.read(moved)["up"]
    state = State(moved / "stack")
    # They still run by what they were marked with where the home was.
    assert state.mark("s3") == f"{home}/stack/s3"
    assert state.mark("mlflow") == f"{moved}/stack/mlflow"
    for each in (copied, moved):
        with pytest.raises(Vgg16Error, match="behind its stack"):
            stack_file.check(each)


# The stack's servers and passwords; and what is taken of them where the environment says this.
SERVERS = {
    "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    "PREFECT_API_AUTH_STRING": "vgg16:a",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    "MLFLOW_TRACKING_USERNAME": "vgg16",
    "MLFLOW_TRACKING_PASSWORD": "b",
}
TAKEN: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "nothing": ({}, ("PREFECT_", "MLFLOW_")),
    "what `stack/env` exports": (SERVERS, ("PREFECT_", "MLFLOW_")),
    "its servers without a password": (
        {"PREFECT_API_URL": "http://localhost:4200/api/", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"},
        ("PREFECT_", "MLFLOW_"),
    ),
    "another Prefect, which has no password": ({"PREFECT_API_URL": "http://team:4200/api"}, ("MLFLOW_",)),
    "a profile of another Prefect": ({"PREFECT_PROFILE": "team"}, ("MLFLOW_",)),
    "another MLflow": ({"MLFLOW_TRACKING_URI": "http://team:5000"}, ("PREFECT_",)),
    "another port": ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:5001"}, ("PREFECT_",)),
    "a database": ({"MLFLOW_TRACKING_URI": "sqlite:////tmp/a.db"}, ("PREFECT_",)),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_password_goes_with_its_server_and_nowhere_else(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, taken = TAKEN[case]
    monkeypatch.setenv("VGG16_HOME", str(written(tmp_path, up=True, variables=SERVERS)))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settings.load().supplied == {name: value for name, value in SERVERS.items() if name.startswith(taken)}


def test_a_copied_cluster_forgets_the_server_of_its_original(tmp_path: Path) -> None:
    original, copied = tmp_path / "original", tmp_path / "copied"
    for folder in (original, copied):
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "PG_VERSION").write_text("15")
    server = subprocess.Popen(["sleep", "60"], cwd=original / "data")
    try:
        for folder in (original, copied):
            (folder / "data" / "postmaster.pid").write_text(f"{server.pid}\n/data\n")
            postgresql.initialise(folder, "")
    finally:
        server.kill()
        server.wait()
    assert [(folder / "data" / "postmaster.pid").exists() for folder in (original, copied)] == [True, False]


def test_the_ui_of_an_original_is_not_that_of_its_copy(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("original", "copy")]
    for home in homes:
        home.mkdir()
    server = subprocess.Popen(["sleep", "60"], cwd=homes[0], start_new_session=True)
    try:
        for home, ours in zip(homes, (True, False), strict=True):
            (home / "mlflow-ui.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": server.pid}))
            found = mlflow_ui._started(replace(settings.load(), home=home))
            assert bool(found) == ours
        (homes[0] / "mlflow-ui.json").write_text("[]")
        assert mlflow_ui._started(replace(settings.load(), home=homes[0])) == {}
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"up": true, "variables": {"A": 1}, "services": []}', "\xff"]
)
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "stack.json").write_text(content, encoding="latin-1")
    with pytest.raises(Vgg16Error, match=r"stack\.json cannot be read: .*Remove it, then `vgg16 up`"):
        stack_file.read(tmp_path)
