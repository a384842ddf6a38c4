"""The command line `vgg16`: a thin door to the flows and the library. Heavy imports happen inside the commands.

Every command answers one dictionary: printed for a person by its `show` function, or as one JSON object on standard
output with `--json`, where everything else goes to standard error.
"""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import click

from vgg16.cli import show as display
from vgg16.errors import RefusedError, RequestError, Vgg16Error

Answer = dict[str, Any]


def answers(
    show: Callable[[Answer], None], refused: Callable[[Answer], None] | None = None
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a command its `--json` and print what it answers; `refused` prints the facts that came with an error."""

    def decorate(command: Callable[..., Answer]) -> Callable[..., Answer]:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
        @functools.wraps(command)
        def run(*args: Any, as_json: bool, **kwargs: Any) -> Answer:
            try:
                answer = command(*args, **kwargs)
            except Vgg16Error as error:
                if refused and error.facts and not as_json:
                    refused(error.facts)
                raise
            if not as_json:
                show(answer)
            return answer

        return run

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vgg16", prog_name="vgg16")
def cli() -> None:
    """Train, fine-tune, judge and promote VGG-16 image classifiers.

    Begin with:  vgg16 run digits-scratch digits-finetune

    Everything is kept in one folder, the home: VGG16_HOME, else the nearest .vgg16 upward, else a new one here.
    """


# The catalog


@cli.command("list")
@click.argument("kind", required=False, type=click.Choice(["datasets", "backbones", "experiments", "studies"]))
@answers(display.catalog)
def list_(kind: str | None) -> Answer:
    """Datasets, backbones, experiments and studies of the catalog."""
    from vgg16.config import course, rows

    listed: Answer = {
        "datasets": [
            {"name": row.name, "classes": len(row.class_names), "image_size": row.image_size, "about": row.description}
            for row in rows.DATASETS.values()
        ],
        "backbones": [
            {
                "name": row.name,
                "blocks": len(row.blocks) or row.depth,
                "imagenet": row.pretrained is not None,
                "about": row.description,
            }
            for row in rows.BACKBONES.values()
        ],
        "experiments": [
            {
                "name": row.name,
                "dataset": row.dataset.name,
                "backbone": row.backbone.name,
                "base": row.base,
                "epochs": row.epochs,
                "about": row.description,
            }
            for row in rows.EXPERIMENTS.values()
        ],
        "studies": [
            {
                "name": row.name,
                "dataset": row.members[0].dataset.name,
                "questions": ", ".join(each.name for each in row.questions),
                "members": len(row.members) + sum(bool(each.best_of) for each in row.questions),
                "about": row.description,
            }
            for row in course.STUDIES.values()
        ],
    }
    return {kind: listed[kind]} if kind else listed


@cli.command()
@click.argument("name", metavar="EXPERIMENT|BACKBONE")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting of the experiment.")
@answers(display.model)
def show(name: str, overrides: tuple[str, ...]) -> Answer:
    """Layers, shapes, parameters and FLOPs, without training."""
    from vgg16.config import catalog, rows
    from vgg16.config.types import Backbone, BackboneChoice
    from vgg16.workplace import reach
    from vgg16.workplace.tensorflow import import_tensorflow

    row = catalog.find({**rows.BACKBONES, **rows.EXPERIMENTS}, "experiment or backbone", name)
    if isinstance(row, Backbone):
        if overrides:
            raise RequestError("--set belongs to an experiment.", f"There are: {', '.join(rows.EXPERIMENTS)}.")
        options, head = BackboneChoice(name=name), row.head
        input_size, image_size, classes = row.image_size, None, row.classes
    else:
        (experiment,), _ = catalog.choose([name], overrides)
        row, options, head = catalog.backbone(experiment.backbone.name), experiment.backbone, experiment.head
        learned = catalog.dataset(experiment.dataset.name)
        input_size, image_size, classes = learned.image_size, experiment.image_size, len(learned.class_names)
    reach.prepare(writes=False)
    import_tensorflow()
    from vgg16.network.build import build
    from vgg16.network.describe import describe

    model = build(row, options, head, input_size=input_size, image_size=image_size, classes=classes)
    return describe(model, name).model_dump(mode="json")


# Data


@cli.group()
def data() -> None:
    """Get and check datasets."""


def of_a_source(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command the options that say where a dataset comes from, and refuse them where they are wrong."""

    @click.argument("dataset")
    @click.option(
        "--source", default="", metavar="URI", help="The archive: a path, file://, https:// or s3:// address."
    )
    @click.option("--sha256", default="", metavar="HEX", help="What the archive's sha256 must be.")
    @functools.wraps(command)
    def run(dataset: str, source: str, sha256: str) -> Answer:
        from vgg16.steps.fetch import check_request

        check_request(dataset, source, sha256)
        return command(dataset, source, sha256)

    return run


@data.command()
@answers(display.fetched)
@of_a_source
def fetch(dataset: str, source: str, sha256: str) -> Answer:
    """Get a dataset, split it and keep it in the store.

    Without --source: the dataset as it was fetched before, else from its official address.
    """
    from vgg16.config.types import DatasetChoice

    _open_console()
    from flows import progress
    from vgg16.steps.fetch import fetch as fetch_dataset
    from vgg16.workplace.workplace import open_workplace

    workplace = open_workplace(progress)
    store = workplace.store
    ref = fetch_dataset(DatasetChoice(name=dataset), source, sha256, workplace)
    return {
        "dataset": ref.name,
        "digest": ref.digest,
        "splits": ref.splits,
        "classes": len(ref.class_names),
        "address": f"{store.address}/{ref.key}",
    }


@data.command()
@answers(display.validated, refused=display.validated)
@of_a_source
def validate(dataset: str, source: str, sha256: str) -> Answer:
    """Check a dataset against its expectations and write its Data Docs."""
    from vgg16.config.types import DatasetChoice

    _speak()
    from flows.ingest import ingest

    _, report = ingest(DatasetChoice(name=dataset), source, sha256)
    return report.model_dump(mode="json")


# The chain


@cli.command()
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting, such as phases.0.epochs=2.")
@click.option("--fresh", is_flag=True, help="Train from the start what an earlier run was cut off in.")
@answers(display.run, refused=display.validated)
def run(experiments: tuple[str, ...], overrides: tuple[str, ...], fresh: bool) -> Answer:
    """The whole chain: check the data, train each experiment, judge the best.

    What an earlier run was cut off in goes on where it was.
    """
    from vgg16.config import catalog

    catalog.choose(experiments, overrides)
    home = _speak().home
    from flows.retrain import retrain

    # A flow that names its end gives its caller a state.
    state: Any = retrain(list(experiments), list(overrides), fresh=fresh, return_state=True)
    answer: Answer = state.result()
    return {**answer, "home": str(home), "samples": str(home / "samples" / answer["dataset"]["name"])}


@cli.command("study")
@click.argument("name", metavar="STUDY")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting of every member, or language=en|fr."
)
@click.option("--fresh", is_flag=True, help="Train all members anew.")
@answers(display.study, refused=display.validated)
def study_(name: str, overrides: tuple[str, ...], fresh: bool) -> Answer:
    """Several experiments that answer questions, and their report. What is trained already is not trained again."""
    from vgg16.config import studies

    studies.choose(name, list(overrides))
    _speak()
    from flows.study import study as study_flow

    answer: Answer = study_flow(name, list(overrides), fresh)
    return answer


