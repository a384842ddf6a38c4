"""What flows tell a server and a person: no secret, and nobody's text is obeyed."""

from __future__ import annotations

import io
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from rich.console import Console

from vgg16.errors import RequestError
from vgg16.flows import progress, retrain
from vgg16.flows.server import without_login
from vgg16.promotion.records import Decision
from vgg16.records import DatasetRef, TrackedRun, ValidationReport
from vgg16.steps.watch.records import Alarm, Message
from vgg16.steps.watch.result import Watched, in_markdown
from vgg16.tracking import runs
from vgg16.workplace import settings

REF = DatasetRef(name="digits", digest="d" * 64, key="k", class_names=("a", "b"), splits={"train": 1})


def test_the_artifact_of_a_chain_shows_reasons_as_text_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = replace(settings.load(), tracking_uri="postgresql://u:SECRET@h/mlflow")
    monkeypatch.setattr(settings, "load", lambda: elsewhere)
    decision = Decision(
        name="vgg16-digits",
        version="1",
        verdict="promote",
        reasons=("forced: [x](javascript:alert(1)) <script>\n# http://u:SECRET@h",),
        stage="Production",
        previous="",
    )
    fields: dict[str, Any] = dict.fromkeys(TrackedRun.model_fields, "")
    fields |= {"run_id": "abc", "experiment": "e", "status": "finished", "dataset": REF, "metrics": {}, "params": {}}
    fields |= {"fresh": False, "model": None, "started": 0, "ended": 0}
    run = TrackedRun.model_construct(**fields)
    report = ValidationReport.model_construct(dataset="digits", checked=1, failed=(), docs="/home/a|b_/docs.html")
    summary = retrain._summary(retrain._Chain(REF, report, [run], decision))
    assert "SECRET" not in summary
    assert r"- forced: \[x\](javascript:alert(1)) &lt;script> \# http://u:\*\*\*@h" in summary.splitlines()
    assert "- MLflow: `postgresql://u:***@h/mlflow`" in summary.splitlines()


def test_what_is_said_is_not_obeyed_on_the_terminal_or_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, logged = io.StringIO(), list[str]()
    monkeypatch.setattr(progress, "console", Console(file=heard, highlight=False, emoji=False))
    monkeypatch.setattr(progress, "_log", logged.append)
    progress.say("rollback    \x1b]52;c;ZQ==\x07 :cat: [red]x http://u:SECRET@h\r\na second line")
    expected = "rollback    \\x1b]52;c;ZQ==\\x07 :cat: [red]x http://u:***@h\\r\n  a second line"
    assert (heard.getvalue(), logged) == (f"{expected}\n", [expected])


def test_where_a_line_cannot_be_written_over_lines_are_said_in_place_of_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    for terminal, lines in (("xterm", 0), ("dumb", 2)):
        drawn = io.StringIO()
        monkeypatch.setattr(progress, "console", Console(file=drawn, force_terminal=True, _environ={"TERM": terminal}))
        with progress.downloading("digits [red]") as on_bytes:
            on_bytes(1_000_000, 2_000_000)
            on_bytes(2_000_000, None)
        assert drawn.getvalue().count("digits [red]  ") >= lines
        assert ("\x1b" in drawn.getvalue()) == (not lines)
        assert ("MB\n" in drawn.getvalue()) == bool(lines)


def test_a_token_in_the_address_of_a_remote_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    guessed = {"mlflow.source.git.repoURL": "https://SECRET@git.example/x.git", "mlflow.source.git.commit": "c0ffee"}
    monkeypatch.setattr(runs, "resolve_tags", lambda: guessed | {"mlflow.user": "me"})
    assert runs._repository(ours=True) == {
        "mlflow.source.git.repoURL": "https://***@git.example/x.git",
        "mlflow.source.git.commit": "c0ffee",
    }
    assert set(runs._repository(ours=False).values()) == {""}


@pytest.mark.parametrize(
    ("source", "told"), [("https://h/x?X-Amz-Signature=SECRET", ""), ("https://h/x", "https://h/x"), ("", "")]
)
def test_a_server_is_not_told_the_signature_of_a_source(
    source: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.cli.data import sources
    from vgg16.flows import ingest

    fetched, asked = [], []
    monkeypatch.setattr(sources.prepare, "prepare_flows", lambda *_: None)
    monkeypatch.setattr(sources.fetching, "check_request", lambda *_: None)
    monkeypatch.setattr(sources.fetching, "fetch", lambda choice, source, *_: fetched.append(source))
    validated = SimpleNamespace(model_dump=lambda mode: {})
    monkeypatch.setattr(ingest, "ingest", lambda choice, source, sha256: (asked.append(source), validated))
    with click.Context(sources.validate):
        sources.validate.main(["cifar10", "--json", *(["--source", source] if source else [])], standalone_mode=False)
    assert asked == [told]
    assert fetched == ([source] if source != told else [])


def test_an_alarm_is_told_before_it_is_marked_so_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from vgg16.flows import watch

    alarm = Alarm(
        number=1, date="2026-11-27", window=("2026-11-27",), facts=("sharpness",), model="m", folder="f", page="p"
    )
    heard, days = list[str](), list[str]()
    monkeypatch.setattr(watch, "create_markdown_artifact", lambda key, markdown: heard.append(key))
    monkeypatch.setattr(
        watch, "tell_of", lambda event, name, _, key, given: heard.append(f"{event} {name} {key} {given}")
    )
    monkeypatch.setattr(watch.reach, "prepare", lambda: None)
    monkeypatch.setattr(watch.tasks, "mark_told", lambda message: heard.append(f"marked {message.key}"))
    message = Message(event="drifted", id=uuid.UUID(int=7), key="told", payload={})
    labels = Message(event="labels-came", id=uuid.UUID(int=8), key="retrain", payload={"experiments": []})
    for messages in ((message, labels), ()):
        result = Watched("my_pets", end="Drifted", alarm=alarm, messages=messages, label_first=("<b>a\n# b.png",))
        monkeypatch.setattr(
            watch.tasks, "look_at_inbox", lambda request, result=result: (days.append(request.date), result)[1]
        )
        state = watch.watch.fn("my_pets")
        assert (state.name, state.is_completed()) == ("Drifted", True)
        assert "drifted on 2026-11-27" in state.message
        assert "<b>" not in in_markdown(result)
    assert heard == [
        "watch-my-pets",
        f"drifted vgg16-my_pets {message.id} {{}}",
        "marked told",
        f"labels-came vgg16-my_pets {labels.id} {{'experiments': []}}",
        "marked retrain",
        "watch-my-pets",
    ]
    assert [len(day) for day in days] == [10, 10]
    for arguments in (("../pets",), ("pets", "s3://me:SECRET@bucket/x")):
        with pytest.raises(RequestError, match=r"expected a name|password"):
            watch.watch.fn(*arguments)


@pytest.mark.parametrize(
    "address", ["s3://me:SECRET@bucket/photos", "https://me:SECRET@host/x", "https://host/x?key=SECRET"]
)
def test_an_address_with_a_login_is_refused_before_a_server_keeps_more_of_it(address: str) -> None:
    with pytest.raises(RequestError, match="was given with a password") as refused:
        without_login(address)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("address", ["s3://bucket/photos/a@b", "digits", "/srv/photos", "inbox/me:you@here"])
def test_an_address_without_one_is_taken_as_it_is(address: str) -> None:
    assert without_login(address) == address
