"""The contract of the command line: statuses, one JSON object, clear paragraphs, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.conftest import call
from vgg16.cli.main import COMMANDS, cli
from vgg16.cli.show import predictions as show_predictions

Command = Callable[..., Any]


def test_help_answers_in_under_a_second() -> None:
    start = time.perf_counter()
    helped = call("--help")
    assert time.perf_counter() - start < 1
    assert helped.status == 0
    for command in [
        "compare",
        "data",
        "doctor",
        "export",
        "history",
        "list",
        "models",
        "predict",
        "promote",
        "rollback",
        "run",
        "score",
        "serve",
        "show",
        "study",
        "ui",
        "verify",
    ]:
        assert f"\n  {command}" in helped.stdout


def test_help_says_of_each_command_what_the_command_says_of_itself() -> None:
    with click.Context(cli) as context:
        for name, entry in COMMANDS.items():
            command = cli.get_command(context, name)
            assert command
            assert (command.name, command.get_short_help_str(200)) == (name, entry.summary)


def test_help_imports_no_command() -> None:
    program = "import sys\nfrom vgg16.cli.main import cli\ncli.main(['--help'], standalone_mode=False)\n"
    program += "print('imported', *(name for name in sys.modules if name.startswith('vgg16.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1].split()[1:]
    assert sorted(imported) == [
        "vgg16.cli",
        "vgg16.cli.command",
        "vgg16.cli.main",
        "vgg16.errors",
        "vgg16.quiet",
        "vgg16.shown",
    ]


IN_A_FINALIZER = """
import signal, time, weakref
from vgg16.cli import main

class Connection: pass

def work(**_):
    connection = Connection()
    weakref.finalize(connection, signal.raise_signal, signal.{signal})
    del connection
    time.sleep(20)

