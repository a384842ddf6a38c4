"""Every picture of a source, scored into a file."""

from __future__ import annotations

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import predictions as show_predictions
from vgg16.config.types import SPLITS, Split
from vgg16.flows import progress
from vgg16.steps.champion import only_champion
from vgg16.steps.scoring.records import EngineName, ScoreRequest
from vgg16.steps.scoring.score import score as score_all
from vgg16.steps.scoring.target import open_target
from vgg16.workplace.workplace import open_workplace

# What is said where the source tells true classes, else null.
_OF_LABELS = (
    *("metrics", "new", "met", "unknown", "unusual", "unlabelled", "unread"),
    *("classes", "confusion", "holds", "reason", "page"),
)


@click.command()
@click.argument("source")
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    help="A path or s3://bucket/key that ends in .parquet, .csv or .jsonl.",
)
@click.option(
    "--model", "model_uri", metavar="URI", help="models:/NAME/VERSION, models:/NAME@champion or runs:/RUN/model."
)
@click.option("--probabilities", is_flag=True, help="A column for the probability of each class.")
@click.option(
    "--engine", type=click.Choice(["onnx", "keras"]), help="What computes; else the faster one for so many pictures."
)
@click.option("--split", type=click.Choice(SPLITS), help="Of a dataset this split alone.")
@answers(show_predictions.scored)
def score(
    source: str,
    output: str,
    *,
    model_uri: str | None,
    probabilities: bool,
    engine: EngineName | None,
    split: Split | None,
) -> Answer:
    """Score every picture of a folder, archive, table, S3 prefix or dataset into one file. Without --model, by the only
    champion there is.

    SOURCE is a folder, a zip or tar archive, s3://bucket/prefix, a CSV or Parquet table of paths below its own folder,
    or the name of a dataset.

    The columns are path, label, probability, typicality and error: a picture that cannot be read has a row with the
    reason. What was cut off goes on where it was.

    Where folders are called like the model's classes, or a table has a column of labels: how good it is there, what it
    confuses, and whether it is still as good as when it was judged, on a page too.
    """
    open_target(output)
    prepare.open_console(f"score       {source}")
    workplace = open_workplace(progress)
    uri = model_uri or only_champion(workplace.tracker.registry.champions())
    request = ScoreRequest(
        source=source, output=output, model=uri, split=split, engine=engine, probabilities=probabilities
    )
    result = score_all(request, workplace)
    return {
        "rows": result.rows,
        "failed": result.failed,
        "left_out": result.left_out,
        "output": result.output,
        "bytes": result.bytes,
        "sha256": result.sha256,
        "model": result.model,
        "model_digest": result.digest,
        "engine": result.engine,
        "typicality": result.typicality,
        "flagged": result.flagged,
        "labels": result.labels,
        "reasons": [{"path": path, "error": error} for path, error in result.reasons],
        "scored": result.scored,
        "seconds": round(result.seconds, 3),
        "images_per_s": round(result.images_per_s, 1),
        "already": result.already,
        **{key: result.observed.get(key) for key in _OF_LABELS},
    }
