"""The flow `score`: every picture of a source is answered by a model, into one file, by a schedule or by hand; and
where the source tells true classes it is said whether the model still holds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import WithJsonSchema

from vgg16 import shown
from vgg16.config.types import Split
from vgg16.errors import RequestError
from vgg16.flows import tasks
from vgg16.flows.progress import say
from vgg16.flows.server import tell_of, without_login
from vgg16.steps.scoring.in_markdown import in_markdown
from vgg16.steps.scoring.records import EngineName, ScoreRequest, ScoreResult
from vgg16.workplace import reach

# What the form of the deployment offers, with help on each field.
Source = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "description": "What is scored: `s3://bucket/prefix`, a dataset by its name, or a folder, archive or table "
            "(CSV, Parquet) on the worker's machine. Keys of S3 come from the worker's environment.",
        }
    ),
]
Output = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"\.(parquet|csv|jsonl|ndjson)$",
            "description": "The file of the answers, such as `s3://bucket/scores/{date}.parquet`: `{date}` and "
            "`{time}` are when the run was due, in UTC. Without them each run replaces the file of the one before.",
        }
    ),
]
Model = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "description": "`models:/NAME@champion`, `models:/NAME/VERSION` or `runs:/RUN/model`; empty for the only "
            "model in production.",
        }
    ),
]
Probabilities = Annotated[
    bool, WithJsonSchema({"type": "boolean", "description": "A column for the probability of each class."})
]
Computes = Annotated[
    Literal["faster", "onnx", "keras"],
    WithJsonSchema(
        {
            "type": "string",
            "enum": ["faster", "onnx", "keras"],
            "description": "What computes; `faster` takes the proven ONNX file where one is kept.",
        }
    ),
]
Images = Annotated[
    Literal["all", "train", "val", "gate", "test"],
    WithJsonSchema(
        {
            "type": "string",
            "enum": ["all", "train", "val", "gate", "test"],
            "description": "Of a dataset the images of this split alone.",
        }
    ),
]
ENDS = {"holds": "Holds", "worse": "Worse", "undecided": "Undecided"}


def _name() -> str:
    return f"score {shown.without_secrets(str(runtime.flow_run.parameters['source']))}"


@flow(name="score", flow_run_name=_name)
def score(  # noqa: PLR0917  # the fields of the deployment's form
    source: Source,
    output: Output,
    model: Model = "",
    probabilities: Probabilities = False,
    engine: Computes = "faster",
    split: Images = "all",
) -> Any:
    """Score every picture of a source into a file; what was cut off goes on where it was, on the same worker.

    The run ends as `Holds`, `Worse` or `Undecided` where the source tells true classes and the model was judged: each
    is a success that says what it found. Raises RequestError for a source, model or output that is none.
    """
    reach.prepare()
    request = ScoreRequest(
        source=without_login(source),
        output=named(without_login(output), runtime.flow_run.scheduled_start_time),
        model=model or tasks.find_champion(),
        split=_split(split),
        engine=_engine(engine),
        probabilities=probabilities,
    )
    result = tasks.score_pictures(request)
    create_markdown_artifact(key=_key(result), markdown=in_markdown(request, result), description=request.output)
    return _ended(result)


def named(output: str, due: datetime) -> str:
    """The name of a file with the date and time that a run was due, in UTC, for `{date}` and `{time}`. Raises
    RequestError for anything else in braces."""
    names = {"{date}": f"{due:%Y-%m-%d}", "{time}": f"{due:%H%M}"}
    for found in re.findall(r"\{[^{}]*\}", output):
        if found not in names:
            raise RequestError(f"output: expected {{date}} or {{time}} in braces, found {found}.")
        output = output.replace(found, names[found])
    return output


def _split(split: str) -> Split | None:
    splits: dict[str, Split] = {"train": "train", "val": "val", "gate": "gate", "test": "test"}
    return splits.get(split)


def _engine(engine: str) -> EngineName | None:
    engines: dict[str, EngineName] = {"onnx": "onnx", "keras": "keras"}
    return engines.get(engine)


def _key(result: ScoreResult) -> str:
    """What the artifacts of one model have in common, in letters that Prefect takes."""
    return "scores-" + re.sub(r"[^a-z0-9]+", "-", result.model.removeprefix("models:/").rpartition("/")[0].lower())


def _ended(result: ScoreResult) -> Any:
    rows = f"{result.rows:,} rows in {result.output}"
    say(f"score       {rows}")
    if not result.observed:
        return Completed(message=rows, data=result)
    holds, reason = result.observed["holds"], f"{result.model}: {result.observed['reason']}"
    say(f"holds       {holds['verdict'] if holds else 'not compared'}: {reason}")
    if not holds:
        return Completed(message=rows, data=result)
    if holds["verdict"] == "worse":
        tell_of("got-worse", result.model.removeprefix("models:/").partition("/")[0], f"{reason}; {rows}")
    return Completed(name=ENDS[holds["verdict"]], message=f"{reason}; {rows}", data=result)