main.cli.main = work
main.main()
"""


@pytest.mark.parametrize(("name", "status", "said"), [("SIGINT", 130, "Interrupted."), ("SIGTERM", 143, "Terminated.")])
def test_a_signal_that_comes_while_a_finalizer_runs_still_ends_the_command(name: str, status: int, said: str) -> None:
    program = IN_A_FINALIZER.format(signal=name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=False)
    assert (done.returncode, done.stderr) == (status, f"vgg16: {said}\n")


def test_the_temporary_server_is_prefects_own_in_a_session_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from prefect.server.api.server import SubprocessASGIServer

    from vgg16.flows.servers import local_server

    started: list[dict[str, Any]] = []

    def note(args: list[str], **settings: Any) -> None:
        started.append({"args": args, **settings})

    monkeypatch.setattr(subprocess, "Popen", note)
    server = object.__new__(local_server._ServerOfItsOwnSession)
    server.port = 4242
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "vgg16:secret")
    SubprocessASGIServer._run_uvicorn_command(server)
    server._run_uvicorn_command()
    theirs, ours = started
    assert [*ours["args"][:2], "uvicorn"] == theirs["args"][:3]
    # Its folder is Prefect's, its application ours.
    app_dir = theirs["args"].index("--app-dir")
    del theirs["args"][app_dir : app_dir + 2]
    theirs["args"][theirs["args"].index("prefect.server.api.server:create_app")] = local_server.APP
    assert ours["args"][3:] == theirs["args"][3:]
    assert ours["start_new_session"]
    assert ours["env"]["PREFECT_SERVER_API_AUTH_STRING"] == "vgg16:secret"


def test_list_shows_the_catalog_and_makes_no_home(vgg16: Command, tmp_path: Path) -> None:
    listed = vgg16("list", "--json", cwd=tmp_path, VGG16_HOME="").json
    photographs = [
        f"{dataset}-{kind}{size}"
        for dataset in ("cifar10", "cifar100")
        for size in ("", "-fast")
        for kind in ("scratch", "finetune")
    ]
    names = {kind: [row["name"] for row in rows] for kind, rows in listed.items()}
    ours = ["digits-scratch", "digits-adam", "digits-dropout", "digits-finetune", "glyphs-scratch"]
    assert names["experiments"] == [*ours, *photographs]
    assert names["backbones"] == ["vgg11", "vgg13", "vgg16", "vgg19", "resnet50", "mobilenetv2", "efficientnetb0"]
    assert names["datasets"] == ["digits", "glyphs", "cifar10", "cifar100"]
    (course,) = listed["studies"]
    assert (course["name"], course["dataset"], course["members"]) == ("course", "cifar100", 16)
    assert course["questions"] == "scratch, optimal, frozen, further"
    assert vgg16("list", "datasets", "--json").json.keys() == {"datasets"}
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_cannot_be_is_refused_before_anything_is_made(vgg16: Command, tmp_path: Path) -> None:
    wrong = ((("course", "--set", "language=de"), "expected en or fr"), (("curse",), "Did you mean course"))
    for arguments, message in wrong:
        refused = vgg16("study", *arguments, "--json", cwd=tmp_path, VGG16_HOME="")
        assert refused.status == 2
        assert message in str(refused.json["error"])
    assert list(tmp_path.iterdir()) == []


def test_show_counts_vgg16_without_training(vgg16: Command) -> None:
    described = vgg16("show", "vgg16", "--json").json
    assert described["parameters"] == described["trainable"] == 138_357_544
    assert [layer["name"] for layer in described["layers"]][-4:] == ["flatten", "fc1", "fc2", "predictions"]
    assert vgg16("show", "digits-scratch", "--json").json["parameters"] < 2_000_000


REQUESTS = {
    "unknown experiment": (["run", "digits-scrach"], "Did you mean digits-scratch"),
    "unknown among known": (["run", "digits-scratch", "nope"], "'nope'"),
    "no experiment": (["run"], "Missing argument"),
    "misspelt key": (["run", "digits-scratch", "--set", "phases.0.epoch=1"], "phases.0.epochs"),
    "wrong type": (["run", "digits-scratch", "--set", "seed=one"], "integer"),
    "out of range": (["run", "digits-scratch", "--set", "batch_size=0"], "greater than or equal to 1"),
    "an infinite rate": (["run", "digits-scratch", "--set", "phases.0.optimizer.learning_rate=Infinity"], "finite"),
    "no units": (["run", "digits-scratch", "--set", "head.units=[-5]"], "greater than or equal to 1"),
    "a block that is not there": (["run", "digits-scratch", "--set", "phases.0.trains=block9"], "block1 to block5"),
    "an empty base": (["run", "digits-finetune", "--set", "base="], "at least 1 character"),
    "a name that is none": (["models", "it's"], "no registered model"),
    "no equals sign": (["run", "digits-scratch", "--set", "seed"], "KEY=VALUE"),
    "two datasets": (["run", "digits-scratch", "glyphs-scratch"], "one dataset"),
    "unknown dataset in a setting": (["run", "digits-scratch", "--set", "dataset=cifar"], "no dataset"),
    "limit too small": (["run", "digits-scratch", "--set", "dataset.limit=11"], "Choose from 20"),
    "limit too large": (["run", "digits-scratch", "--set", "dataset.limit=99999"], "Choose from 20"),
    "unknown option": (["run", "digits-scratch", "--fast"], "--fast"),
    "unknown command": (["retrain"], "No such command"),
    "unknown kind": (["list", "models"], "datasets"),
    "unknown row": (["show", "vgg61"], "no experiment or backbone 'vgg61'. Did you mean"),
    "unknown dataset": (["data", "fetch", "digit"], "Did you mean digits"),
    "unknown dataset to check": (["data", "validate", "mnist"], "There are"),
    "no such picture": (["predict", "cat.png"], "no picture file cat.png"),
    "no picture in a folder": (["predict", str(Path(__file__).parent)], "has no pictures"),
    "no picture in a glob": (["predict", "*.png"], "No picture matches *.png"),
    "no champion": (["predict", __file__], "No model is in production"),
    "not a picture": (["predict", __file__, "--model", "models:/nothing/1"], "No model at"),
    "no champion to score by": (
        ["score", str(Path(__file__).parent), "--output", "s.csv"],
        "No model is in production",
    ),
    "a file of no format": (["score", "photos", "--output", "scores.xlsx"], "ends in .parquet, .csv"),
    "unknown engine": (["score", "photos", "--output", "s.csv", "--engine", "torch"], "onnx"),
    "unknown model": (["promote", "vgg16-cats", "1"], "no registered model"),
    "unknown model's history": (["history", "vgg16-cats"], "no registered model"),
    "unknown model to roll back": (["rollback", "vgg16-cats"], "no registered model"),
    "unknown model to list": (["models", "vgg16-cats"], "no registered model"),
    "force without a reason": (["promote", "vgg16-digits", "1", "--force"], "--reason"),
    "unknown stage": (["promote", "vgg16-digits", "1", "--stage", "live"], "staging"),
    "no run yet": (["compare"], "no run yet"),
    "unknown run": (["compare", "abc"], "no finished run 'abc'"),
}


NOT_TEXT = {
    "--reason": ["rollback", "vgg16-digits", "--reason", "caf\udce9"],
    "--set": ["show", "digits-scratch", "--set", "base=\udcff"],
    "name": ["history", "\udcff"],
}


@pytest.mark.parametrize("what", NOT_TEXT)
def test_an_argument_that_is_not_utf8_is_refused_before_anything_is_made(
    vgg16: Command, tmp_path: Path, what: str
) -> None:
    refused = vgg16(*NOT_TEXT[what], "--json", cwd=tmp_path, VGG16_HOME="")
    assert refused.status == 2, refused.stderr
    assert refused.json["error"]["message"].startswith(f"{what}: expected UTF-8")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty-home")


@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_wrong_request_is_one_clear_paragraph_and_status_2(
    vgg16: Command, empty_home: Path, request_name: str
) -> None:
    arguments, message = REQUESTS[request_name]
    refused = vgg16(*arguments, "--json", VGG16_HOME=str(empty_home))
    assert refused.status == 2, refused.stderr
    error = refused.json["error"]
    assert error["kind"] == "request"
    assert message in f"{error['message']} {error['hint']}"
    assert "Traceback" not in refused.stderr


def test_a_wrong_request_is_told_to_a_person_on_standard_error_alone(vgg16: Command, tmp_path: Path) -> None:
    refused = vgg16("run", "digits-scrach", cwd=tmp_path, VGG16_HOME="")
    assert refused.status == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("vgg16: There is no experiment 'digits-scrach'. Did you mean digits-scratch")
    assert len(refused.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_to_is_told_with_the_way_out(vgg16: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for home in (tmp_path / "file", Path("/proc/vgg16"), tmp_path / "file" / "below"):
        refused = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(home))
        assert refused.status == 1, refused.stderr
        assert "cannot be written to" in refused.json["error"]["message"]
        assert "VGG16_HOME" in refused.json["error"]["hint"]
        assert "Traceback" not in refused.stderr


def test_a_full_disk_is_told_before_anything_is_written(vgg16: Command, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=False, capture_output=True)
    # Who may not mount meets a full disk where every write fails in the same way.
    home = small / "home" if mounted.returncode == 0 else Path("/dev/full")
    try:
        refused = vgg16("run", "digits-scratch", "--json", VGG16_HOME=str(home))
        assert refused.status == 1, refused.stderr
        assert "full disk" in refused.json["error"]["message"] or mounted.returncode != 0
        assert "Traceback" not in refused.stderr
        if mounted.returncode == 0:
            assert list(home.iterdir()) == []
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", small], check=True)


def test_data_is_fetched_once_and_found_by_its_digest(vgg16: Command, tmp_path: Path) -> None:
    first = vgg16("data", "fetch", "digits", "--json", VGG16_HOME=str(tmp_path / "home")).json
    again = vgg16("data", "fetch", "digits", "--json", VGG16_HOME=str(tmp_path / "home")).json
    assert first == again
    assert first["splits"] == {"train": 1008, "val": 287, "gate": 143, "test": 359}
    assert first["classes"] == 10
    assert Path(first["address"], "manifest.json").is_file()


def test_data_is_validated_with_data_docs(vgg16: Command, tmp_path: Path) -> None:
    answer = vgg16("data", "validate", "digits", "--json", VGG16_HOME=str(tmp_path / "home")).json
    assert (answer["ok"], answer["failed"]) == (True, [])
    assert f"all {answer['checked']} expectations hold" in Path(answer["docs"]).read_text()


def test_many_predictions_end_with_counts_and_what_could_not_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    def prediction(number: int) -> dict[str, Any]:
        guess = {"label": "cat" if number % 4 else "dog", "probability": 0.75}
        source = {"size": [640, 480], "mode": "L", "done": ["converted to RGB"] if number < 3 else []}
        image, usual = f"{number}\x1b[31m.png", 0.5 if number else 0.0034
        return {"image": image, **guess, "typicality": usual, "top5": [guess], "source": source}

    failed = [{"image": "line\nbreak.png", "reason": "an empty file"}]
    show_predictions.predictions(
        {"model": "models:/m@champion", "predictions": [prediction(n) for n in range(12)], "failed": failed}
    )
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[2].split() == ["0\\x1b[31m.png", "dog", "75.0%", "0.003,", "unusual", "L", "640x480"]
    assert lines[3].split() == ["1\\x1b[31m.png", "cat", "75.0%", "0.500", "L", "640x480"]
    unusual = "1 picture is unlike what the model learned from: of those that are like it, 1 in 100 has a typicality of"
    assert lines[-5:] == [
        f"{unusual} 0.01 or less. Do not rely on what is said of it.",
        "12 pictures: cat (9), dog (3)",
        "done to them: converted to RGB (3)",
        "1 could not be read:",
        "  line\\nbreak.png: an empty file",
    ]

    unknown = [prediction(number) | {"typicality": None} for number in range(2)]
    show_predictions.predictions({"model": "models:/m@champion", "predictions": unknown, "failed": []})
    printed = capsys.readouterr().out
    assert "unusual" not in printed
    assert printed.count("typicality") == 1
    assert "`vgg16 export models:/m@champion`" in printed
