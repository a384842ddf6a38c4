"""The services of models among the servers of a stack: which there are, where, and that they stay."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.test_follow import until
from tests.serving.tiny import NAME, in_production, keep, onnx_file, picture, promote
from tests.stack.test_stack import configured
from vgg16.cli import services as of_models
from vgg16.errors import RequestError, Vgg16Error
from vgg16.stack import ports, processes, served, stack
from vgg16.stack.configuration import PORTS, SERVE, TOKEN, Configuration
from vgg16.stack.services import Service, services
from vgg16.stack.state import State
from vgg16.storage.store import FolderStore

# What was served before, what is to be too, what no longer; and what is served from now on.
CHOICES = [
    ((), (), (), ()),
    ((), ("a", "b", "a"), (), ("a", "b")),
    (("a",), (), (), ("a",)),
    (("a",), ("b",), (), ("a", "b")),
    (("a", "b"), ("c",), ("a",), ("b", "c")),
    (("a",), (), ("a",), ()),
]
REFUSED = [
    ((), ("a/b",), (), "expected the name of a registered model, found 'a/b'"),
    ((), ("",), (), "found ''"),
    (("a",), ("a",), ("a",), "Both --serve a and --no-serve a"),
    (("a", "b"), (), ("c",), "'c' is not served by this stack. There are: a, b."),
    ((), (), ("c",), "No model is served here."),
]


@pytest.mark.parametrize(("before", "more", "fewer", "now"), CHOICES)
def test_what_was_chosen_stays_until_it_is_taken_away(
    before: tuple[str, ...], more: tuple[str, ...], fewer: tuple[str, ...], now: tuple[str, ...]
) -> None:
    assert served.chosen(before, more, fewer) == now


@pytest.mark.parametrize(("before", "more", "fewer", "said"), REFUSED)
def test_a_choice_that_cannot_be_is_refused(
    before: tuple[str, ...], more: tuple[str, ...], fewer: tuple[str, ...], said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        served.chosen(before, more, fewer)
    assert said in str(refused.value)


def test_without_its_packages_no_service_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "find_spec", lambda name: None if name in ("onnxruntime", "starlette") else name)
    for before in ((), ("a",)):
        with pytest.raises(RequestError) as refused:
            served.chosen(before, ("a",), ())
        assert refused.value.message == "A service of a needs onnxruntime, starlette."
        assert refused.value.hint.startswith("pip install 'vgg16[serve]'")
        assert ("vgg16 up --no-serve a" in refused.value.hint) == bool(before)
    assert served.chosen(("a",), (), ("a",)) == ()


def serving(folder: Path, *models: str) -> Configuration:
    first = configured(folder, "sqlite")
    return replace(first, models=models, ports=PORTS | {SERVE + model: 9000 + at for at, model in enumerate(models)})


def test_the_row_of_a_service_has_the_stores_keys_and_the_token_and_no_other_password(tmp_path: Path) -> None:
    configuration = serving(tmp_path, "-a", "b")
    rows = {row.name: row for row in services(configuration) if row.name.startswith(SERVE)}
    assert list(rows) == ["serve -a", "serve b"]
    row = rows["serve -a"]
    assert row.command[-6:] == ["serve", "--wait", "--port", "9000", "--", "-a"]
    assert (row.url, row.needs) == ("http://127.0.0.1:9000", ("s3",))
    known = set(row.environment.values())
    secrets = configuration.secrets
    assert {name for name, secret in secrets.items() if secret in known} == {TOKEN, "s3_key_id", "s3_secret"}
    assert not [secret for secret in secrets.values() if secret in " ".join(row.command)]
    # Another token starts the services anew, and nothing else.
    other = replace(configuration, secrets={**secrets, TOKEN: "another"})
    pairs = zip(services(configuration), services(other), strict=True)
    assert {one.name for one, two in pairs if one.request != two.request} == set(rows)


def test_a_person_finds_the_token_in_files_of_their_own(tmp_path: Path) -> None:
    configuration = serving(tmp_path, "a")
    token = configuration.secrets[TOKEN]
    papers = configuration.papers()
    assert papers["login"].splitlines()[-1] == f"a  http://127.0.0.1:9000  token: {token}"
    assert papers["authorization"] == f"Authorization: Bearer {token}\n"
    assert token not in papers["env"]


def test_a_service_keeps_its_port_and_leaves_one_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, said = State(tmp_path), list[str]()
    with socket.create_server(("127.0.0.1", processes.free_port(20_000, []))) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setattr(ports, "SERVE_PORT", port)
        first = ports.choose(state, ["a", "b"], print, said.append)
    a, b = first["serve a"], first["serve b"]
    assert port < a < b
    assert f"port {port} is taken: serve a is on {a}" in said
    # Where it was, though others are free by now; and what is no longer served keeps none.
    state.content["ports"] = first
    assert ports.choose(state, ["b"], print, said.append) == {
        name: one for name, one in first.items() if name != "serve a"
    }
    assert [ports.owner(name) for name in ("serve s3 x", "s3 master", "prefect")] == ["serve s3 x", "s3", "prefect"]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A stack of services alone, whose store is a folder in which version 1 is in production."""
    store = in_production(tmp_path, "1")
    variables: property = Configuration.variables  # type: ignore[assignment]  # of the class

    def elsewhere(configuration: Configuration) -> dict[str, str]:
        return {**variables.__get__(configuration), "VGG16_STORE": store.address}

    def rows(configuration: Configuration) -> list[Service]:
        return [replace(row, needs=()) for row in services(configuration) if row.name.startswith(SERVE)]

    monkeypatch.setattr(Configuration, "variables", property(elsewhere))
    monkeypatch.setattr(stack, "services", rows)
    monkeypatch.setattr(stack.postgresql, "obstacle", lambda folder: "not in this test")
    monkeypatch.setattr(ports, "SERVE_PORT", 20_000 + os.getpid() % 9_000)
    return store


