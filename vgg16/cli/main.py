"""The command line `vgg16`: its commands, and how each ends, with an exit status and a clear paragraph or one JSON
object."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

import click

from vgg16 import quiet, shown
from vgg16.cli.command import Entry, LazyGroup, Ongoing, SettingOption
from vgg16.errors import RequestError, Vgg16Error, first_line

COMMANDS = {
    "compare": Entry("vgg16.cli.run", "compare", "Runs side by side: what differed and what came out."),
    "data": Entry("vgg16.cli.data.group", "data", "Get and check datasets, and add your own."),
    "doctor": Entry("vgg16.cli.doctor", "doctor", "What is reachable, missing or broken, and the fix."),
    "down": Entry("vgg16.cli.servers", "down", "End what `vgg16 up` started; its data stay in the home."),
    "export": Entry(
        "vgg16.cli.models.export",
        "export",
        "Write a version as a file that runs without this project, proven to answer as it does.",
    ),
    "history": Entry(
        "vgg16.cli.models.registered", "history", "The ledger: every promotion and rollback, who, when and why."
    ),
    "init": Entry(
        "vgg16.cli.project", "init", "Write a commented `vgg16.toml` here, for experiments and studies of your own."
    ),
    "list": Entry("vgg16.cli.catalog", "list_", "Datasets, backbones, experiments and studies of the catalog."),
    "models": Entry("vgg16.cli.models.registered", "models", "Registered versions with their stages and verdicts."),
    "predict": Entry(
        "vgg16.cli.models.predict", "predict", "Class and probability of pictures: files, folders and globs."
    ),
    "promote": Entry(
        "vgg16.cli.models.registered",
        "promote",
        "Judge a version and, if the evidence is good enough, put it into production.",
    ),
    "report": Entry("vgg16.cli.run", "report", "One page on a run: curves, confusion, mistakes, what to do next."),
    "rollback": Entry(
        "vgg16.cli.models.registered", "rollback", "Bring back the version that was in production before."
    ),
    "run": Entry("vgg16.cli.run", "run", "The whole chain: check the data, train each experiment, judge the best."),
    "schema": Entry("vgg16.cli.project", "schema_", "Print the JSON schema of `vgg16.toml`, for editors."),
    "score": Entry(
        "vgg16.cli.models.score",
        "score",
        "Score every picture of a folder, archive, table, S3 prefix or dataset into one file.",
    ),
    "serve": Entry("vgg16.cli.models.serve", "serve", "Answer pictures over HTTP by what is in production."),
    "show": Entry(
        "vgg16.cli.catalog",
        "show_",
        "Layers, shapes, parameters and FLOPs, without training; or with --settings what can be set.",
    ),
    "status": Entry(
        "vgg16.cli.status",
        "status",
        "The last runs, trained by hand or scheduled, with their verdicts, the next, what waits in Staging, and what "
        "answers.",
    ),
    "study": Entry("vgg16.cli.run", "study", "Several experiments that answer questions, and their report."),
    "ui": Entry("vgg16.cli.servers", "ui", "The MLflow UI, opened at the comparison of the last run's members."),
    "up": Entry(
        "vgg16.cli.servers",
        "up",
        "Start the local stack: Prefect, MLflow, S3, PostgreSQL where it is installed, and workers; all on loopback.",
    ),
    "verify": Entry(
        "vgg16.cli.models.verify", "verify", "Check where a version comes from, link by link, and score it again."
    ),
}

# What a command that was cut off does when it is called again.
_GOES_ON, _FINISHES = "What is done is kept, and the same command goes on there", "The same command finishes it"
AGAIN = {
    "data": _GOES_ON,
    "export": _GOES_ON,
    "promote": _FINISHES,
    "rollback": _FINISHES,
    "run": _GOES_ON,
    "score": _GOES_ON,
    "study": _GOES_ON,
    "up": "`vgg16 down` ends what runs, and the same command starts what is missing",
}

RESEND_SECONDS = 0.1

# Errors of these libraries come from the world outside, not from a defect of ours.
OUTSIDE = ("botocore", "boto3", "mlflow", "sqlalchemy", "sqlite3", "httpx", "prefect")


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vgg16", prog_name="vgg16")
def cli() -> None:
    """Train, fine-tune, judge and promote VGG-16 image classifiers.

    Begin with:  vgg16 run digits-scratch digits-finetune

    Your own experiments: vgg16 init.

    Everything is kept in one folder, the home: VGG16_HOME, else the nearest .vgg16 upward, else a new one here, or
    beside the nearest vgg16.toml upward.
    """


class Terminated(BaseException):
    """SIGTERM. No Exception, as KeyboardInterrupt is none: nothing may take it for a failure of its own."""


def main() -> NoReturn:
    """Run a command; every failure ends as a paragraph, and with `--json` as one object, and its exit status."""
    # Prefect hands a SIGTERM on after its own handling; an exception, unlike the default, ends its server as well.
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _resend
    quiet.take_over()
    as_json = "--json" in sys.argv
    stdout = quiet.keep_for_answer() if as_json else sys.stdout
    try:
        answer = cli.main(standalone_mode=False, color=quiet.colour())
        if as_json and isinstance(answer, dict):
            # Of what goes on this is the one object: how it ends is told on standard error alone.
            as_json = not isinstance(answer, Ongoing)
            _print_json(answer, stdout)
        if isinstance(answer, Ongoing):
            answer.until_done()
        sys.exit(_delivered(stdout))
    except (KeyboardInterrupt, click.Abort):
        error, status = Vgg16Error("Interrupted.", _again()), 130
    except Terminated:
        error, status = Vgg16Error("Terminated.", _again()), 143
    except click.ClickException as refused:
        error = _as_request(refused)
        status = error.status
    except Exception as caught:
        error = _explained(caught)
        status = error.status
    if as_json:
        fields = {"kind": error.kind, "message": error.message, "hint": error.hint}
        _print_json({"error": fields, **error.facts}, stdout)
    else:
        _complain(error)
    sys.exit(status)


def _complain(error: Vgg16Error) -> None:
    click.secho(shown.message(f"vgg16: {error}"), fg="red", err=True, color=quiet.colour())


def _delivered(stdout: Any) -> int:
    """The exit status of work that is done: 1 where its answer is lost."""
    lost = stdout.finish() if isinstance(stdout, quiet.Output) else ""
    if lost:
        _complain(Vgg16Error(f"What was asked for is done, but its answer could not be written: {lost}."))
    return 1 if lost else 0


def _again() -> str:
    """What can be done after this call was cut off, with the command; "" for one that only reads."""
    # What was asked to begin anew has begun, and would not go on.
    arguments = [argument for argument in sys.argv[1:] if argument != "--fresh"]
    does = AGAIN.get(arguments[0] if arguments else "")
    return f"{does}: {shlex.join(['vgg16', *arguments])}" if does else ""


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _resend(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal once more that Python dropped, as it does with what is raised in a finalizer: boto3 runs many."""
    signum = {KeyboardInterrupt: signal.SIGINT, Terminated: signal.SIGTERM}.get(unraisable.exc_type)
    if signum is None:
        sys.__unraisablehook__(unraisable)
        return
    # Later, when the finalizer has ended: at once, it would be dropped again.
    again = threading.Timer(RESEND_SECONDS, os.kill, (os.getpid(), signum))
    again.daemon = True
    again.start()


