"""How good a run is with and without the images of gate and test that train has seen.

`VGG16_HOME=... .venv/bin/python -m benchmarks.seen RUN`: of the run whose id begins so in that home. The dataset's
near-duplicates are found first where they are not kept yet (three minutes of a core for 60,000 images); the model
answers gate and test anew, and nothing is logged.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from benchmarks.machine import stamp
from vgg16.config.types import SPLITS, Split
from vgg16.evaluation import metrics, predict
from vgg16.network.classifier import Classifier
from vgg16.records import TrackedRun
from vgg16.steps.data.duplicates import near_duplicates
from vgg16.steps.data.seen import seen_by_train
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Silence, Workplace, open_workplace


class Spoken(Silence):
    """What takes long is said."""

    def say(self, text: str) -> None:
        """Print the line."""
        print(text, flush=True)


def measured(run: TrackedRun, classifier: Classifier, split: Split, workplace: Workplace) -> dict[str, Any]:
    data = workplace.dataset(run.trained_on).at(classifier.side, classifier.framing)
    images, labels = data.part(split)
    seen = seen_by_train(run.trained_on, data.splits, split, workplace)
    probabilities = predict.predict(classifier.model, images)
    evaluation = metrics.evaluate(split, "", probabilities, labels, classifier.class_names, seen=seen)
    kept = {"split", "images", "top1", "top1_interval", "unseen"}
    of_seen = (probabilities.argmax(axis=1) == labels)[seen].mean() if seen is not None and seen.any() else None
    return evaluation.model_dump(mode="json", include=kept) | {"top1_of_seen": of_seen and float(of_seen)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    options = parser.parse_args()
    import_tensorflow()
    workplace = open_workplace(Spoken())
    run = workplace.tracker.runs.find(options.run)
    ref = run.trained_on
    duplicates = near_duplicates(ref, workplace)
    if duplicates is None:
        raise SystemExit(f"{ref.name} has too many images.")
    registry = workplace.tracker.registry
    classifier = registry.load(registry.logged_model(run.run_id))
    splits = workplace.dataset(ref).splits[duplicates.pairs]
    # Pairs within and across splits, each counted once.
    pairs = {
        f"{one}, {other}": int((np.sort(splits, axis=1) == (first, second)).all(axis=1).sum())
        for first, one in enumerate(SPLITS)
        for second, other in enumerate(SPLITS)
        if first <= second
    }
    found = [measured(run, classifier, split, workplace) for split in ("gate", "test")]
    print(json.dumps({**stamp(), "run": run.run_name, "pairs": pairs, "threshold": duplicates.threshold, "of": found}))


if __name__ == "__main__":
    main()
