"""The model card: a registered version in one page of Markdown, for whoever may use it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vgg16.config.types import Experiment
from vgg16.records import ClassScore, DatasetRef, Evaluation, ModelVersion
from vgg16.reports.text import difference_with_interval, with_interval
from vgg16.shown import markdown
from vgg16.tracking.protocol import own_name

# Characters of a description that MLflow's database keeps: PostgreSQL refuses more.
MOST = 5_000
# The parts that leave a card which is longer, the first one first: the ledger and the report of the run have them too.
_LEAVE = ("files", "measured", "limits")
_SHORTENED = "Shortened: MLflow keeps 5,000 characters. `vgg16 report {run}` and `vgg16 history {name}` show the rest."

# Other measurements that a run may have, by the name of the metric.
_MEASURES = {
    "test_noise_top1": "top-1 under noise",
    "test_blur_top1": "top-1 when blurred",
    "test_brightness_top1": "top-1 in other brightness",
    "test_contrast_top1": "top-1 in low contrast",
    "test_jpeg_top1": "top-1 after JPEG",
    "test_corrupted_top1": "mean of these",
    "gate_unusual": "share of `gate` with a typicality of 0.01 or less",
    "temperature": "temperature, fitted on `val` and kept in the model",
    "latency_ms": "milliseconds for one image",
    "answers_per_s": "images a second in batches",
    "model_megabytes": "MB of the file",
}


class ProvenFile(NamedTuple):
    """A file of another format that was proven to answer as the version does: its format, as a person calls it, its
    size, 0 where that is not known, and the sha256 that the ledger has of it."""

    format: str
    bytes: int
    sha256: str


def model_card(  # noqa: PLR0917  # what a card tells of
    version: ModelVersion,
    experiment: Experiment,
    ref: DatasetRef,
    evaluations: Sequence[Evaluation],
    facts: Mapping[str, str],
    files: Sequence[ProvenFile] = (),
) -> str:
    """A registered version's card in Markdown, at most MOST characters: what it is, on which data, how good with 95 %
    intervals, its limits, how to use it. Lists show its first line. `evaluations` are those that are logged, of gate
    and test; `facts` has `run`, `date`, `code`, `base`, `reasons` and `reviewed`, what people changed in the data, in
    words, "" for none; `address` is MLflow's, without a password, `home` the folder of a home with a database of its
    own, and `env` the file with the variables of its stack, "" for none. `files` are those of a version that was in
    production. Names and words of others are text: neither marks nor HTML."""
    scores = [f"{evaluation.top1:.4f} on {evaluation.split}" for evaluation in evaluations]
    counts = ", ".join(f"{split} {count}" for split, count in ref.splits.items())
    reasons = f": {markdown(facts['reasons'])}" if facts["reasons"] else ""
    base = markdown(facts["base"]) or "random weights"
    tested = any(evaluation.split == "test" for evaluation in evaluations)
    head = [
        f"{experiment.name}, top-1 {', '.join(scores) or 'not scored'}",
        f"Says which of {len(ref.class_names)} classes a picture shows: {_listed(ref.class_names)}.",
        _list(
            f"Experiment: {experiment.name}, {markdown(experiment.description)}; seed {experiment.seed}",
            f"Network: {experiment.backbone.name}, {experiment.epochs} epochs from {base}",
            f"Trained: {facts['date']}; run {markdown(facts['run'])}; code {markdown(facts['code']) or 'unknown'}",
            f"Data: {ref.name}, digest `{ref.digest[:16]}`; images: {counts}",
            *filter(None, [facts["reviewed"]]),
            f"Gates: {version.verdict or 'not judged yet'}{reasons}",
            *(f"**Warning**: {markdown(text)}" for text in (*version.warnings, *_flattered(evaluations))),
        ),
        "## How good it is",
        _numbers(evaluations) if evaluations else "",
    ]
    parts = {
        "head": head,
        "measured": _measured(version.metrics),
        "tested": [] if tested else ["Not scored on `test`: only what is promoted is."],
        "limits": ["## Limits", _list(*_limits(experiment, evaluations, version.metrics))],
        "use": ["## How to use it", *_use(version, facts)],
        "files": _files(version, files),
    }
    note = _SHORTENED.format(run=version.run_id[:8], name=version.name)
    return _fitting(parts, note)


def _fitting(parts: Mapping[str, Sequence[str]], note: str) -> str:
    """The parts as a text of at most MOST characters, with a note where something had to leave."""
    gone: set[str] = set()
    for leaving in ("", *_LEAVE):
        gone.add(leaving)
        kept = [text for name, texts in parts.items() if name not in gone for text in texts if text]
        card = "\n\n".join([*kept, note] if len(gone) > 1 else kept) + "\n"
        if len(card) <= MOST:
            return card
    whole_lines = card[: MOST - len(note) - 2].rpartition("\n")[0]
    return f"{whole_lines}\n\n{note}\n"


def _use(version: ModelVersion, facts: Mapping[str, str]) -> list[str]:
    """Commands and code that run as they stand, here and wherever the address of MLflow reaches."""
    uri, address = version.uri, facts["address"]
    predict = f"vgg16 predict photo.jpg --model {uri}"
    serve = f"mlflow models serve --model-uri {uri} --env-manager local --port 5001"
    where = f"MLFLOW_TRACKING_URI={shlex.quote(address)}"
    if facts["home"]:
        lines = [f"VGG16_HOME={shlex.quote(facts['home'])} {predict}", f"{where} \\\n  {serve}"]
    else:
        lines = [f"source {shlex.quote(facts['env'])}" if facts["env"] else f"export {where}", predict, serve]
    secrets = (
        "Where the server asks who you are, `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD` say it; the file "
        "`stack/env` in the home of a stack sets both."
    )
    code = f"""\
