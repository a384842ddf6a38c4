"""The link of the numbers: the version is asked again on its gate images, and answers as it did when it was judged."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vgg16.config.types import Split
from vgg16.data.images import Labels
from vgg16.errors import Vgg16Error
from vgg16.evaluation import corruptions
from vgg16.promotion.gates import SAME_LOSS, SAME_TOP1
from vgg16.reports.text import plural
from vgg16.steps.fresh_process import VersionAnswers
from vgg16.steps.lineage.lineage import Lineage

_GATE: Split = "gate"


class Right(NamedTuple):
    """How many images of a kind are answered right, of how many; the kind is "" for the images as they are."""

    kind: str
    right: int
    images: int

    @property
    def tolerated(self) -> int:
        """By how many images another processor, which adds in another order, may differ: two tenths of a percent, and
        at least one."""
        return max(1, int(SAME_TOP1 * self.images))


def gate(lineage: Lineage) -> str:
    """The gate images, and those of them that are corrupted, are answered as the ledger and the run say."""
    ref = lineage.run.trained_on
    labels = lineage.workplace.dataset(ref).part(_GATE)[1]
    lineage.say(f"gate: {len(labels):,} images are scored again in a fresh process")
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        answers = lineage.scorer.ask(lineage.name, (lineage.number,), ref, Path(folder))[lineage.number]
        if answers.unusable:
            raise Vgg16Error(f"{lineage.title} answers nothing: {answers.unusable}", "Use another version.")
        scored, loss = _scored(answers, labels)
    whole = scored[0]
    said = [name for name, differs in _compared(scored, loss, lineage) if not differs]
    differences = [text for _, text in _compared(scored, loss, lineage) if text]
    if differences:
        raise Vgg16Error(
            f"Scored again, {'; '.join(differences)}.",
            "Model and images are what they were: the numbers were changed, or this machine computes otherwise.",
        )
    if not said:
        raise Vgg16Error(
            f"{whole.right:,} of {whole.images:,} gate images are right; expected a number in the ledger or the run to "
            "hold that against, found none.",
            f"Judge it: vgg16 promote {lineage.name} {lineage.number}",
        )
    return (
        f"{whole.right:,} of {whole.images:,} images right, top-1 {whole.right / whole.images:.4f}, loss {loss:.4f}: "
        f"{' and '.join(said)} say{'s' * (len(said) == 1)} so, within {plural(whole.tolerated, 'image')}"
    )


def _scored(answers: VersionAnswers, labels: Labels) -> tuple[list[Right], float]:
    """What is right of the images as they are and of each corruption, and the loss in nats."""
    probabilities = answers.load("probabilities")
    sampled = labels[corruptions.sample(len(labels))]
    scored = [Right("", int((probabilities.argmax(axis=1) == labels).sum()), len(labels))]
    for kind, corrupted in zip(corruptions.KINDS, answers.load("corrupted"), strict=True):
        scored.append(Right(kind, int((corrupted.argmax(axis=1) == sampled).sum()), len(sampled)))
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # As an evaluation has it: zero in float32 stands for at most the smallest number above it.
    return scored, float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean())


def _compared(scored: list[Right], loss: float, lineage: Lineage) -> list[tuple[str, str]]:
    """Who has said something of the numbers, and how that differs from them, "" where it does not."""
    compared = []
    if judged := [entry for entry in lineage.entries if entry.evidence]:
        entry, who = judged[-1], f"entry {judged[-1].number} of the ledger"
        keys = {one: f"challenger_gate_{one.kind}_top1".replace("__", "_") for one in scored}
        texts = [_difference(one, entry.evidence[key], who) for one, key in keys.items() if key in entry.evidence]
        if (images := entry.evidence.get("gate_images")) not in (None, scored[0].images):
            texts.append(f"there are {scored[0].images:,} gate images, {who} has {images:,.0f}")
        compared.append((who, "; ".join(filter(None, texts))))
    metrics, who = lineage.run.metrics, "the run"
    if "gate_top1" in metrics:
        texts = [_difference(scored[0], metrics["gate_top1"], who)]
        logged = metrics.get("gate_loss", loss)
        if not abs(loss - logged) <= SAME_LOSS * max(1.0, abs(loss)):
            texts.append(f"the loss is {loss:.4f}, {who} has {logged:.4f}")
        compared.append((who, "; ".join(filter(None, texts))))
    return compared


def _difference(found: Right, top1: float, who: str) -> str:
    """How a top-1 that somebody kept differs from what was found, "" where it does not."""
    kept = round(top1 * found.images)
    if abs(kept - found.right) <= found.tolerated:
        return ""
    kind = f" under {found.kind}" if found.kind else ""
    return (
        f"{found.right:,} of {found.images:,} images{kind} are right, {who} has {kept:,}, and {found.tolerated} may "
        "differ"
    )