@cli.command()
@click.argument("runs", nargs=-1, metavar="[RUN ...]")
@answers(display.compare)
def compare(runs: tuple[str, ...]) -> Answer:
    """Runs side by side: what differed and what came out. Without RUN, the members of the last run."""
    tracked = _tracker().runs
    found = [tracked.find(run) for run in runs] or tracked.last_chain()
    from vgg16.reports import recipes

    ended = [(run.params, run.metrics["best_val_top1"]) for run in found]
    return {"runs": [_run_facts(run) for run in found], "recipes": recipes.recipes(ended)}


def _run_facts(run: Any) -> Answer:
    return {
        "run_id": run.run_id,
        "name": f"{run.run_name} {run.run_id[:4]}",
        "experiment": run.experiment,
        "status": run.status,
        "verdict": run.verdict,
        "model": run.registered,
        "params": run.params,
        "metrics": run.metrics,
    }


@cli.command()
@answers(display.status)
def status() -> Answer:
    """The last ten scheduled runs with their verdicts, and the next."""
    from vgg16.workplace import reach

    if not reach.prepare(writes=False).prefect_server:
        return {"runs": [], "next": None, "server": ""}
    from flows.server import scheduled

    return scheduled()


# Models


@cli.command()
@click.argument("name", required=False)
@answers(display.models)
def models(name: str | None) -> Answer:
    """Registered versions with their stages and verdicts."""
    registry = _registry()
    names = [name] if name else registry.names()
    found = [version for each in names for version in registry.known_versions(each)]
    return {"models": [version.model_dump(mode="json") for version in found]}