def told(home: Path) -> dict[str, dict[str, Any]]:
    return {one["model"]: one for one in of_models.facts(of_models.services(home))}


def test_a_service_is_kept_mended_and_ended(alone: FolderStore, tmp_path: Path) -> None:
    said: list[str] = []
    try:
        (first,) = stack.up(tmp_path, said.append, [NAME])
        assert (first["name"], first["running"]) == (f"serve {NAME}", True)
        until(lambda: told(tmp_path)[NAME]["ready"])
        seen = told(tmp_path)[NAME]
        assert (seen["version"], seen["current"], seen["stack"], seen["reason"]) == ("1", True, True, "")
        assert httpx.post(f"{first['url']}/predict", content=picture(9)).status_code == 401
        name, _, value = (tmp_path / "stack" / "authorization").read_text().strip().partition(": ")
        assert httpx.post(f"{first['url']}/predict", content=picture(9), headers={name: value}).is_success
        # Another one is added, and this one is left alone.
        two = {row["name"]: row for row in stack.up(tmp_path, said.append, ["vgg16-none"])}
        assert two[f"serve {NAME}"] == first
        assert not told(tmp_path)["vgg16-none"]["ready"]
        # One that was killed is told, and started again alone, where it was.
        os.kill(first["pid"], signal.SIGKILL)
        until(lambda: not told(tmp_path)[NAME]["live"])
        assert told(tmp_path)[NAME]["reason"] == "does not run: vgg16 up"
        with pytest.raises(Vgg16Error, match=f"serve {NAME} does not run: vgg16 up starts it, vgg16 up --no-serve"):
            of_models.check(tmp_path, alone)
        after = {row["name"]: row for row in stack.up(tmp_path, said.append)}
        assert after["serve vgg16-none"] == two["serve vgg16-none"]
        assert (after[f"serve {NAME}"]["url"], after[f"serve {NAME}"]["pid"] != first["pid"]) == (first["url"], True)
        # One that is taken away ends, and is not known any more.
        assert [row["name"] for row in stack.up(tmp_path, said.append, fewer=["vgg16-none"])] == [f"serve {NAME}"]
        assert processes.marked(f"{tmp_path}/stack/serve vgg16-none") == []
        promote(alone, "2", keep(alone, onnx_file("2"), tmp_path))
        assert of_models.check(tmp_path, alone) == (
            f"serve {NAME} at {first['url']} answers with version 2, which is in production"
        )
    finally:
        ended = stack.down(tmp_path, said.append)
    assert [row["name"] for row in ended] == [f"serve {NAME}"]
    assert processes.marked(f"{tmp_path}/stack/serve {NAME}") == []
    assert list((tmp_path / "serving").iterdir()) == []
    log = (tmp_path / "stack" / f"serve-{NAME}" / "log").read_text()
    assert "ends once the running requests are answered" in log
    state = json.loads((tmp_path / "stack" / "stack.json").read_text())
    assert (state["serve"], state["services"]) == ([NAME], [])
    assert not any((tmp_path / "stack" / name).exists() for name in ("env", "login", "authorization"))
