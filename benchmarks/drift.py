"""How often drift is told of where there is none, what is found of planted drifts, and how sure an estimated accuracy
is.

`.venv/bin/python -m benchmarks.drift FILE`, of what `benchmarks.drift_facts` has written: minutes on two cores for all
parts, each of which `--only` chooses: years, power, mixed, slow, accuracy. Every year has a reference of its own, drawn
like its days from the images of the file. `--seed` chooses other years. The level and the least effect were set
before any of them was drawn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift_facts import Pool, load
from benchmarks.drift_years import Gridded, alarms, beginnings, largest_distances
from benchmarks.machine import stamp
from vgg16.checks.drift.accuracy import estimated_top1
from vgg16.checks.drift.facts import CONFIDENCE, Facts
from vgg16.checks.drift.look import look
from vgg16.checks.drift.watch import DAILY, WINDOWS, Watch, like_part, mixtures
from vgg16.statistics import proportion_interval

DAYS = 365
REFERENCES, RATES = (36, 200, 1_000, 5_000), (200, 1_000)
# Of each scene so many near-equal pictures, and the part of the extra ones that are not seen to be such:
# `benchmarks.drift_bursts` measures it.
BURSTS, UNSEEN = (1, 3, 10, 0), 0.003


def share(count: int, of: int) -> dict[str, Any]:
    low, high = proportion_interval(count, of)
    return {"share": round(count / of, 4), "interval": [round(low, 4), round(high, 4)]}


def a_day(random: np.random.Generator, images: int, pool: int, burst: int, unseen: float) -> np.ndarray[Any, Any]:
    """The rows of one day's pictures that are counted."""
    scenes = random.integers(pool, size=-(-images // burst))
    extra = np.repeat(scenes, burst - 1)
    return np.concatenate([scenes, extra[random.random(len(extra)) < unseen]])


def years(pool: Pool, times: int, seed: int, bursts: Sequence[int], daily: float) -> None:
    """False alarms: of each burst, rate and reference in `times` years."""
    (grid,) = Gridded.of(pool.facts.values)
    size, facts = len(pool.facts), len(pool.facts.names)
    # The last one shows what happens where near-equal pictures are not seen to be such.
    cases = [(burst, UNSEEN) for burst in bursts if burst] + [(3, 1.0)] * (0 in bursts)
    for burst, unseen in cases:
        for rate in RATES:
            told = {reference: np.zeros((times, 2), int) for reference in REFERENCES}
            for year in range(times):
                random = np.random.default_rng((seed, year, rate, burst))
                days = [a_day(random, rate, size, burst, unseen) for _ in range(DAYS)]
                images = np.array([len(day) for day in days])
                counts = grid.counts(np.repeat(np.arange(DAYS), images), np.concatenate(days), DAYS)
                for reference in REFERENCES:
                    rows = random.integers(size, size=reference)
                    own = grid.counts(np.zeros(reference, np.intp), rows, 1)[0]
                    alarmed = alarms(largest_distances(counts, own), images, reference, facts, daily)
                    told[reference][year] = beginnings(alarmed), alarmed.sum()
            for reference, counted in told.items():
                answer = {
                    "burst": burst if unseen < 1 else f"{burst}, each counted",
                    "a_day": rate,
                    "reference": reference,
                    "at_most_one": share(int((counted[:, 0] <= 1).sum()), times),
                    "none": share(int((counted[:, 0] == 0).sum()), times),
                    "alarm_days_a_year": round(float(counted[:, 1].mean()), 3),
                }
                print(json.dumps(answer), flush=True)


def power(pools: dict[str, Pool], times: int, seed: int) -> None:
    """What one day shows of each drift, by the real test; and the facts that move most often."""
    clean = pools[""].facts
    for kind, pool in pools.items():
        if kind == "new":
            continue
        for reference in REFERENCES[1:]:
            for rate in RATES:
                alarmed = 0
                for number in range(times):
                    random = np.random.default_rng((seed, number, rate, reference))
                    before = clean.rows(random.integers(len(clean), size=reference))
                    now = pool.facts.rows(random.integers(len(pool.facts), size=rate))
                    alarmed += look(before, now, DAILY / len(WINDOWS)).verdict == "drifted"
                case = {"drift": kind or "none", "reference": reference, "a_day": rate}
                print(json.dumps(case | share(alarmed, times)), flush=True)


def mixed(pools: dict[str, Pool], times: int, seed: int) -> None:
    """What one day shows beside a gate of 1,000 whose newest part was labelled after another camera came: where all
    pictures are that camera's, none or half, and where all are of a third kind; beside the gate as a whole, and by its
    newest and older images in other shares too."""
    clean, newest = pools[""].facts, pools["camera"].facts
    for kind in ["half", *(name for name in pools if name != "new")]:
        of_kinds = [pools[""], pools["camera"]] if kind == "half" else [pools[kind]]
        for part in (50, 100, 300):
            for rate in RATES:
                plain = ours = 0
                for number in range(times):
                    random = np.random.default_rng((seed, number, rate, part))
                    apart = newest.rows(random.integers(len(newest), size=part))
                    rest = clean.rows(random.integers(len(clean), size=1_000 - part))
                    drawn = [
                        pool.facts.values[random.integers(len(pool.facts), size=rate // len(of_kinds))]
                        for pool in of_kinds
                    ]
                    now = Facts(clean.names, np.concatenate(drawn))
                    whole, *parts = (
                        Watch({1: look(one, now, DAILY / len(WINDOWS))})
                        for one in (
                            Facts(clean.names, np.concatenate([rest.values, apart.values])),
                            *mixtures(rest, apart).values(),
                        )
                    )
                    plain += whole.drifted
                    ours += whole.drifted and not any(like_part(whole, one) for one in parts)
                case = {"now": kind or "none", "newest": part, "a_day": rate}
                print(json.dumps(case | {"plain": plain / times} | share(ours, times)), flush=True)


def slow(pools: dict[str, Pool], times: int, seed: int) -> None:
    """A drift that a tenth more of the pictures have each week, after four weeks without: alarmed until the end of its
    third week."""
    size, facts, weeks = len(pools[""].facts), len(pools[""].facts.names), 7
    for kind in [name for name in pools if name not in ("", "new")]:
        grid, changed = Gridded.of(pools[""].facts.values, pools[kind].facts.values)
        for reference in REFERENCES[2:]:
            for rate in RATES:
                first: list[int] = []
                for number in range(times):
                    random = np.random.default_rng((seed, number, rate, reference))
                    parts = np.repeat([0, 0, 0, 0, *np.arange(1, 11) / 10], weeks)
                    others = np.rint(parts * rate).astype(np.intp)
                    days = np.arange(len(parts))
                    counts = grid.counts(
                        np.repeat(days, rate - others), random.integers(size, size=(rate - others).sum()), len(days)
                    ) + changed.counts(
                        np.repeat(days, others), random.integers(len(pools[kind].facts), size=others.sum()), len(days)
                    )
                    rows = random.integers(size, size=reference)
                    own = grid.counts(np.zeros(reference, np.intp), rows, 1)[0]
                    alarmed = alarms(largest_distances(counts, own), np.full(len(days), rate), reference, facts)
                    first.append(int(alarmed[28:].argmax()) if alarmed[28:].any() else len(days))
                case = {"slow": kind, "reference": reference, "a_day": rate}
                found = share(sum(day < 3 * weeks for day in first), times)
                median = {"median_day": int(np.median(first)) + 1}
                print(json.dumps(case | {"by_third_week": found} | median), flush=True)


def accuracy(pools: dict[str, Pool], times: int, seed: int) -> None:
    """The interval of the estimated accuracy, over all windows and over those that do not alarm."""
    clean, new = pools[""], pools["new"]
    cases = [(kind, 0.0) for kind in pools if kind != "new"] + [("", 0.1), ("", 0.3)]
    for kind, part in cases:
        for reference in REFERENCES:
            for rate in RATES:
                errors, covered, quiet = [], [], []
                for number in range(times):
                    random = np.random.default_rng((seed, number, rate, reference))
                    before = random.integers(len(clean.facts), size=reference)
                    strange = random.integers(len(new.facts), size=round(part * rate))
                    now = random.integers(len(pools[kind].facts), size=rate - len(strange))
                    values = np.concatenate([pools[kind].facts.rows(now).values, new.facts.rows(strange).values])
                    facts = type(clean.facts)(clean.facts.names, values)
                    gate = clean.facts.rows(before)
                    estimate = estimated_top1(gate.column(CONFIDENCE), clean.correct[before], facts.column(CONFIDENCE))
                    true = float(pools[kind].correct[now].sum()) / rate
                    errors.append(estimate.value - true)
                    covered.append(estimate.interval[0] <= true <= estimate.interval[1])
                    quiet.append(look(gate, facts, DAILY / len(WINDOWS)).verdict != "drifted")
                inside, still = np.array(covered), np.array(quiet)
                answer = {
                    "drift": f"{part:.0%} of new classes" if part else kind or "none",
                    "reference": reference,
                    "a_day": rate,
                    "bias": round(float(np.mean(errors)), 4),
                    "sd": round(float(np.std(errors)), 4),
                    "covered": share(int(inside.sum()), times),
                    "not_alarmed": share(int(still.sum()), times),
                }
                if still.any():
                    answer["covered_where_not_alarmed"] = share(int(inside[still].sum()), int(still.sum()))
                print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", choices=["years", "power", "mixed", "slow", "accuracy"])
    parser.add_argument("--bursts", type=int, nargs="+", default=BURSTS)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--daily", type=float, default=DAILY)
    options = parser.parse_args()
    pools, start = load(options.file), time.process_time()
    if options.only in (None, "years"):
        years(pools[""], options.times, options.seed, options.bursts, options.daily)
    for part in (power, mixed, slow, accuracy):
        if options.only in (None, part.__name__):
            part(pools, options.times, options.seed)
    seconds = round(time.process_time() - start)
    print(json.dumps(stamp() | {"file": options.file.name, "times": options.times, "processor_seconds": seconds}))


if __name__ == "__main__":
    main()
