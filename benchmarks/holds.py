"""How often "does it still hold?" errs, and how large a loss it finds: models whose loss is planted, on images in
another mix of classes than the gate's.

Run it with `python -m benchmarks.holds [TIMES]`: a minute for 2,000 verdicts in each row.
"""

from __future__ import annotations

import sys

import numpy as np

from vgg16.config.types import GateRules
from vgg16.evaluation.holds import Judged, compare
from vgg16.evaluation.strata import Strata

CLASSES = 10
# Hard and easy classes; those that are rare on gate are frequent here.
RECALL = np.linspace(0.6, 0.99, CLASSES)
MIXES = np.array([np.linspace(1, 3, CLASSES), np.linspace(3, 1, CLASSES)])
MIXES /= MIXES.sum(axis=1, keepdims=True)
NAMES = tuple("abcdefghij")


def shares(loss: float, here: int, gate: int, times: int, picked: int = 1) -> dict[str, float]:
    """How often each verdict is given of a model that lost so much; of `picked` equal ones that was taken that was best
    on gate. And how often a comparison of all classes as one calls it worse."""
    random = np.random.default_rng(0)
    counts = {"holds": 0, "worse": 0, "undecided": 0, "as one": 0}
    for _ in range(times):
        judged, images = (random.multinomial(size, mix) for size, mix in zip((gate, here), MIXES, strict=True))
        right = max((random.binomial(judged, RECALL) for _ in range(picked)), key=np.sum)
        found = random.binomial(images, np.clip(RECALL - loss, 0, 1))
        verdict = compare(found, images, Judged(GateRules(), right, judged), NAMES)
        if verdict:
            counts[verdict.verdict] += 1
        counts["as one"] += Strata.of((found, images), (right, judged), apart=False).score(0.0) < -1.96
    return {name: count / times for name, count in counts.items()}


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    print("| images here | on gate | lost, points | worse | undecided | holds | worse, were all classes one |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for here, gate, loss, picked in (
        (1_000, 2_000, 0.0, 1),
        (1_000, 2_000, 0.02, 1),
        (1_000, 2_000, 0.05, 1),
        (1_000, 500, 0.0, 1),
        (1_000, 500, 0.05, 1),
        (100, 60, 0.0, 1),
        (100, 60, 0.1, 1),
        (10_000, 10_000, 0.0, 1),
        (10_000, 10_000, 0.02, 1),
        (1_000, 2_000, 0.0, 5),
        (10_000, 2_000, 0.0, 5),
    ):
        found = shares(loss, here, gate, times, picked)
        cells = " | ".join(f"{found[name]:.1%}" for name in ("worse", "undecided", "holds", "as one"))
        best = f", the best of {picked} on gate" * (picked > 1)
        print(f"| {here:,} | {gate:,}{best} | {100 * loss:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