@cli.command()
@click.argument("name")
@click.argument("version")
@click.option("--stage", type=click.Choice(["staging", "production"]), default="production", show_default=True)
@click.option("--force", is_flag=True, help="Promote whatever the verdict; kept in the ledger with the reason.")
@click.option("--reason", default="", help="Why; asked for with --force.")
@answers(display.decision, refused=display.decision)
def promote(name: str, version: str, stage: Literal["staging", "production"], force: bool, reason: str) -> Answer:
    """Judge a version and, if the evidence is good enough, put it into production."""
    if force and not reason.strip():
        raise RequestError("--force expects a --reason, which the ledger keeps.", 'For example: --reason "demo today"')
    _speak()
    _registry().version(name, version)
    from flows.promote import promote as promote_flow

    decision: Any = promote_flow(name, version, stage, force, reason)
    if decision.verdict != "promote" and not force:
        why = "may not be promoted" if decision.verdict == "refuse" else "is not promoted, for it is undecided"
        raise RefusedError(
            f"{name} version {version} {why}: {'; '.join(decision.reasons)}.",
            "--force --reason TEXT promotes it all the same, and the ledger keeps that.",
            decision.model_dump(mode="json"),
        )
    answer: Answer = decision.model_dump(mode="json")
    return answer


@cli.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; kept in the ledger.")
@answers(display.rolled_back)
def rollback(name: str, reason: str) -> Answer:
    """Bring back the version that was in production before."""
    _speak()
    _registry().check_name(name)
    from flows.promote import rollback as rollback_flow

    answer: Answer = rollback_flow(name, reason).model_dump(mode="json")
    return answer


@cli.command()
@click.argument("name")
@answers(display.history)
def history(name: str) -> Answer:
    """The ledger: every promotion and rollback, who, when and why."""
    _registry().check_name(name)
    from vgg16.promotion import ledger
    from vgg16.workplace.workplace import open_workplace

    entries = ledger.entries(open_workplace().store, name)
    return {"entries": [entry.model_dump(mode="json") for entry in entries]}


@cli.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--model", "model_uri", metavar="URI", help="models:/NAME/VERSION, models:/NAME@champion or runs:/RUN/model."
)
@answers(display.predictions)
def predict(images: tuple[str, ...], model_uri: str | None) -> Answer:
    """Class and probability of pictures: files, folders and globs. Without --model, by the only champion there is.

    Any size and colours: the middle square is cut out, resized to what the model sees, and transparency becomes
    white. Files that cannot be read are listed with the reason.
    """
    from flows import progress
    from vgg16.data.pictures import find_pictures
    from vgg16.workplace.tensorflow import import_tensorflow

    paths = find_pictures(images)
    registry = _registry()
    uri = model_uri or _only_champion(registry.champions())
    import_tensorflow()
    from vgg16.evaluation.predict import predict_pictures

    model, class_names = registry.load(uri)
    progress.console.quiet = False
    with progress.counting("pictures") as on_step:
        predictions, failed = predict_pictures(model, class_names, paths, on_step)
    return {
        "model": uri,
        "predictions": [each.model_dump(mode="json") for each in predictions],
        "failed": [each.model_dump(mode="json") for each in failed],
    }


def _only_champion(champions: list[Any]) -> str:
    found = [f"models:/{version.name}@champion" for version in champions]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RequestError("No model is in production.", "Train one: vgg16 run digits-scratch digits-finetune")
    raise RequestError("Several models are in production.", f"Name one with --model: {', '.join(found)}.")


# The house


