"""How many planted wrong labels stand first in the ranking of likely label errors, and in cleanlab's beside it.

`.venv/bin/python -m benchmarks.label_errors FEATURES DATASET` (ten minutes for 10,000 images): the folders of a home's
store with the features that a fine-tuning or `vgg16 data check` kept, features/NAME/DIGEST, and with the images,
datasets/NAME/DIGEST. 5 % of the labels are made wrong, uniformly or, with `--within`, within the superclass, ten times;
k is how many. `--first` and `--images` choose a part: the method was chosen on the first 10,000 of CIFAR-100's train
and on 3,600 images of CIFAR-10, with plantings of the seeds 0 to 6. cleanlab ranks by self-confidence, given the
probabilities of our out-of-fold head: it has none of its own. Without it (`pip install vgg16[bench]`) its column is
left out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import peak_megabytes, stamp
from vgg16.checks.label_errors.gaussian import Features
from vgg16.checks.label_errors.head import out_of_fold
from vgg16.checks.label_errors.rank import believed, standardized
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import SPLITS
from vgg16.data import published
from vgg16.steps.data.frozen_features import HELD_OUT, pooled
from vgg16.training.features import LEARNED

SHARE = 0.05
FIRST_SEED = 100


def kept(folder: Path, dataset: Path) -> tuple[Features, NDArray[np.int64], tuple[str, ...]]:
    """The features that are kept of train, val and, where they are too, gate and test, with labels and class names."""
    arrays = published.load(dataset)
    held_out = folder.with_name(f"{folder.name}-{'-'.join(HELD_OUT)}")
    files = [folder / f"{split}.npy" for split in LEARNED] + [held_out / f"{split}.npy" for split in HELD_OUT]
    files = [file for file in files if file.exists()]
    features = [pooled(np.load(file, mmap_mode="r")[0]) for file in files]
    labels = [arrays.part(split)[1] for split in SPLITS if any(file.stem == split for file in files)]
    return np.concatenate(features), np.concatenate(labels), arrays.class_names


def planted(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels with SHARE of them another one, of the same group where there are groups; and which are wrong."""
    classes = int(labels.max()) + 1
    wrong = np.zeros(len(labels), bool)
    wrong[random.choice(len(labels), round(SHARE * len(labels)), replace=False)] = True
    given = labels.copy()
    for row in np.flatnonzero(wrong):
        others = np.arange(classes) != labels[row]
        if groups is not None:
            others &= groups == groups[labels[row]]
        given[row] = random.choice(np.flatnonzero(others))
    return given, wrong


def superclasses(names: tuple[str, ...], dataset: str) -> NDArray[np.int64]:
    """The number of each class's superclass."""
    groups = list(SHIPPED.datasets[dataset].superclasses.values())
    return np.array([next(at for at, group in enumerate(groups) if name in group) for name in names])


def precision(order: NDArray[np.intp], wrong: NDArray[np.bool_]) -> list[float]:
    """The share of wrong labels among the first k / 4, k / 2 and k, and of all those among the first 2 k."""
    k = int(wrong.sum())
    return [*(float(wrong[order[: k // part]].mean()) for part in (4, 2, 1)), float(wrong[order[: 2 * k]].sum() / k)]


def cleanlab_order(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.intp] | None:
    """The order of cleanlab's self-confidence, None where it is not installed."""
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return None
    return np.argsort(get_label_quality_scores(labels, probabilities, method="self_confidence"), kind="stable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--within", action="store_true")
    parser.add_argument("--plantings", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--images", type=int, default=10**9)
    options = parser.parse_args()
    features, labels, names = kept(options.features, options.dataset)
    rows = slice(options.first, options.first + options.images)
    features, labels = features[rows], labels[rows]
    groups = superclasses(names, options.dataset.parent.name) if options.within else None
    found: dict[str, list[list[float]]] = {}
    seconds = []
    for planting in range(options.plantings):
        given, wrong = planted(labels, groups, np.random.default_rng(FIRST_SEED + planting))
        began = time.perf_counter()
        probabilities = believed(features, given)
        seconds.append(time.perf_counter() - began)
        order = np.argsort(probabilities[np.arange(len(given)), given], kind="stable")
        found.setdefault("ours", []).append(precision(order, wrong))
        head = out_of_fold(standardized(features), given)
        if (theirs := cleanlab_order(given, head)) is not None:
            found.setdefault("cleanlab", []).append(precision(theirs, wrong))
        print(planting, {name: np.round(rows[-1], 3).tolist() for name, rows in found.items()}, flush=True)
    print(
        json.dumps(
            {
                "images": len(labels),
                "planted": round(SHARE * len(labels)),
                "within": options.within,
                "p_at_k4_k2_k_recall_at_2k": {
                    name: np.round(np.mean(rows, 0), 3).tolist() for name, rows in found.items()
                },
                "range_at_k2": {
                    name: [min(r[1] for r in rows), max(r[1] for r in rows)] for name, rows in found.items()
                },
                "seconds": round(float(np.median(seconds)), 1),
                "peak_mb": peak_megabytes(),
                **stamp(),
            }
        )
    )


if __name__ == "__main__":
    main()
