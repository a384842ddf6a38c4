"""How many planted copies the search for near-duplicates finds, and how many it invents.

`.venv/bin/python -m benchmarks.duplicates ARCHIVE` (a few minutes): 250 copies of each kind in `benchmarks.planted`, of
CIFAR-100 images of the second half of `train`, which nothing was tuned on, are sought among all 60,000.
`--photographs FOLDER` plants them among the pictures of a folder instead, at 160 pixels. `--sheet FILE` draws the 100
least similar pairs that were not planted, for a person to judge.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import peak_megabytes, stamp
from benchmarks.planted import CHANGES, copies
from vgg16.checks.duplicates import search
from vgg16.config.catalog import SHIPPED
from vgg16.data.images import Images, image_digests
from vgg16.data.sources import cifar

OF_EACH = 250
SIDE = 160
SHEET = 100


def photographs(folder: Path) -> Images:
    """All JPEG files below a folder, cut to squares of SIDE pixels."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    opened = (Image.open(path).convert("RGB") for path in files)
    squares = []
    for picture in opened:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        squares.append(picture.resize((SIDE, SIDE), Image.Resampling.BOX, (left, top, left + side, top + side)))
    return np.stack([np.asarray(square) for square in squares])


def sheet(images: Images, duplicates: search.NearDuplicates, own: int, path: Path) -> None:
    """The SHEET least similar pairs that were not planted, ten in a row."""
    unplanted = np.flatnonzero((duplicates.pairs < own).all(axis=1))
    least = unplanted[np.argsort(duplicates.similarities[unplanted])][:SHEET]
    drawn = Image.new("RGB", (10 * 140, -(-len(least) // 10) * 72), "white")
    for at, pair in enumerate(duplicates.pairs[least].tolist()):
        for side, row in enumerate(pair):
            picture = Image.fromarray(images[row]).resize((64, 64), Image.Resampling.BICUBIC)
            drawn.paste(picture, (at % 10 * 140 + side * 66, at // 10 * 72))
    drawn.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, nargs="?")
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--false-share", type=float, default=0.01)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.photographs:
        images = photographs(options.photographs)
        candidates = np.arange(len(images))
    else:
        arrays = cifar.read_archive(SHIPPED.datasets["cifar100"], options.archive, str(options.archive))
        images, train = arrays.images, len(arrays.images) * 5 // 6
        candidates = np.arange(train // 2, train)
    random = np.random.default_rng(2026)
    count = min(OF_EACH, len(candidates))
    names = list(CHANGES)
    sources = {name: random.choice(candidates, count, replace=False) for name in names}
    planted = np.concatenate([copies(images[rows], [name], random) for name, rows in sources.items()])
    own, everything = len(images), np.concatenate([images, planted])
    del images
    began, cpu = time.perf_counter(), time.process_time()
    duplicates = search.find(everything, options.false_share)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    pairs = {tuple(pair) for pair in duplicates.pairs.tolist()}
    recall = {
        name: float(
            np.mean([(row, own + at * count + number) in pairs for number, row in enumerate(sources[name].tolist())])
        )
        for at, name in enumerate(names)
    }
    digests = np.array(image_digests(everything[:own]))
    first, second = duplicates.pairs[(duplicates.pairs < own).all(axis=1)].T
    result = {
        "images": own,
        "planted": count * len(names),
        "recall": recall,
        "mean_recall": float(np.mean(list(recall.values()))),
        "threshold": duplicates.threshold,
        "measured": duplicates.measured,
        "false_matches_an_image": duplicates.false / duplicates.decoys,
        "pairs": len(first),
        "exact_pairs": int((digests[first] == digests[second]).sum()),
        "exact_images": int(own - len(set(digests.tolist()))),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_megabytes": round(peak_megabytes()),
        **stamp(),
    }
    print(json.dumps(result, indent=2))
    if options.sheet:
        sheet(everything, duplicates, own, options.sheet)


if __name__ == "__main__":
    main()
