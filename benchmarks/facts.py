"""What the checks of a large dataset cost: facts of 1.3 million generated images go through Parquet and SQLite into
Great Expectations and become Data Docs.

`.venv/bin/python -m benchmarks.facts` (two minutes). The pixels are not read: their facts are drawn. Time is the
processor's own, which other work on the machine hardly moves; memory is the most that the process ever held.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import peak_megabytes, stamp
from vgg16.checks import expectations, facts, facts_file, facts_table
from vgg16.config.types import MEASURES, SPLITS, Dataset

SIDE, COPIES = 128, 0.001
TYPICAL = (120.0, 30.0)


def dataset(classes: int, images: int) -> Dataset:
    """A dataset whose expectations generated facts meet."""
    return Dataset(
        name="generated",
        description="",
        class_names=tuple(f"class-{number:04d}" for number in range(classes)),
        image_size=SIDE,
        typical=dict.fromkeys(MEASURES, TYPICAL),
        measured_on=images,
        tolerated={"few_copies": 3 * COPIES, "no_leak": 3 * COPIES, "one_label": 3 * COPIES},
        imbalance=None,
    )


def generated(row: Dataset, images: int) -> Iterator[pd.DataFrame]:
    """Facts of that many images, stretch by stretch; a few have the same pixels."""
    random = np.random.default_rng(0)
    names, mean, spread = np.array(row.class_names), *TYPICAL
    for stretch in facts.stretches(images):
        rows = np.arange(stretch.start, stretch.stop)
        content = np.where(random.random(len(rows)) < COPIES / 2, np.maximum(rows - 700, 0), rows)
        low = random.integers(0, 40, len(rows)).astype(np.float32)
        yield pd.DataFrame(
            {
                "row": rows,
                "split": np.array(SPLITS)[(rows // len(names)) % len(SPLITS)],
                "label": names[rows % len(names)],
                "shape": f"{SIDE}x{SIDE}x3",
                "dtype": "uint8",
                "digest": [f"{number * 2654435761 % 2**64:064x}" for number in content.tolist()],
                "min": low,
                "max": low + 180,
                "mean": random.normal(mean, spread, len(rows)).astype(np.float32),
                "std": random.uniform(20, 60, len(rows)).astype(np.float32),
                **{name: random.normal(mean, spread / np.sqrt(len(rows))) for name in MEASURES},
                **dict.fromkeys(facts.SPREADS, spread),
            }
        )


def check(images: int, classes: int, folder: Path) -> list[tuple[str, float, float]]:
    """Each step with its seconds of the processor and the most memory since the process began, in MB."""
    row, steps = dataset(classes, images), []

    def done(step: str, started: float) -> None:
        steps.append((step, time.process_time() - started, peak_megabytes()))

    done("imports", 0)
    started = time.process_time()
    facts_file.write_tables(generated(row, images), folder / "facts.parquet", {})
    done("facts generated and written", started)
    started = time.process_time()
    table = facts_table.load(folder / "facts.parquet", folder / "facts.sqlite", classes)
    done("loaded into SQLite and counted", started)
    started = time.process_time()
    results = expectations.judge(row, table)
    done(f"{len(results)} expectations judged", started)
    failed = [result.rule.name for result in results if not result.ok]
    assert not failed, failed
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_300_000)
    parser.add_argument("--classes", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print(f"checks of {asked.images:,} images in {asked.classes} classes; {json.dumps(stamp())}")
        for step, seconds, memory in check(asked.images, asked.classes, Path(folder)):
            print(f"{step}: {seconds:.1f} s of the processor, at most {memory:.0f} MB so far")
        sizes = {file.name: round(file.stat().st_size / 1e6) for file in Path(folder).iterdir()}
        print(f"files in MB: {json.dumps(sizes)}")


if __name__ == "__main__":
    main()
