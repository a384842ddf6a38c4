"""How many of a burst's near-equal pictures are seen to be such, and how many pictures of different scenes are taken
for a burst.

`.venv/bin/python -m benchmarks.drift_bursts [ARCHIVE] [--photographs FOLDER]`, two minutes on two cores: scenes of the
digits, of CIFAR-100's test images, of the photographs of a folder at 128 pixels. A burst is of one scene as a hand
holds a camera: each frame cut from another place, 3 % of the side around the middle one, with up to 5 % more or less
light and with noise of 0.02.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.duplicates import photographs
from benchmarks.machine import stamp
from vgg16.checks.drift.distinct import distinct
from vgg16.checks.duplicates.describe import describe
from vgg16.config.catalog import SHIPPED
from vgg16.data.images import Images
from vgg16.data.sources.cifar import read_archive
from vgg16.data.sources.generated import make

SCENES, FRAMES = 500, (3, 10)
MOVED, LIGHT, NOISE = 0.03, 0.05, 0.02


def frames(scene: Images, count: int, random: np.random.Generator) -> Images:
    """A burst of one scene, uint8 [count, h, w, 3]."""
    side = scene.shape[0]
    picture = Image.fromarray(scene)
    taken = []
    for _ in range(count):
        left, top = side * MOVED * random.uniform(0, 2, 2)
        kept = side * (1 - 2 * MOVED)
        frame = picture.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + kept, top + kept))
        light = np.asarray(frame, np.float32) * random.uniform(1 - LIGHT, 1 + LIGHT)
        taken.append(light + random.normal(0, NOISE * 255, light.shape))
    return np.clip(np.rint(taken), 0, 255).astype(np.uint8)


def measure(name: str, scenes: Images, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    alone = distinct(describe(scenes))
    told = {"images": name, "of": len(scenes), "distinct": len(alone)}
    # What chance or the scenes themselves have near-equal is no burst.
    scenes = scenes[alone]
    chosen = scenes[random.permutation(len(scenes))[:SCENES]]
    for count in FRAMES:
        start = time.process_time()
        burst = np.concatenate([frames(scene, count, random) for scene in chosen])
        extra = len(chosen) * (count - 1)
        kept = np.bincount(distinct(describe(burst)) // count, minlength=len(chosen))
        seconds = time.process_time() - start
        unseen, merged = int(np.maximum(kept - 1, 0).sum()), int((kept == 0).sum())
        told |= {
            f"extra_of_{count}": extra,
            f"unseen_of_{count}": unseen,
            f"scenes_merged_of_{count}": merged,
            f"seconds_of_{count}": round(seconds, 1),
        }
    print(json.dumps(told), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, nargs="?")
    parser.add_argument("--photographs", type=Path)
    options = parser.parse_args()
    measure("digits", make(SHIPPED.datasets["digits"]).images)
    if options.archive:
        measure("cifar100", read_archive(SHIPPED.datasets["cifar100"], options.archive, "").part("test")[0][:2_000])
    if options.photographs:
        measure("photographs", photographs(options.photographs))
    print(json.dumps(stamp()))


if __name__ == "__main__":
    main()