import mlflow
import numpy as np

mlflow.set_tracking_uri({address!r})
model = mlflow.pyfunc.load_model({uri!r})
_, height, width, _ = model.metadata.get_input_schema().inputs[0].shape
# Noise; in its place your pictures, uint8 with red first, as they are.
images = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
for answer in model.predict(images):
    print(answer["label"], answer["probability"])"""
    return [
        "```sh\n" + "\n".join(lines) + "\n```",
        "In Python, with `mlflow`, `tensorflow` and `keras`, and without `vgg16`:",
        f"```python\n{code}\n```",
        "" if facts["home"] else secrets,
        f"`models:/{own_name(version.name)}@champion` in its place is what is in production by then.",
    ]


def _files(version: ModelVersion, files: Sequence[ProvenFile]) -> list[str]:
    """What runs without TensorFlow, and how to have it."""
    if not files:
        return []
    rows = [(file.format, f"{file.bytes:,}" if file.bytes else "", f"`{file.sha256}`") for file in files]
    return [
        "## Files that run without it",
        "Each was held against this version on the images of `gate` before it came into production:",
        _table(("format", "bytes", "sha256"), rows),
        f"```sh\nvgg16 export {version.uri} --format onnx --output .\n```",
    ]


def _numbers(evaluations: Sequence[Evaluation]) -> str:
    """A column for each split, with 95 % intervals where there are any."""
    columns = [_column(evaluation) for evaluation in evaluations]
    splits = [f"{evaluation.images} images of `{evaluation.split}`" for evaluation in evaluations]
    head = ["with 95 % intervals", *splits]
    # The near-duplicates may have been found after gate was scored and before test was.
    rows = dict.fromkeys(row for column in sorted(columns, key=len, reverse=True) for row in column)
    return _table(head, [[row, *(column.get(row, "") for column in columns)] for row in rows])


def _column(evaluation: Evaluation) -> dict[str, str]:
    rows = {
        "top-1": with_interval(evaluation.top1, evaluation.top1_interval),
        **_without_copies(evaluation),
        "top-5": with_interval(evaluation.top5, evaluation.top5_interval),
        "calibration error (ECE)": with_interval(evaluation.ece, evaluation.ece_interval),
        "loss, nats": f"{evaluation.loss:.4f}",
        "Brier score": f"{evaluation.brier:.4f}",
    }
    if evaluation.superclass_top1 is not None:
        rows["top-1 of superclasses"] = f"{evaluation.superclass_top1:.4f}"
    for kind, scores in (("superclass", evaluation.superclasses), ("class", evaluation.classes)):
        ranked = sorted((score for score in scores if score.images), key=lambda score: score.recall)
        if ranked:
            rows[f"worst {kind}, recall"] = _of_class(ranked[0])
            rows[f"best {kind}, recall"] = _of_class(ranked[-1])
    return rows


def _without_copies(evaluation: Evaluation) -> dict[str, str]:
    """Top-1 without the images that train has seen, and what these add; nothing where nobody looked for copies."""
    unseen = evaluation.unseen
    if unseen is None:
        return {}
    without = f"{with_interval(unseen.top1, unseen.top1_interval)}, without {unseen.seen:,}"
    adds = difference_with_interval(unseen.from_seen, unseen.from_seen_interval)
    known = unseen.seen < evaluation.images
    return {
        "top-1 without images whose near-duplicates were learned from": without if known else "unknown: all are such",
        "what these images add to top-1": adds if known else "unknown",
    }


def _flattered(evaluations: Sequence[Evaluation]) -> list[str]:
    """A warning where images of test that train has seen surely make top-1 look better than it is, or there are no
    others. That of gate is the gate's own."""
    warnings = []
    for evaluation in evaluations:
        unseen = evaluation.unseen
        if evaluation.split != "test" or unseen is None:
            continue
        if unseen.seen == evaluation.images:
            warnings.append(f"near-duplicates of all {unseen.seen:,} test images were learned from")
        elif unseen.surely_adds:
            top1 = with_interval(unseen.top1, unseen.top1_interval)
            copies = f"the {unseen.seen:,} images whose near-duplicates were learned from"
            warnings.append(f"top-1 {evaluation.top1:.4f} on test, {top1} without {copies}")
    return warnings


