"""How often the profile of an own dataset refuses a good next version, and how often it catches a planted shift.

`.venv/bin/python -m benchmarks.profile` (two minutes). The pictures are made: 32x32, in 10 classes, with means and
spreads like those of CIFAR-10. A first version of some of them is measured; a next one is held against that, as the
rules do it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from benchmarks.machine import stamp
from vgg16.checks import facts, profile
from vgg16.checks.rules import rules
from vgg16.config.types import MEASURES, Dataset, Profile

CLASSES, POOL = 10, 12_000
Measured = dict[str, Any]


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many pictures, uint8 [n, 32, 32, 3], and their labels: a smooth field of the class, one of its own, noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    coarse = random.normal(0, 20, (CLASSES, 4, 4, 3))[labels] + random.normal(0, 10, (count, 4, 4, 3))
    coarse += random.normal(0, 25, (count, 4, 4, 1)) + random.normal(0, 33, (count, 1, 1, 1))
    coarse += random.normal(0, 12, (count, 1, 1, 3))
    ramps = np.array([np.interp(np.arange(32), np.arange(4) * 8 + 3.5, one) for one in np.eye(4)])
    smooth = np.einsum("nyxc,yi,xj->nijc", coarse, ramps, ramps, optimize=True)
    fine = random.normal(0, 1, (count, 32, 32, 1)) * random.uniform(4, 18, (count, 1, 1, 1))
    return np.clip(smooth + fine + (130, 123, 113), 0, 255).astype(np.uint8), labels


def brightened(images: np.ndarray) -> np.ndarray:
    return np.minimum(images.astype(int) + 40, 255).astype(np.uint8)


def swapped(images: np.ndarray) -> np.ndarray:
    return images[..., ::-1]


def blurred(images: np.ndarray) -> np.ndarray:
    return uniform_filter(images, (0, 3, 3, 0))


class Pool:
    """Pictures of which each is measured once, untouched and in each way that it can be changed."""

    def __init__(self, count: int = POOL) -> None:
        images, self.labels = pictures(count)
        self.random = np.random.default_rng(1)
        changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "untouched": lambda images: images,
            **{change.__name__: change for change in (brightened, swapped, blurred)},
        }
        self.measured = {name: facts.of_images(change(images)) for name, change in changes.items()}

    def version(self, rows: np.ndarray, changes: np.ndarray, labels: np.ndarray) -> list[tuple[int, dict[str, float]]]:
        """What the stretches of a version hold: these rows, each changed so, in an order as random as a digest's."""
        order = self.random.permutation(len(rows))
        stretches = []
        for stretch in facts.stretches(len(rows)):
            own = order[stretch]
            parts = [(self.measured[change], own[changes[own] == change]) for change in np.unique(changes[own])]
            values = {
                name: np.concatenate([measured[name][rows[chosen]] for measured, chosen in parts])
                for name in (*MEASURES, "thumbnails")
                if name in parts[0][0]
            }
            their_labels = labels[np.concatenate([chosen for _, chosen in parts])]
            stretches.append((len(own), facts.of_all(values, their_labels)))
        return stretches


def alarms(typical: Profile, version: list[tuple[int, dict[str, float]]]) -> set[str]:
    """The expectations of the profile that a version breaks."""
    row = Dataset(name="own", description="", source="photos", typical=typical.measures, measured_on=typical.images)
    images = sum(count for count, _ in version)
    bounds = {
        rule.name: (rule.values["min_value"], rule.values["max_value"])
        for rule in rules(row, images)
        if rule.name.removesuffix("_throughout") in MEASURES
    }
    broken = set()
    for name in MEASURES:
        mean = sum(count * values[name] for count, values in version) / images
        observed = {name: [mean], f"{name}_throughout": [values[name] for _, values in version]}
        broken |= {
            rule for rule, found in observed.items() if min(found) < bounds[rule][0] or max(found) > bounds[rule][1]
        }
    return broken


def drawn(pool: Pool, first: int, new: int, kept: float, shift: str) -> set[str]:
    """What breaks when a first version loses some of its pictures, comes to have new ones, and is shifted."""
    rows = pool.random.permutation(len(pool.labels))[: first + new]
    plain = np.full(len(rows), "untouched", dtype="U10")
    typical = profile.of(pool.version(rows[:first], plain[:first], pool.labels[rows[:first]]))
    stay = np.concatenate([np.sort(pool.random.permutation(first)[: int(kept * first)]), np.arange(first, first + new)])
    rows, changes, is_new = rows[stay], plain[stay], stay >= first
    labels = pool.labels[rows]
    some = pool.random.random(len(rows))
    if shift == "a tenth brightened by 40":
        changes[some < 0.1] = "brightened"
    elif shift == "channels swapped in a quarter":
        changes[some < 0.25] = "swapped"
    elif shift == "all new pictures blurred":
        changes[is_new] = "blurred"
    elif shift == "labels shuffled":
        labels = pool.random.permutation(labels)
    elif shift == "labels of the new pictures shuffled":
        labels[is_new] = pool.random.permutation(labels[is_new])
    return alarms(typical, pool.version(rows, changes, labels))


SHIFTS = (
    "a tenth brightened by 40",
    "channels swapped in a quarter",
    "all new pictures blurred",
    "labels shuffled",
    "labels of the new pictures shuffled",
)
GOOD = {
    "a tenth new": (0.1, 1.0),
    "half as many new": (0.5, 1.0),
    "a random half": (0.0, 0.5),
    "all others": (1.0, 0.0),
}
SIZES = (50, 200, 1000, 5000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    asked = parser.parse_args()
    pool = Pool()
    everything = pool.version(np.arange(POOL), np.full(POOL, "untouched"), pool.labels)
    print(json.dumps(profile.of(everything).measures))
    print(f"profile of an own dataset, {asked.draws} draws each; {json.dumps(stamp())}")
    for size in SIZES:
        for title, (new, kept) in GOOD.items():
            refused = sum(bool(drawn(pool, size, int(new * size), kept, "")) for _ in range(asked.draws))
            print(f"{size} images, then {title}: refused {refused} of {asked.draws}", flush=True)
    for size in SIZES:
        for shift in SHIFTS:
            for new in (0.1, 0.5):
                caught = sum(bool(drawn(pool, size, int(new * size), 1.0, shift)) for _ in range(asked.draws // 4))
                print(f"{size} images, {new:.0%} new, {shift}: caught {caught} of {asked.draws // 4}", flush=True)


if __name__ == "__main__":
    main()
