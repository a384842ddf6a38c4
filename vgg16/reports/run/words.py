"""A run's facts in sentences: what was trained on what, what came out, what the gate said, how it learned."""

from __future__ import annotations

import math

from vgg16.records import Evaluation
from vgg16.reports.run.classes import confused_pairs
from vgg16.reports.run.facts import RunFacts, Standing
from vgg16.reports.run.needs import WIDE
from vgg16.reports.text import duration, percent, percent_interval, plural

# A label for each standing, and what colours it: good, open, or bad.
LABELS: dict[Standing, tuple[str, str]] = {
    "production": ("in production", "good"),
    "waiting": ("waits for a person", "open"),
    "undecided": ("undecided, in Staging", "open"),
    "refused": ("refused", "bad"),
    "replaced": ("replaced", "open"),
    "overtaken": ("overtaken in Staging", "open"),
    "unjudged": ("not judged", "open"),
    "removed": ("removed from the registry", "open"),
    "diverged": ("diverged", "bad"),
}
# So much more top-1 on train than on val says that pictures were learned by heart.
GAP = 0.1


def trained(facts: RunFacts) -> str:
    """What was trained on what."""
    run, dataset = facts.run, facts.dataset
    classes = plural(len(dataset.class_names), "class", "classes")
    pictures = plural(dataset.splits.get("train", 0), "picture")
    begun = f", from the weights of {run.base}" if run.base else ""
    epochs = plural(len(facts.epochs) or facts.experiment.epochs, "epoch")
    took = f" and {duration(run.metrics['train_seconds'])}" if "train_seconds" in run.metrics else ""
    return f"{facts.experiment.name} learned {classes} from {pictures} of {dataset.name}{begun}, in {epochs}{took}."


def came_out(facts: RunFacts) -> list[str]:
    """What came out, a sentence each."""
    scored = facts.scored
    if facts.standing == "diverged":
        return [f"Training diverged, so there is no model: {facts.run.cause}."]
    if scored is None:
        return ["Nothing that can be read is logged of its answers on gate and test."]
    right = f"{percent(scored.top1)} ({percent_interval(scored.top1_interval)})"
    copies = _copies(scored)
    new = "" if copies else ", which it never saw"
    sentences = [f"It is right on {right} of {plural(scored.images, 'picture')} of {scored.split}{new}."]
    if scored.split == "gate":
        sentences.append("It was not scored on test: only what is promoted is.")
    largest = max(scored.classes, key=lambda score: score.images)
    always = percent(largest.images / scored.images)
    return [*sentences, f"Always saying {largest.name} would be right on {always} of them.", *copies]


def _copies(scored: Evaluation) -> list[str]:
    """Of how many pictures of a split it has learned copies, and how good it is on the others."""
    unseen = scored.unseen
    if unseen is None or not unseen.seen:
        return []
    if unseen.seen == scored.images:
        return ["But it learned from near-duplicates of all of them: how good it is on new pictures nobody knows."]
    right = f"{percent(unseen.top1)} ({percent_interval(unseen.top1_interval)})"
    word, sign = ("less", 100) if unseen.from_seen >= 0 else ("more", -100)
    low, high = sorted(sign * end for end in unseen.from_seen_interval)
    why = "which may be chance"
    if unseen.surely_adds:
        why = "so they make it look better than it is"
    elif unseen.from_seen_interval[1] < 0:
        why = "so these are the harder ones"
    without = f"But it learned from near-duplicates of {unseen.seen:,} of them. Without these it is right on {right}"
    return [f"{without}: {sign * unseen.from_seen:.1f} points {word} ({low:.1f} to {high:.1f}), {why}."]


def verdict(facts: RunFacts) -> str:
    """What became of it, and why, in plain words; the gate's own stand beside them."""
    model = facts.run.model
    if model is None:
        if facts.standing == "diverged":
            return "Nothing was registered, and what is in production stays there."
        return "It was trained to its end, but no version of it is in the registry."
    became, gate = f"It became version {model.version} of {model.name}", plural(facts.gate_images, "picture")
    passed = "The gate let it pass."
    if facts.run.verdict != "promote":
        passed = "The gate did not let it pass, and somebody put it there all the same."
    sentences: dict[Standing, str] = {
        "overtaken": f"{became} and waited in Staging, until a better one was promoted or its time was over.",
        "production": f"{became} and is in production. {passed}",
        "waiting": f"{became} and passed the gate. It waits in Staging until a person promotes it.",
        "undecided": f"{became}. The gate's {gate} cannot tell whether it is good enough, so it waits in Staging.",
        "refused": f"{became}. The gate refused it, so it stays out of production.",
        "replaced": f"{became} and was in production, where another one has taken its place.",
        "unjudged": f"{became} and was not judged: of a run's members only the best on val is, of a study's none.",
    }
    return " ".join([sentences[facts.standing], *(f"Warning: {text}." for text in model.warnings)])


def learning(facts: RunFacts) -> list[str]:
    """How it learned, a sentence each."""
    epochs, best = facts.epochs, facts.best
    if not epochs:
        return ["No curves are logged."]
    if best is None:
        return [f"The curves end with epoch {epochs[-1].epoch} of {facts.experiment.epochs}."]
    rates = f"{percent(best.val_top1)} right there, and {percent(best.train_top1)} of what it was learning from"
    sentences = [f"The model has the weights of epoch {best.epoch} of {len(epochs)}, the best on val: {rates}."]
    gap = best.train_top1 - best.val_top1
    if gap > GAP:
        by_heart = f"These are {100 * gap:.0f} points more than on new ones: it learned pictures by heart."
        sentences.append(f"{by_heart} More pictures, more varied ones or augmentation help.")
    if best.epoch == epochs[-1].epoch and len(epochs) > 1:
        sentences.append("The best epoch was the last one: more of them may help.")
    return sentences


def trust(scored: Evaluation) -> str:
    """How far the network's own probabilities can be believed."""
    if not math.isfinite(scored.ece):
        return "Its probabilities are no numbers."
    sure = sum(bin_.images * bin_.confidence for bin_ in scored.reliability) / scored.images
    error = f"{percent(scored.ece)} ({percent_interval(scored.ece_interval)})"
    return (
        f"On {scored.split} it is {percent(sure)} sure of an answer on average, and {percent(scored.top1)} of them are "
        f"right. The gap between the two, averaged over answers of like probability, is its calibration error: {error}."
    )


def confused(scored: Evaluation) -> str:
    """What it confuses most."""
    pairs = confused_pairs(scored, 1)
    if not pairs:
        return f"It confuses nothing: all {plural(scored.images, 'picture')} of {scored.split} are answered right."
    pair = pairs[0]
    return f"Most often it takes {pair.label} for {pair.answer}: {pair.times} of {plural(pair.images, 'picture')}."


def needs_explained(split: str) -> str:
    """How the table of the classes that want more pictures is read."""
    return (
        "Harder: surely answered right less often than the others. Look at its labels first, then give it more and "
        f"more varied pictures. Open: its interval is wider than {100 * WIDE:.0f} points, so few pictures do not tell "
        "what it is like. The last columns: how many more halve the interval, "
        f"in {split}, and in all where they are divided over the splits as now."
    )


def no_need(scored: Evaluation) -> str:
    """What is said where no class stands out."""
    return (
        f"None stands out on {plural(scored.images, 'picture')} of {scored.split}: no class is surely harder than the "
        f"others, and no interval is wider than {100 * WIDE:.0f} points."
    )
