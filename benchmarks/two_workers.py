"""What a second worker buys: a chain of four members on one worker, and on two, which share only S3 and the servers.

`.venv/bin/python -m benchmarks.two_workers` (about half an hour on two cores; `--rounds`, `--epochs`). Each worker
has a home and one thread of its own. Starts the local stack in a temporary home and ends it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from datetime import datetime
from pathlib import Path

from tests.system.conftest import started
from tests.system.team import Team
from vgg16.flows.server import VERDICTS

MEMBERS = ["digits-scratch", "digits-adam", "digits-dropout", "digits-finetune"]


def seconds(team: Team, epochs: int, seed: int) -> float:
    settings = [f"phases.0.epochs={epochs}", f"seed={seed}"]
    ended = team.ended(team.start(experiments=MEMBERS, overrides=settings), 3600)
    assert ended["state_name"] in VERDICTS, ended["state"]
    start, done = (datetime.fromisoformat(ended[key]) for key in ("start_time", "end_time"))
    return (done - start).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    asked = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder, started() as stack:
        team = Team(stack, Path(folder))
        team.worker("office", "cpu")
        team.worker("one", "gpu")
        # The base of digits-finetune is trained once, and is found from then on.
        seconds(team, 1, 1)
        for number in range(asked.rounds):
            alone = seconds(team, asked.epochs, 10 + 2 * number)
            team.worker("two", "gpu")
            both = seconds(team, asked.epochs, 11 + 2 * number)
            team.die("two")
            ratios.append(alone / both)
            print(f"one worker {alone:.0f} s, two workers {both:.0f} s: {ratios[-1]:.2f} times as fast", flush=True)
        for name in list(team.workers):
            team.die(name)
    print(f"median of {len(ratios)}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
