"""What leaves a command: nothing that a terminal obeys, on any encoding; an answer that is whole, whoever reads it."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.conftest import ENVIRONMENT, VGG16
from vgg16.cli.command import Answer, LazyGroup, answers
from vgg16.cli.main import cli
from vgg16.cli.show import catalog as show_catalog
from vgg16.cli.show import datasets as show_datasets
from vgg16.cli.show import drift as show_drift
from vgg16.cli.show import exported as show_exported
from vgg16.cli.show import predictions as show_predictions
from vgg16.cli.show import reviews as show_reviews
from vgg16.cli.show import runs as show_runs
from vgg16.cli.show import servers as show_servers
from vgg16.cli.show import versions as show_versions
from vgg16.errors import Vgg16Error
from vgg16.quiet import Output

ROOT = Path(__file__).parents[2]
# A title, the clipboard, a link, a line written over, a line of its own, letters in another order, and a colour.
EVIL = "x\x1b]0;t\x07\x1b]52;c;ZQ==\x07\x1b]8;;http://e\x1b\\\r\nvgg16: promoted\u202e\x9b31m[red] http://u:SECRET@h"
METRICS = {"gate_top1": 0.5, "best_val_top1": 0.5}
ENTRY = {"number": 1, "at": EVIL, "by": EVIL, "action": EVIL, "forced": True, "version": EVIL, "previous": EVIL}
ENTRY |= {"exports": {EVIL: EVIL}}
DECISION = {"name": EVIL, "version": EVIL, "stage": EVIL, "verdict": EVIL, "reasons": [EVIL], "report": EVIL} | {
    "warnings": [EVIL]
}
GUESS = {"label": EVIL, "probability": 0.5}
SOURCE = {"mode": EVIL, "size": [1, 1], "done": [EVIL]}
RUN = {"run_id": EVIL, "params": {EVIL: EVIL}, "metrics": METRICS, "status": EVIL, "model": EVIL, "verdict": EVIL}
TRAINED = {"ended": EVIL, "experiment": EVIL, "run_id": "a", "model": EVIL, "verdict": EVIL, "status": EVIL}
SERVICE = dict.fromkeys(("model", "version", "url", "reason"), EVIL) | {"images": 3, "challenger": None}
VERSION = {
    "warnings": [EVIL],
    "name": EVIL,
    "version": EVIL,
    "stage": EVIL,
    "verdict": EVIL,
    "metrics": METRICS,
    "experiment": EVIL,
}
PICTURE = {"image": EVIL, **GUESS, "typicality": 0.005, "top5": [GUESS, GUESS], "source": SOURCE}

# What each command shows, where everything in its answer is somebody else's text.
SHOWN: dict[Callable[[Answer], None], Answer] = {
    show_versions.history: {"entries": [ENTRY | {"evidence": {}, "reasons": [EVIL, EVIL]}]},
    show_versions.decision: DECISION,
    show_versions.rolled_back: DECISION | {"changed": True, "previous": EVIL},
    show_versions.models: {"models": [VERSION, VERSION | {"stage": "Staging"}]},
    show_runs.compare: {"runs": [RUN | {"name": EVIL}, RUN | {"name": "b", "params": {}}], "recipes": [EVIL]},
    show_predictions.predictions: {
        "model": EVIL,
        "predictions": [PICTURE] * 12,
        "failed": [{"image": EVIL, "reason": EVIL}],
    },
    show_predictions.scored: dict.fromkeys(("output", "model", "engine"), EVIL)
    | {
        "rows": 9,
        "failed": 9,
        "flagged": 2,
        "left_out": 1,
        "scored": 9,
        "seconds": 1.0,
        "images_per_s": 9.0,
        "already": False,
    }
    | {"labels": {EVIL: 1}, "reasons": [{"path": EVIL, "error": EVIL}]},
    show_predictions.labelled: {
        "metrics": {"images": 9, "top1": 0.5, "top1_interval": [0.4, 0.6]},
        "new": {"images": 7, "top1": 0.5, "top1_interval": [0.4, 0.6]},
        "met": {"train": 2},
        "unknown": {EVIL: 3, "Dog": 1},
        "unusual": {EVIL: 2},
        "unlabelled": 1,
        "classes": [{"name": "dog"}, {"name": EVIL.upper()}],
        "holds": {"verdict": "worse"},
        "reason": EVIL,
        "page": EVIL,
    },
    show_exported.files: {
        "model": EVIL,
        "version": EVIL,
        "files": [
            {"format": "onnx", "quantize": None, "path": EVIL, "bytes": 4_000_000, "latency_ms": 1.5}
            | {"parity": {"images": 600, "singles": 100, "same_top1": 0.999, "max_difference": 1e-6}}
        ],
    },
    show_servers.checks: {
        "checks": [{"name": EVIL, "ok": True, "detail": EVIL}, {"name": EVIL, "ok": False, "detail": EVIL}]
    },
    show_runs.status: {
        "trained": [TRAINED],
        "waiting": [{"model": EVIL}],
        "services": [SERVICE, SERVICE | {"challenger": {"version": EVIL, "images": 9, "same": 0.5}}],
        "server": EVIL,
        "runs": [],
        "next": {"when": EVIL, "deployment": EVIL},
    },
    show_catalog.row: {"settings": [{"key": EVIL, "value": EVIL, "allowed": EVIL, "meaning": EVIL}]},
    show_datasets.fetched: {"dataset": EVIL, "digest": EVIL, "classes": 2, "splits": {EVIL: 1}, "address": EVIL},
    show_servers.served: {"url": EVIL, "model": EVIL, "version": EVIL, "token": True},
    show_servers.started: dict.fromkeys(("env", "login", "authorization"), EVIL)
    | {"services": [{"name": EVIL, "url": EVIL}], "serves": {EVIL: EVIL}, "champions": [EVIL.upper()]},
    show_drift.drifted: {
        "verdict": "drifted",
        "alarms": [{"fact": EVIL, "before": 1.0, "now": 2.0, "distance": 0.5, "p": 1e-9, "pictures": [EVIL]}],
        "estimated_top1": None,
        "unreadable": [{"path": EVIL, "error": EVIL}],
        "label_first": [EVIL],
        "page": EVIL,
    }
    | dict.fromkeys(("counted", "images", "reference_images"), 9),
    show_datasets.checked: {
        "dataset": "pets",
        "digest": "d" * 64,
        "duplicates": [
            {
                "first": EVIL,
                "second": EVIL,
                "similarity": 1.0,
                "splits": ["train", "test"],
                "labels": [EVIL, "cat"],
                "digests": ["a", "b"],
            }
        ],
        "threshold": {"similarity": 0.9, "from": "cifar100", "decoys": 9, "false": 0},
        "reviewed": 1,
        "label_errors": [
            {"image": EVIL, "label": EVIL, "suggested": EVIL, "score": 0.1, "digest": "a", "split": "train"}
        ],
        "labels": {"images": 9, "seen_by": EVIL, "top1": 0.5},
        "labels_page": EVIL,
        "page": EVIL,
    },
    show_reviews.reviewed: {
        "dataset": "pets",
        "as": f"label={EVIL}",
        "findings": [EVIL],
        "stored": 0,
        "taken_back": [{"finding": EVIL, "as": f"label={EVIL}"}],
        "next": EVIL,
    },
    show_servers.ui: {"url": EVIL, "user": "vgg16", "password": "p"},
    show_datasets.added: dict.fromkeys(("dataset", "digest", "docs", "project"), EVIL)
    | {"classes": 2, "images": 2, "splits": {EVIL: 1}, "sizes": [(1, 1), (2, 2)]}
    | {"of_each_class": {EVIL: 900, f"y{EVIL}": 1}, "unreadable": [{"file": EVIL, "reason": EVIL}] * 30}
    | {"reviewed": {"dropped": 1, "relabelled": 0}},
}


def test_of_other_peoples_text_no_command_shows_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    for shows, answer in SHOWN.items():
        click.command()(answers(shows)(lambda answer=answer: answer)).main([], standalone_mode=False)
        printed = capsys.readouterr().out
        assert r"\x1b]0;t\x07" in "".join(printed.split()), shows
        assert not set(printed) & set("\x1b\x07\r\u202e\x9b"), shows
        assert not any(line.startswith("vgg16: promoted") for line in printed.splitlines()), shows
        assert "SECRET" not in printed, shows


def test_facts_of_an_error_are_shown_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> Answer:
        raise Vgg16Error(EVIL, "", DECISION)

    with pytest.raises(Vgg16Error):
        click.command()(answers(show_versions.decision, show_versions.decision)(refuse)).main([], standalone_mode=False)
    assert not set(capsys.readouterr().out) & set("\x1b\x07\r\u202e\x9b")


def commands(group: click.Group) -> list[click.Command]:
    """Every command below a group."""
    with click.Context(group) as context:
        below = [group.get_command(context, name) for name in group.list_commands(context)]
    return [one for each in below if each for one in (commands(each) if isinstance(each, click.Group) else [each])]


# Where text is given to a terminal: what `answers` hands to `show`, and what passes `shown` right there.
DOORS = {
    *(f"vgg16/cli/show/{kind}.py" for kind in ("catalog", "datasets", "drift", "exported", "predictions")),
    *(f"vgg16/cli/show/{kind}.py" for kind in ("reviews", "runs", "servers", "verified", "versions")),
    "vgg16/cli/servers.py",  # an address, as `answers` hands it over
    "vgg16/cli/terminal.py",
    "vgg16/cli/main.py",
    "vgg16/workplace/foreign.py",  # names of variables
    "vgg16/steps/exporting/messages.py",  # a pipe
    "flows/progress.py",
}


def test_text_goes_to_a_terminal_by_few_doors() -> None:
    assert isinstance(cli, LazyGroup)
    assert all("as_json" in {one.name for one in command.params} for command in commands(cli))
    ways = re.compile(
        r"click\.s?echo|print|traceback\.print_\w+|input|(\w+\.)?console\.print|Console|sys\.std(out|err)\.write"
    )
    files = [path for top in ("vgg16", "flows") for path in (ROOT / top).rglob("*.py")]
    used = {path.relative_to(ROOT).as_posix().replace("vgg16/flows/", "flows/") for path in files if calls(path, ways)}
    assert used <= DOORS
    assert {"vgg16/cli/show/runs.py", "vgg16/cli/main.py", "flows/progress.py"} <= used


def calls(path: Path, ways: re.Pattern[str]) -> bool:
    """Whether the code calls one of these functions."""
    called = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(ways.fullmatch(ast.unparse(function)) for function in called)


def test_a_message_of_an_error_is_not_obeyed_either(vgg16: Callable[..., Any]) -> None:
    refused = vgg16("show", f"no{EVIL}")
    assert refused.status == 2
    assert r"\x1b]0;t\x07" in refused.stderr
    assert not set(refused.stderr) & set("\x1b\x07\r\u202e\x9b")
    assert [line for line in refused.stderr.splitlines() if line.startswith("vgg16:")] == refused.stderr.splitlines()[
        :1
    ]
    assert "SECRET" not in refused.stderr + vgg16("show", f"no{EVIL}", "--json").stdout


PROJECT = '[experiments.mine]\nextends = "digits-scratch"\ndescription = "Häuser und 猫"\n'


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [("latin-1", "Häuser und \\u732b"), ("ascii", r"H\xe4user und \u732b"), ("utf-8", "Häuser und 猫")],
)
def test_what_a_terminal_has_no_letter_for_is_an_escape(tmp_path: Path, encoding: str, seen: str) -> None:
    (tmp_path / "vgg16.toml").write_text(PROJECT, encoding="utf-8")
    done = subprocess.run(
        [VGG16, "list", "experiments"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONIOENCODING": encoding, "VGG16_HOME": ""},
        capture_output=True,
        check=True,
    )
    assert seen.encode(encoding) in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.decode(encoding).splitlines())
    read, written = os.pipe()
    with Output(written, encoding) as output:
        print("é\udce9猫", file=output, flush=True)
    os.close(written)
    assert os.read(read, 99).decode(encoding).endswith("\n")
    os.close(read)


# How a command is called by a shell; its status; what is on standard error.
WAYS = {
    "{} list | head -1 >&2; exit ${{PIPESTATUS[0]}}": (0, "datasets"),
    "{} list --json | true; exit ${{PIPESTATUS[0]}}": (0, ""),
    "{} list --json >&-": (0, ""),
    "{} list --json <&- >&- 2>&-": (0, ""),
    "{} list > /dev/full": (1, "vgg16: What was asked for is done, but its answer could not be written: No space left"),
    "{} list --json > /dev/full": (1, "vgg16: What was asked for is done, but its answer"),
    "{} show nope 2>&-": (2, ""),
    "{} show nope 2> /dev/full": (2, ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_does_not_listen_ends_no_work(way: str, tmp_path: Path) -> None:
    status, told = WAYS[way]
    script = way.format(VGG16)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr, done.stdout) == (status, False, "")
    assert done.stderr.startswith(told)
    assert told or not done.stderr


def test_work_goes_on_where_the_reader_of_its_progress_has_left() -> None:
    read, written = os.pipe()
    output = Output(written, "utf-8")
    os.close(read)
    print("epoch 1", file=output, flush=True)
    os.write(written, b"a library in C meets no broken pipe either")
    print("epoch 2", file=output, flush=True)
    assert output.finish() == ""
    os.close(written)


def on_terminal(**environment: str) -> str:
    """What a command that is refused writes to a terminal."""
    master, slave = pty.openpty()
    own = ENVIRONMENT | {"TERM": "xterm-256color"} | environment
    subprocess.run([VGG16, "show", "nope"], env=own, stdout=slave, stderr=slave, stdin=slave, check=False)
    os.close(slave)
    text = os.read(master, 1 << 16).decode()
    os.close(master)
    return text


def test_colours_are_for_terminals_that_have_them_and_people_who_want_them() -> None:
    assert on_terminal().startswith("\x1b[31m")
    assert on_terminal(NO_COLOR="").startswith("\x1b[31m")
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal(**without).startswith("vgg16: There is no")


def test_json_is_ascii_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    from vgg16.cli.main import _print_json

    read, written = os.pipe()
    with Output(written, "utf-8") as output:
        _print_json({"a": EVIL}, output)
    os.close(written)
    printed = os.read(read, 1 << 16).decode("ascii")
    os.close(read)
    assert printed.rstrip("\n").isprintable()
    assert json.loads(printed) == {"a": EVIL.replace("SECRET", "***")}
