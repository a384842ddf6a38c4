"""What fine-tuning buys with ten labelled images a class: digits-finetune against digits-scratch, seed by seed.

`make bench` (about ten minutes on two cores). Scratch is also given four times the epochs, so that the
comparison is not one of training time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

VGG16 = Path(sys.executable).parent / "vgg16"
RECIPES = {
    "scratch": ["digits-scratch"],
    "scratch, 40 epochs": ["digits-scratch", "--set", "phases.0.epochs=40"],
    "fine-tuned": ["digits-finetune"],
}


def test_top1(recipe: list[str], seed: int, per_class: int, home: str) -> float:
    few = [f"dataset.per_class={per_class}", f"batch_size={per_class}", f"seed={seed}", "score_test=always"]
    done = subprocess.run(
        [VGG16, "run", *recipe, *(word for setting in few for word in ("--set", setting)), "--json"],
        env=os.environ | {"VGG16_HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    (run,) = json.loads(done.stdout)["runs"]
    return float(run["metrics"]["test_top1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--per-class", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vgg16-bench-") as home:
        found: dict[str, list[float]] = {name: [] for name in RECIPES}
        for seed in range(1, asked.seeds + 1):
            for name, recipe in RECIPES.items():
                found[name].append(test_top1(recipe, seed, asked.per_class, home))
                print(f"seed {seed}  {name:<20} test top-1 {found[name][-1]:.4f}", flush=True)
    for name, values in found.items():
        print(f"{name:<20} median {median(values):.4f}  ({min(values):.4f} to {max(values):.4f}, {len(values)} seeds)")


if __name__ == "__main__":
    main()
