"""A run's facts become one page of HTML that needs nothing else: no server, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader

from vgg16.records import Evaluation
from vgg16.reports.run import classes, figures, following, needs, pictures, words
from vgg16.reports.run.facts import RunFacts
from vgg16.reports.text import duration, number, percent, percent_interval, plural

# The best five of no more classes than these are all of them.
BEST = 5
# Of more classes the confusion matrix is a picture, of still more the pairs alone are listed.
TABLE_CLASSES = 20
DRAWN_CLASSES = 100
# Rows that are shown at once; the others are folded.
PAIRS = 15
CLASSES = 40
NEEDS = 12


def report(facts: RunFacts) -> str:
    """The page."""
    scored = facts.scored
    templates = Environment(
        loader=PackageLoader("vgg16.reports", ""), trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    templates.filters |= {"percent": percent, "interval": percent_interval}
    label, color = words.LABELS[facts.standing]
    page = {
        "facts": facts,
        "title": f"{facts.experiment.name} on {facts.dataset.name}",
        "label": label,
        "color": color,
        "lead": " ".join([words.trained(facts), *words.came_out(facts)]),
        "verdict": words.verdict(facts),
        "five": len(facts.dataset.class_names) > BEST,
        "numbers": _numbers(facts),
        "curves": figures.curves(facts),
        "phases": _phases(facts),
        "learning": words.learning(facts),
        "commands": following.commands(facts),
        "made": _made(facts),
        **(_scored(facts, scored) if scored else {}),
    }
    return templates.get_template("run/page.html").render(page)


def _scored(facts: RunFacts, scored: Evaluation) -> Mapping[str, object]:
    """What is told of a split's evaluation."""
    rows, wanting = classes.class_rows(scored), needs.needs(scored)
    count = len(scored.classes)
    return {
        "scored": scored,
        "trust": words.trust(scored),
        "confused": words.confused(scored),
        "matrix": classes.matrix(scored) if count <= TABLE_CLASSES else [],
        "heat_map": figures.heat_map(scored, facts) if TABLE_CLASSES < count <= DRAWN_CLASSES else "",
        "pairs": classes.confused_pairs(scored, PAIRS) if count > TABLE_CLASSES else [],
        "rows": rows[:CLASSES],
        "folded": rows[CLASSES:],
        "needs": [(need, _in_all(need.more, scored, facts)) for need in wanting[:NEEDS]],
        "more_needs": wanting[NEEDS:],
        "needs_explained": words.needs_explained(scored.split),
        "no_need": words.no_need(scored),
        "mistakes": pictures.mistakes(facts),
        "wrong": scored.images - sum(counts[row] for row, counts in enumerate(scored.confusion)),
        "unsure": pictures.unsure(facts),
    }


def _in_all(more: int, scored: Evaluation, facts: RunFacts) -> str:
    """So many images bring this many more to the split, where they are divided as they are now; "" where none is."""
    splits = facts.dataset.splits
    return f"{math.ceil(more * sum(splits.values()) / splits[scored.split]):,}" if splits.get(scored.split) else ""


def _numbers(facts: RunFacts) -> list[list[str]]:
    """A row for each split: what it is for, its images, top-1 and top-5 with intervals, the calibration error."""
    rows = []
    metrics, splits = facts.run.metrics, facts.dataset.splits
    if "best_val_top1" in metrics:
        rows.append(["val", "chose the epoch", f"{splits.get('val', 0):,}", percent(metrics["best_val_top1"])])
    uses = {"gate": "decides on promotion", "test": "is reported, chooses nothing"}
    for evaluation in facts.evaluations:
        top1, top5, ece = (
            f"{percent(value)} ({percent_interval(interval)})"
            for value, interval in (
                (evaluation.top1, evaluation.top1_interval),
                (evaluation.top5, evaluation.top5_interval),
                (evaluation.ece, evaluation.ece_interval),
            )
        )
        best = [top5] if len(facts.dataset.class_names) > BEST else []
        rows.append([evaluation.split, uses[evaluation.split], f"{evaluation.images:,}", top1, *best, ece])
        unseen = evaluation.unseen
        if unseen and 0 < unseen.seen < evaluation.images:
            without = f"{percent(unseen.top1)} ({percent_interval(unseen.top1_interval)})"
            left = f"{evaluation.images - unseen.seen:,}"
            rows.append([evaluation.split, "without those that train has seen", left, without])
    columns = max(map(len, rows), default=0)
    return [row + [""] * (columns - len(row)) for row in rows]


def _phases(facts: RunFacts) -> str:
    phases = facts.experiment.phases
    if len(phases) == 1:
        return ""
    listed = ", ".join(f"{phase.trains} ({plural(phase.epochs, 'epoch')})" for phase in phases)
    return f"Dashed: where the next phase begins. What they train, one after the other: {listed}."


def _made(facts: RunFacts) -> dict[str, str]:
    """How it was made, as label and text; what is not known is left out."""
    run, dataset, metrics = facts.run, facts.dataset, facts.run.metrics
    splits = ", ".join(f"{split} {count:,}" for split, count in dataset.splits.items())
    rate = f", {number(metrics['images_per_s'], 0)} images a second" if "images_per_s" in metrics else ""
    rows = {
        "run": f"{run.run_name}, {run.run_id}",
        "in MLflow": run.url,
        "version": facts.run.model.uri if facts.run.model else "",
        "experiment": f"{facts.experiment.name}: {facts.experiment.description}; seed {facts.experiment.seed}",
        "network": facts.experiment.backbone.name,
        "started from": run.base or "random weights",
        "data": f"{dataset.name}, digest {dataset.digest}; {splits}",
        "source": facts.source,
        "reviewed": facts.reviewed,
        "trained": f"{datetime.fromtimestamp(run.started / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        + (f", for {duration(metrics['train_seconds'])}{rate}" if "train_seconds" in metrics else ""),
        "one image takes": f"{metrics['latency_ms']:.1f} ms" if "latency_ms" in metrics else "",
        "code": ", ".join(filter(None, [run.code_version, f"commit {run.commit}" if run.commit else ""])),
    }
    return {label: text for label, text in rows.items() if text}
