"""An inbox under attack: what a day's look takes, and keeps to, when 10,000 files come each hour, most of them hostile.

`python -m benchmarks.inbox --home HOME [--hours 24]`, with a home whose `digits` has a champion, such as `vgg16 run
digits-scratch` leaves. Two days come into its folder `inbox`, the second beside all that is left of the first.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import stamp
from vgg16.workplace.workplace import open_workplace

AN_HOUR = 10_000
# What a file is: seven of ten are hostile.
GOOD, KINDS = 3, 10
LONG = "x" * 200
NAMES = ("{}.png", "={}|cmd.png", "a\n{}.png", "\u202e{}gnp.png", LONG + "{}.png", "<script>{}.png", "'; drop {}.png")
LOOK = """
import json, sys, time
from benchmarks.machine import peak_megabytes
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import open_workplace
import_tensorflow()
from vgg16.steps.watch.records import WatchRequest
from vgg16.steps.watch.watch import look_at_inbox
start = time.monotonic()
result = look_at_inbox(WatchRequest(dataset="digits", source=sys.argv[2], date=sys.argv[1]), open_workplace())
facts = {name: getattr(result, name) for name in ("end", "new", "measured", "unreadable", "left_out")}
print(json.dumps(facts | {"seconds": round(time.monotonic() - start, 1), "megabytes": round(peak_megabytes())}))
"""


def bomb(side: int) -> bytes:
    """A picture of so many black pixels squared, in some kilobytes."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG", optimize=True)
    return file.getvalue()


def digit(random: np.random.Generator) -> bytes:
    """A picture that can be read."""
    file = io.BytesIO()
    small = Image.fromarray(random.integers(0, 256, (8, 8), np.uint8))
    small.resize((32, 32), Image.Resampling.BICUBIC).convert("RGB").save(file, "PNG")
    return file.getvalue()


def fill(inbox: Path, day: int, hours: int) -> None:
    """Upload a day's files."""
    random = np.random.default_rng(day)
    hostile = [bomb(20_000), bomb(9_000), b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(5_000), bytes(300_000)]
    good = [digit(random) for _ in range(2_000)]

    for number in range(hours * AN_HOUR):
        chosen = good if number % KINDS < GOOD else hostile
        file = inbox / f"{day}" / f"{number // 1_000}" / NAMES[number % len(NAMES)].format(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chosen[number % len(chosen)])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--home", type=Path, required=True)
    asked.add_argument("--hours", type=int, default=24)
    given = asked.parse_args()
    os.environ["VGG16_HOME"] = str(given.home.resolve())
    workplace = open_workplace()
    for day in (1, 2):
        fill(given.home / "inbox", day, given.hours)
        command = [sys.executable, "-c", LOOK, f"2026-01-{day:02}", str(given.home.resolve() / "inbox")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        files = [key for key in workplace.store.keys("watch/digits/") if key.endswith(f"2026-01-{day:02}.npz")]
        kept = sum(len(workplace.store.read(key) or b"") for key in files)
        print(json.dumps({"day": day} | facts | {"kept_megabytes": round(kept / 1e6, 1)} | stamp()))


if __name__ == "__main__":
    main()