@cli.command()
@click.option("--stop", is_flag=True, help="End the UI that an earlier call started.")
@answers(lambda answer: click.echo(answer["url"] or "stopped"))
def ui(stop: bool) -> Answer:
    """The MLflow UI, opened at the comparison of the last run's members."""
    from vgg16.stack import mlflow_ui
    from vgg16.workplace import settings

    known = settings.load()
    if stop:
        mlflow_ui.stop(known)
        return {"url": ""}
    runs = _tracker().runs
    page = runs.comparison(runs.last_chain())
    url = mlflow_ui.start(known) + page
    if sys.stdout.isatty() and (
        sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        click.launch(url)
    return {"url": url}


@cli.command()
@answers(display.started)
def up() -> Answer:
    """Start the local stack: Prefect, MLflow, S3, PostgreSQL where it is installed, and workers; all on loopback.

    Every command of this home uses it from then on. Started twice it starts only what is missing.
    """
    from flows import progress
    from vgg16.stack import stack
    from vgg16.workplace import settings

    known = settings.load()
    progress.console.quiet = False
    services = stack.up(known.home, progress.say)
    return {"services": services, "env": str(known.home / "stack" / "env")}


@cli.command()
@answers(display.ended)
def down() -> Answer:
    """End what `vgg16 up` started; its data stay in the home."""
    from flows import progress
    from vgg16.stack import stack
    from vgg16.workplace import settings

    progress.console.quiet = False
    return {"services": stack.down(settings.load().home, progress.say)}


@cli.command()
@answers(display.checks, refused=display.checks)
def doctor() -> Answer:
    """What is reachable, missing or broken, and the mend."""
    from vgg16.cli.doctor import checks

    found = [check.model_dump() for check in checks()]
    broken = [check["name"] for check in found if not check["ok"]]
    if broken:
        raise Vgg16Error(f"{len(broken)} of {len(found)} checks failed: {', '.join(broken)}.", "", {"checks": found})
    return {"checks": found}


# What all commands share


def _open_console() -> Any:
    """Settings applied, and the console told to report progress."""
    from vgg16.workplace import reach

    applied = reach.prepare()
    from flows.progress import console

    console.quiet = False
    return applied


def _speak() -> Any:
    """An open console, whose lines Prefect's own would only repeat, and a server for the flows."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    applied = _open_console()
    if not applied.prefect_server:
        _start_temporary_server()
    return applied


def _start_temporary_server() -> None:
    """Start Prefect's temporary server, which the flows then find, in a session of its own.

    A terminal's Ctrl-C goes to all processes of its group: a server among them would be gone before the flow had
    told it how it ended, and Prefect would try to reach it for minutes.
    """
    from unittest import mock

    from prefect.server.api.server import SubprocessASGIServer

    with mock.patch("subprocess.Popen", functools.partial(subprocess.Popen, start_new_session=True)):
        SubprocessASGIServer().start()


def _registry() -> Any:
    return _tracker().registry


def _tracker() -> Any:
    from vgg16.workplace import reach

    # Before Prefect is imported, or it would speak of telemetry and write outside the home.
    reach.prepare(writes=False)
    from vgg16.workplace.workplace import open_workplace

    return open_workplace().tracker


class Terminated(BaseException):
    """SIGTERM. No Exception, as KeyboardInterrupt is none: nothing may take it for a failure of its own."""


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _print_json(answer: Answer, stdout: Any) -> None:
    print(json.dumps(_finite(answer), default=str, allow_nan=False), file=stdout, flush=True)


def _finite(value: Any) -> Any:
    """The value with null for each number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> NoReturn:
    """Run a command; every failure ends as a paragraph, and with `--json` as one object, and its exit status."""
    # Prefect hands a SIGTERM on after its own handling; an exception, unlike the default, ends its server as well.
    signal.signal(signal.SIGTERM, _terminate)
    as_json = "--json" in sys.argv
    stdout = _stdout_for_json() if as_json else sys.stdout
    try:
        answer = cli.main(standalone_mode=False)
        if as_json and isinstance(answer, dict):
            _print_json(answer, stdout)
        sys.exit(0)
    except (KeyboardInterrupt, click.Abort):
        error, status = Vgg16Error("Interrupted."), 130
    except Terminated:
        error, status = Vgg16Error("Terminated."), 143
    except click.ClickException as refused:
        error = RequestError(refused.format_message(), _usage(refused))
        status = error.status
    except Exception as caught:
        error = _explained(caught)
        status = error.status
    if as_json:
        told = {"kind": error.kind, "message": error.message, "hint": error.hint}
        _print_json({"error": told, **error.facts}, stdout)
    else:
        click.secho(f"vgg16: {error}", fg="red", err=True)
    sys.exit(status)


def _stdout_for_json() -> Any:
    """The real standard output; whatever else is printed, by a library in C too, goes to standard error."""
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return kept


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help tells more." if context else ""


def _explained(error: Exception) -> Vgg16Error:
    """Our own errors as they are; of the world outside, what failed; else a defect, with its trace."""
    if isinstance(error, Vgg16Error):
        return error
    outside = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError) or outside in (
        "botocore",
        "boto3",
        "mlflow",
        "sqlalchemy",
        "sqlite3",
        "httpx",
        "prefect",
    ):
        text = str(error).strip().splitlines()
        return Vgg16Error(
            f"{type(error).__name__}: {text[0] if text else 'no further word'}.", "`vgg16 doctor` tells what is wrong."
        )
    traceback.print_exception(error)
    return Vgg16Error(f"A defect of vgg16: {type(error).__name__}: {error}.", "Please report it with the trace above.")


if __name__ == "__main__":
    main()
