"""What came out of a scoring, for a page of Prefect."""

from __future__ import annotations

from typing import Any

from vgg16.reports.text import number, with_interval
from vgg16.shown import without_secrets
from vgg16.steps.data.report import how_to_open
from vgg16.steps.scoring.records import ScoreRequest, ScoreResult

# Rows of a table that are shown at most.
MOST = 40


def in_markdown(request: ScoreRequest, result: ScoreResult) -> str:
    """The file, what its rows say, and where the source tells true classes how good the model is there."""
    rows = {
        "source": _code(request.place),
        "file": _code(result.output),
        "model": f"{_code(result.model)}, digest `{result.digest[:12]}`, in {result.engine}",
        "rows": f"{result.rows:,}, of which {result.failed:,} could not be read",
        "sha256": _code(result.sha256),
    }
    if result.already:
        rows["scored"] = "nothing: the file was there already, as asked for"
    elif result.scored:
        rows["scored"] = f"{result.scored:,} in {result.seconds:,.0f} s, {result.images_per_s:,.1f} a second"
    lines = ["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows.items()), ""]
    lines += _labelled(result.observed) if result.observed else []
    counts = sorted(result.labels.items(), key=lambda item: -item[1])
    lines += ["| predicted | pictures |", "| --- | ---: |"]
    lines += [f"| {_cell(name)} | {count:,} |" for name, count in counts[:MOST]]
    if len(counts) > MOST:
        lines += ["", f"and {len(counts) - MOST} more classes"]
    if result.observed:
        lines += ["", *how_to_open(result.observed["page"], "The page with the confusion and the mistakes")]
    return "\n".join(lines) + "\n"


def _labelled(told: dict[str, Any]) -> list[str]:
    holds = told["holds"]
    verdict = holds["verdict"] if holds else "not compared"
    lines = [f"**Does it still hold? {verdict}.** {_cell(told['reason'])}.", ""]
    if metrics := told["metrics"]:
        top1 = with_interval(metrics["top1"], metrics["top1_interval"])
        top5, ece = number(metrics["top5"]), number(metrics["ece"])
        lines += [
            "| pictures with a known class | top-1 | top-5 | calibration error |",
            "| ---: | ---: | ---: | ---: |",
            "| " + " | ".join([f"{metrics['images']:,}", top1, top5, ece]) + " |",
            "",
        ]
    return lines


def _code(text: str) -> str:
    return f"`{without_secrets(text).replace('`', ' ').replace('|', ' ')}`"


def _cell(text: str) -> str:
    return without_secrets(text).replace("|", "\\|").replace("\n", " ")