def _of_class(score: ClassScore) -> str:
    return f"{markdown(score.name)}: {with_interval(score.recall, score.recall_interval)} of {score.images}"


def _measured(metrics: Mapping[str, float]) -> list[str]:
    rows = [(label, f"{metrics[name]:.4g}") for name, label in _MEASURES.items() if name in metrics]
    return [_table(("measured besides", ""), rows)] if rows else []


def _limits(experiment: Experiment, evaluations: Sequence[Evaluation], measured: Mapping[str, float]) -> list[str]:
    size = experiment.image_size
    limits = [
        "It knows only these classes, and names one of them for any picture, also where none is right.",
        _typicality(measured),
        "It was trained and judged on images of the dataset alone; it was not shown other cameras, crops or drawings.",
        "`vgg16 predict` takes any size: the square that the model sees is made as in training"
        + (f", {size} pixels" if size else "")
        + "; details of larger pictures are lost, smaller ones are blurred.",
    ]
    if evaluations:
        smallest = min(evaluations, key=lambda evaluation: evaluation.images)
        low, high = smallest.top1_interval
        limits.append(
            f"Differences within the intervals mean nothing: on {smallest.images} images top-1 may be off by "
            f"{(high - low) / 2:.4f}."
        )
    for evaluation in evaluations:
        unseen = [score.name for score in evaluation.classes if not score.images]
        if unseen:
            limits.append(f"How good it is on {_listed(unseen)} nobody knows: `{evaluation.split}` has no image of it.")
    limits.append("`gate` chose whether it was promoted, and `val` its best epoch: `test` is the number to quote.")
    return limits


def _typicality(measured: Mapping[str, float]) -> str:
    """What says of a picture whether the model knows its kind, and how often it says so of pictures that it knows."""
    if "gate_unusual" not in measured:
        return (
            "It has no typicality, which says how usual a picture is: `val` has fewer than 99 images, or an earlier "
            "version trained it."
        )
    return (
        "Typicality, beside the probability in `vgg16 predict` and in exports, says how usual a picture is: the share "
        "of `val` that is at least as unusual. Small means unlike what the model learned from, whatever the "
        f"probability: 0.01 or less of {measured['gate_unusual']:.1%} of `gate`, and of most pictures of another kind; "
        "of a class that is near to its own the model often sees nothing unusual."
    )


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(map(markdown, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    # MLflow draws neither lines nor space between columns.
    spaced = [[f"{cell}&emsp;" for cell in row] for row in [head, *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [spaced[0], [":---"] * len(head), *spaced[1:]])
