"""New pictures beside those that what is in production was judged on."""

from __future__ import annotations

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import drift as show_drift
from vgg16.flows import progress
from vgg16.steps.drift import drift as drifting
from vgg16.steps.scoring.records import ScoreRequest
from vgg16.tracking.protocol import model_name
from vgg16.workplace.workplace import open_workplace


@click.command()
@answers(show_drift.drifted)
@click.argument("dataset", metavar="NAME")
@click.argument("source")
@click.option(
    "--model",
    "model_uri",
    metavar="URI",
    help="models:/NAME/VERSION or models:/NAME@ALIAS of the dataset NAME; without it what NAME has in production.",
)
def drift(dataset: str, source: str, model_uri: str | None) -> Answer:
    """Tell whether new, unlabelled pictures are like those that the model in production was judged on, what moved if
    they are not, and which to label first, on a page too. Nothing learns from them.

    SOURCE is a folder, a zip or tar archive, s3://bucket/prefix, a CSV or Parquet table of paths, or a dataset.

    Verdicts: steady; drifted, which is wrong in at most one of two thousand looks at the same kind of pictures; or
    undecided, where the pictures or the gate are too few to tell. Near-equal pictures count once.
    """
    prepare.open_console(f"drift       {ScoreRequest(source=source, output='', model='').place}")
    workplace = open_workplace(progress)
    result = drifting.drift(dataset, source, model_uri or f"models:/{model_name(dataset)}@champion", workplace)
    look, estimate = result.look, result.estimate
    return {
        "dataset": dataset,
        "model": result.model,
        "verdict": look.verdict,
        "alarms": [
            {
                "fact": one.fact,
                "before": one.before,
                "now": one.now,
                "distance": one.distance,
                "at": one.at,
                "share_before": one.share_before,
                "share_now": one.share_now,
                "p": one.p,
                "pictures": list(result.farthest[one.fact]),
            }
            for one in look.moved
        ],
        "estimated_top1": estimate and {"value": estimate.value, "interval": list(estimate.interval)},
        "gate_top1": result.gate_top1,
        "images": result.measured,
        "counted": look.images,
        "pictures": result.pictures,
        "unreadable": [{"path": path, "error": why} for path, why in result.unreadable],
        "reference_images": look.reference,
        "alpha": look.alpha,
        "detectable": look.detectable,
        "label_first": list(result.label_first),
        "page": result.page,
    }