def _print_json(answer: dict[str, Any], stdout: Any) -> None:
    text = json.dumps(_finite(shown.secretless(answer)), default=str, allow_nan=False)
    print(text, file=stdout, flush=True)


def _finite(value: Any) -> Any:
    """The value with null for each number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_request(error: click.ClickException) -> RequestError:
    context = getattr(error, "ctx", None)
    if not context:
        return RequestError(error.format_message())
    if isinstance(error, click.NoSuchOption):
        for parameter in context.command.params:
            if isinstance(parameter, SettingOption) and (setting := parameter.meant(error.option_name, sys.argv)):
                return RequestError(error.message, f"Did you mean {setting}?")
    return RequestError(error.format_message(), f"{context.command_path} --help tells more.")


def _explained(error: Exception) -> Vgg16Error:
    """Our own errors as they are; a package that is missing; of the world outside, what failed; else a defect, with its
    trace."""
    if isinstance(error, Vgg16Error):
        return error
    name = type(error).__name__
    if isinstance(error, ModuleNotFoundError) and _is_absent(error.name or ""):
        return RequestError(
            f"`vgg16 {sys.argv[1]}` needs the package {error.name}, which is not installed.",
            "`pip install vgg16` brings what most commands need; an image of the service has what `vgg16 serve` needs.",
        )
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in OUTSIDE:
        reason = first_line(error) if str(error).strip() else "no further word"
        return Vgg16Error(f"{name}: {reason}.", "`vgg16 doctor` tells what is wrong.")
    sys.stderr.write(shown.trace("".join(traceback.format_exception(error))))
    return Vgg16Error(f"A defect of vgg16: {name}: {error}.", "Please report it with the trace above.")


def _is_absent(module: str) -> bool:
    """Whether a module that was not found is a package that is not there; not one of ours, nor a part of one."""
    return "." not in module and module not in ("", "vgg16", "flows")


if __name__ == "__main__":
    main()
