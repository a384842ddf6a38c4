"""What a person at a terminal expects of any command: a word at once, a next step at the end, and what was meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vgg16.cli import main
from vgg16.cli.main import AGAIN, COMMANDS
from vgg16.cli.show import runs as show_runs
from vgg16.cli.show import versions as show_versions
from vgg16.config import catalog
from vgg16.flows import study

HEAVY = ("tensorflow", "keras", "mlflow", "prefect", "great_expectations", "boto3", "pandas")
# In one process: what was imported for one command would be seen at the next.
BEGINS = """
import sys
from vgg16.cli.main import cli
from vgg16.flows import progress

class Said(BaseException):
    pass

def say(text):
    raise Said(text)

progress.say = progress.working = say
for line in sys.stdin:
    try:
        cli.main(line.split(), standalone_mode=False)
    except Said as said:
        print(line.split()[0], [name for name in {heavy} if name in sys.modules], said)
"""
BEGIN = [
    "run digits-scratch digits-finetune --set seed=2",
    "study course",
    "data add pets .",
    "data fetch digits",
    "data validate digits",
    "promote vgg16-digits 1",
    "rollback vgg16-digits",
    "models",
    "history vgg16-digits",
    "compare",
    "report",
    "serve vgg16-digits",
    "status",
    f"predict {__file__}",
    "show vgg16",
    "ui",
    "up",
    "down",
    "doctor",
]


def test_every_command_that_takes_its_time_says_so_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINS.format(heavy=HEAVY)],
        input="\n".join(BEGIN),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == [line.split()[0] for line in BEGIN]
    assert all(line.split(maxsplit=1)[1].startswith("[] ") for line in said), said
    assert said[0].endswith("run         digits-scratch, digits-finetune")
    assert said[1].endswith("study       course: 16 members")


def test_what_is_said_for_a_while_on_a_terminal_is_said_nowhere_else(capfd: pytest.CaptureFixture[str]) -> None:
    from vgg16.flows import progress

    with progress.working("thinking") as say:
        say("still thinking")
    assert capfd.readouterr() == ("", "")


CUT_OFF = {
    ("run", "digits-scratch", "--set", "base=my weights.h5", "--fresh"): (
        "vgg16: Interrupted. What is done is kept, and the same command goes on there: "
        "vgg16 run digits-scratch --set 'base=my weights.h5'\n"
    ),
    ("study", "course"): (
        "vgg16: Interrupted. What is done is kept, and the same command goes on there: vgg16 study course\n"
    ),
    ("data", "add", "pets", "photos"): (
        "vgg16: Interrupted. What is done is kept, and the same command goes on there: vgg16 data add pets photos\n"
    ),
    ("promote", "m", "1"): "vgg16: Interrupted. The same command finishes it: vgg16 promote m 1\n",
    ("up",): "vgg16: Interrupted. `vgg16 down` ends what runs, and the same command starts what is missing: vgg16 up\n",
    ("list",): "vgg16: Interrupted.\n",
}


def status_of(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit status of the program in this process, whose handlers of signals and hooks stay as they are."""
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys, "argv", ["vgg16", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code


@pytest.mark.parametrize("arguments", CUT_OFF)
def test_what_was_interrupted_ends_with_the_command_that_goes_on(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.cli, "main", interrupted)
    assert status_of(arguments, monkeypatch) == 130
    assert capsys.readouterr().err == CUT_OFF[arguments]


def test_only_commands_that_there_are_go_on() -> None:
    assert AGAIN.keys() <= COMMANDS.keys()


MEANT = {
    ("run", "digits-scratch", "--epochs", "3"): "Did you mean --set phases.0.epochs=3?",
    ("run", "digits-scratch", "--lr=0.1"): "Did you mean --set phases.0.optimizer.learning_rate=0.1?",
    ("show", "digits-scratch", "--batch-size", "32"): "Did you mean --set batch_size=32?",
    ("study", "course", "--learning-rate", "1e-3"): "Did you mean --set phases.0.optimizer.learning_rate=1e-3?",
    ("run", "digits-scratch", "--seed"): "Did you mean --set seed=VALUE?",
    ("run", "digits-scratch", "--sett", "seed=2"): "Did you mean '--set'?",
    ("promote", "m", "1", "--stag", "staging"): "Did you mean '--stage'?",
    ("rn", "digits-scratch"): "Did you mean run?",
    ("studdy",): "Did you mean study",
    ("data", "ad"): "Did you mean add?",
}


@pytest.mark.parametrize("arguments", MEANT)
def test_what_is_misspelt_is_answered_with_what_was_meant(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(arguments, monkeypatch) == 2
    assert MEANT[arguments] in capsys.readouterr().err


ENDS = {
    ("promote", "Staging"): "vgg16 promote vgg16-digits 2\n",
    ("undecided", "Staging"): 'vgg16 promote vgg16-digits 2 --force --reason "why"\n',
    ("refuse", "Archived"): "vgg16 run digits-adam --set seed=2\n",
}


@pytest.mark.parametrize(("verdict", "stage"), ENDS)
def test_a_run_that_promotes_nothing_ends_with_what_can_be_done(
    verdict: str, stage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # where it is called by its name
    runs = [
        {"experiment": name, "run_id": "f" * 32, "status": "finished", "metrics": {}}
        | {"model": {"name": "vgg16-digits", "version": version}}
        for name, version in (("digits-scratch", "1"), ("digits-adam", "2"))
    ]
    answer: dict[str, Any] = {"dataset": {"name": "digits", "digest": "d" * 64}, "runs": runs, "report": ""}
    answer |= {"challenger": {"name": "vgg16-digits", "version": "2"}, "verdict": verdict, "stage": stage}
    answer |= {
        "reasons": ["few images"],
        "warnings": [],
        "seconds": {"total": 1},
        "home": "/h",
        "docs": "",
        "docs_page": "",
    }
    show_runs.run(answer | {"production": "", "samples": ""})
    assert ENDS[verdict, stage] in capsys.readouterr().out


def test_what_was_forced_is_not_said_to_be_promoted_by_the_gates(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {
        "name": "m",
        "version": "2",
        "verdict": "refuse",
        "stage": "Production",
        "reasons": [],
        "warnings": [],
        "report": "",
    }
    show_versions.decision(answer | {"forced": True})
    assert capsys.readouterr().out == "m version 2: promoted by force (the gates refuse it), stage Production\n"


def test_a_study_says_how_many_members_are_done_and_how_long_the_others_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    now = [100.0]
    question = catalog.SHIPPED.studies["course"].questions[0]
    requests: Any = [SimpleNamespace(experiment=member) for member in question.members]
    first, *others = (member.name for member in question.members)

    def try_each(missing: Any, on_ended: Callable[[], None]) -> Any:
        for _ in missing:
            now[0] += 180
            on_ended()
        return [], {request.experiment.name: RuntimeError("no network") for request in missing}

    def found(request: Any) -> Any:
        return SimpleNamespace(run_id="f" * 32, experiment=first) if request.experiment.name == first else None

    monkeypatch.setattr(study, "say", said.append)
    monkeypatch.setattr(study.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(study, "with_base", lambda request: request)
    monkeypatch.setattr(study, "try_each", try_each)
    monkeypatch.setattr(study.tasks, "find_trained", found)
    monkeypatch.setattr(study, "Member", lambda **values: values)
    count = study._Count(16)
    now[0] += 500  # spent on data
    study._answered(question, requests, count)
    assert said[0] == f"study       1 of 16: {first} is trained already, in run ffffffff"
    assert said[1] == "study       2 of 16 done, about 42 minutes left"
    assert said[-1] == f"training    {', '.join(others)} are left out: no network"
    while count.done < 15:
        count.made()
    count.made()
    assert said[-1] == "study       16 of 16 done"
