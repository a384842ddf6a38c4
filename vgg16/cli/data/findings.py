"""What is found in a dataset, copies and likely label errors, and what a person decides on it."""

from __future__ import annotations

import click

from vgg16.checks.duplicates.search import FALSE_SHARE
from vgg16.cli import prepare, project
from vgg16.cli.command import Answer, answers
from vgg16.cli.data.sources import with_source
from vgg16.cli.show import datasets as show_datasets
from vgg16.cli.show import reviews as show_reviews
from vgg16.config import catalog
from vgg16.config.types import DatasetChoice, Experiment
from vgg16.errors import RequestError, Vgg16Error
from vgg16.flows import progress
from vgg16.records import DatasetRef
from vgg16.steps.data import check as checking
from vgg16.steps.data import fetch as fetching
from vgg16.steps.data import review as reviewing
from vgg16.steps.watch import accept as accepting
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace, open_workplace

CHECKS = ("duplicates", "labels")


def _checks(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """The checks that are named, without repeats; None where none is."""
    if value is None:
        return None
    named = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if unknown := [name for name in named if name not in CHECKS]:
        expected = f"{' or '.join(CHECKS)}, or both with a comma between them"
        raise click.BadParameter(f"expected {expected}, found {unknown[0]!r}.")
    return named


@click.command()
@answers(show_datasets.checked)
@click.option(
    "--for",
    "wanted",
    callback=_checks,
    metavar="duplicates,labels",
    help="What to look for: near-duplicates, likely label errors. Without it both.",
)
@project.with_settings("A setting of the recipe whose base sees the images for labels, such as base=FILE.")
@click.option(
    "--false-share",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=FALSE_SHARE,
    show_default=True,
    metavar="SHARE",
    help="How many of the pairs may be copies by chance alone: fewer of them, and some true ones are missed.",
)
@with_source
def check(
    dataset: str,
    source: str,
    sha256: str,
    *,
    wanted: tuple[str, ...] | None,
    overrides: tuple[str, ...],
    false_share: float,
) -> Answer:
    """Find near-duplicates, resaved, shifted, mirrored or cropped copies within and across splits, and likely label
    errors, each on a page. Nothing is changed.

    Labels are judged by what the base of the dataset's last fine-tuning sees in the images, or else that of its recipe
    NAME-finetune-fast; digits and drawings by their pixels.
    """
    recipe = _recipe(dataset, overrides)
    prepare.open_console(f"data        {dataset}")
    workplace = open_workplace(progress)
    ref = fetching.fetch(DatasetChoice(name=dataset), source, sha256, workplace)
    answer: Answer = {"dataset": ref.name, "digest": ref.digest, "duplicates": [], "label_errors": [], "page": ""}
    answer["reviewed"] = 0
    wanted_or_all = wanted or CHECKS
    if "duplicates" in wanted_or_all:
        answer |= _duplicates(checking.check(ref, false_share, workplace))
    if "labels" in wanted_or_all:
        try:
            labels = _label_errors(ref, recipe, bool(overrides), workplace)
        except Vgg16Error as error:
            if wanted:
                raise
            labels = {"labels": {"why_not": f"{error.message} {error.hint}".strip()}}
        page = answer["page"] or labels.get("labels_page", "")
        answer |= labels | {"page": page, "reviewed": answer["reviewed"] + labels.get("reviewed", 0)}
    return answer


def _recipe(dataset: str, overrides: tuple[str, ...]) -> Experiment | None:
    """The fine-tuning recipe of a dataset with these settings, None for one that has none. Raises RequestError."""
    ours = project.load()
    name = f"{dataset}-finetune-fast"
    if name not in ours.catalog.experiments:
        if overrides:
            raise RequestError(f"{dataset} has no recipe {name}, which --set would be for.", "Leave --set out.")
        return None
    rows = ours.requested([name])
    return catalog.choose(rows, overrides, ours.catalog)[0][0]


def _label_errors(ref: DatasetRef, recipe: Experiment | None, asked: bool, workplace: Workplace) -> Answer:
    import_tensorflow()
    # After its settings; what looks for copies alone needs no TensorFlow.
    from vgg16.steps.data.labels import label_errors

    errors = label_errors(ref, recipe, workplace, asked=asked)
    return {
        "label_errors": [
            {
                "image": one.name,
                "label": one.label,
                "suggested": one.suggested,
                "score": one.score,
                "digest": one.digest,
                "split": one.split,
            }
            for one in errors.suspects
        ],
        "labels": {"images": errors.judged, "seen_by": errors.seen_by, "top1": round(errors.top1, 4)},
        "reviewed": errors.reviewed,
        "labels_page": errors.address,
    }


def _duplicates(findings: checking.Findings) -> Answer:
    duplicates = findings.duplicates
    return {
        "duplicates": [
            {
                "first": pair.names[0],
                "second": pair.names[1],
                "similarity": pair.similarity,
                "splits": pair.splits,
                "labels": pair.labels,
                "digests": pair.digests,
            }
            for pair in findings.pairs
        ],
        "threshold": {
            "similarity": round(duplicates.threshold, 4),
            "from": "this dataset" if duplicates.measured else "cifar100",
            "decoys": duplicates.decoys,
            "false": duplicates.false,
        },
        "reviewed": findings.reviewed,
        "page": findings.address,
    }


@click.command()
@answers(show_reviews.reviewed)
@click.argument("dataset", metavar="NAME")
@click.argument("findings", nargs=-1, metavar="[FINDING]...")
@click.option("--as", "action", default="", metavar="keep|drop|label=CLASS", help="What becomes of them.")
def review(dataset: str, findings: tuple[str, ...], action: str) -> Answer:
    """Decide on findings of `vgg16 data check`: keep them, drop an image from later versions, or give it another class
    there. A finding is an image, by its path in the source or the first digits of its digest, or a pair A+B; or
    `drift`, an alarm of the flow `watch`: keep makes the pictures that alarmed what later ones are held against.

    Decisions are kept, with who and when, and what was decided on is not shown again. Of several decisions on an image
    the latest counts: keep takes back. Without findings: the decisions that were made.
    """
    if bool(findings) != bool(action):
        missing = "--as keep, drop or label=CLASS" if findings else "a finding"
        raise RequestError(f"vgg16 data review: expected {missing} too.", f"vgg16 data check {dataset} shows findings.")
    is_drift = accepting.DRIFT in findings
    if is_drift:
        accepting.check_request(findings, action, dataset)
    elif action:
        reviewing.check_request(dataset, action)
    workplace = open_workplace(progress)
    if is_drift:
        return _accepted(dataset, workplace)
    if not action:
        made = [*reviewing.decisions(dataset, workplace), *accepting.accepted(dataset, workplace)]
        return {"dataset": dataset, "reviewed": len(made), "decisions": made}
    ref = fetching.fetch(DatasetChoice(name=dataset), "", "", workplace)
    decided = reviewing.review(ref, findings, action, workplace)
    return {
        "dataset": dataset,
        "reviewed": len(decided.decisions),
        "as": action,
        "images": [one.images for one in decided.decisions],
        "findings": [one.finding for one in decided.decisions],
        "stored": decided.stored,
        "taken_back": [{"finding": one.decision.finding, "as": one.decision.text} for one in decided.taken_back],
        "next": decided.next_step,
    }


def _accepted(dataset: str, workplace: Workplace) -> Answer:
    accepted, new = accepting.accept(dataset, workplace)
    return {
        "dataset": dataset,
        "reviewed": 1,
        "as": "keep",
        "images": [],
        "findings": [accepting.DRIFT],
        "stored": int(new),
        "taken_back": [],
        "next": "",
        "drift": {"date": accepted.date, "window": accepted.window, "by": accepted.by, "at": accepted.at},
    }
