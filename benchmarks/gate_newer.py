"""The gate where some of its images are newer than the champion: how often a challenger that mends what the champion
lost there is promoted, and one that is no better.

`make bench`, or `python -m benchmarks.gate_newer` (about two minutes on two cores). Two models that are equally good
disagree on a share of the images, half of it won and half lost by each, on newer images as on older ones; a challenger
that mends a loss wins that many points of the newer ones besides. The rule is the gate's own, `gates.better`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import stamp
from vgg16.config.types import GateRules
from vgg16.promotion import gates
from vgg16.statistics import PairedComparison, mcnemar_p, mean_interval, proportion_interval


def passes(
    newer: PairedComparison, older: PairedComparison, judgement: int, newer_judgement: int, rules: GateRules
) -> tuple[bool, bool]:
    """Whether the challenger is better by the plain rule, and where newer images are judged apart."""
    counts = {name: getattr(newer, name) + getattr(older, name) for name in ("images", "wins", "losses")}

    def better(apart: PairedComparison | None) -> bool:
        opponent = gates.Opponent(
            role="champion", version="1", top1=0.9, groups={}, corrupted=(0, 1), newer=apart, **counts
        )
        evidence = gates.Evidence(
            None,  # type: ignore[arg-type]  # the rule asks for the comparison alone
            {},
            (opponent,),
            judgement,
            rules,
            newer_judgement=newer_judgement,
        )
        return bool(gates.better(evidence).passed)

    return better(None), better(newer if newer.images else None)


@dataclass(frozen=True)
class Gate:
    """So many images, `newer` of which are newer than the champion, in their judgement `judgement`, the newer ones' own
    being `newer_judgement`. Two equally good models disagree on the share `disagreed`."""

    images: int = 1000
    newer: int = 100
    disagreed: float = 0.05
    judgement: int = 1
    newer_judgement: int = 1
    rules: GateRules = field(default_factory=GateRules)

    def promoted(self, gain: float, times: int, lost: float = 0.0) -> tuple[int, int]:
        """Of so many challengers that gain so much on newer images and lose `lost` on older ones, how many are better
        by the plain rule, and where newer images are judged apart."""
        random, rest = np.random.default_rng(0), self.disagreed
        parts = [
            random.multinomial(
                images, [rest / 2 + max(gained, 0), rest / 2 + max(-gained, 0), 1 - rest - abs(gained)], times
            )
            for images, gained in ((self.newer, gain), (self.images - self.newer, -lost))
        ]
        counts = [0, 0]
        for (won, failed, _), (older_won, older_failed, _) in zip(*parts, strict=True):
            newer = PairedComparison(int(won), int(failed), self.newer)
            older = PairedComparison(int(older_won), int(older_failed), self.images - self.newer)
            passed = passes(newer, older, self.judgement, self.newer_judgement, self.rules)
            counts = [count + one for count, one in zip(counts, passed, strict=True)]
        return counts[0], counts[1]


@dataclass(frozen=True)
class Year:
    """A gate that begins with so many images and gets `arriving` every `weeks` weeks; two models disagree on the share
    `disagreed`."""

    images: int = 1000
    arriving: int = 100
    weeks: int = 4
    disagreed: float = 0.13
    renewed: int = 0
    """After so many weeks each time another model, as good, becomes the champion; 0 for never."""

    def false_promotions(self, seed: int, *, apart: bool) -> int:
        """Of 52 weekly challengers, each as good as the champion of its week and trained on the images of its week, how
        many are promoted. Looks count where they share an image, with all and with the newer ones."""
        random = np.random.default_rng(seed)
        sizes = [self.images + self.arriving * (week // self.weeks) for week in range(52)]
        # What one answers by chance alone: of these images each of two models answers half right.
        by_chance = random.random(sizes[-1]) < 2 * self.disagreed
        champion, there, promoted = self._answers(random, by_chance), sizes[0], 0
        for week, size in enumerate(sizes):
            challenger = self._answers(random, by_chance)
            newer, older = (_compared(challenger, champion, slice(*ends)) for ends in ((there, size), (0, there)))
            looks = sum(before > there for before in sizes[: week + 1])
            if _could(newer, older) and passes(newer, older, week + 1, looks, GateRules())[apart]:
                champion, there, promoted = challenger, size, promoted + 1
            if self.renewed and week % self.renewed == self.renewed - 1:
                champion, there = self._answers(random, by_chance), size
        return promoted

    @staticmethod
    def _answers(random: np.random.Generator, by_chance: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return by_chance & (random.random(len(by_chance)) < 0.5)


def _could(newer: PairedComparison, older: PairedComparison) -> bool:
    """Whether any alpha of a judgement could call it better on all or on the newer images; most are not asked."""
    whole = mcnemar_p(newer.wins + older.wins, newer.losses + older.losses)
    return min(whole, newer.mcnemar_p) <= GateRules().alpha


def _compared(challenger: NDArray[np.bool_], champion: NDArray[np.bool_], part: slice) -> PairedComparison:
    one, other = challenger[part], champion[part]
    return PairedComparison(int((one & ~other).sum()), int((other & ~one).sum()), len(one))


def _share(count: int, of: int) -> str:
    low, high = proportion_interval(count, of)
    return f"{100 * count / of:5.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _lines(gates_and_gains: Iterator[tuple[str, Gate, float, float]], times: int) -> None:
    for name, gate, gain, lost in gates_and_gains:
        plain, apart = gate.promoted(gain, times, lost)
        print(f"{name:<58} plain {_share(plain, times):<24} apart {_share(apart, times)}", flush=True)


def mended(disagreed: tuple[float, ...]) -> Iterator[tuple[str, Gate, float, float]]:
    """17 points on a tenth of 1,000 images, at the first and the tenth judgement."""
    for share, (judgement, newer) in product(disagreed, ((1, 1), (10, 1), (10, 10))):
        name = f"{100 * share:g} % differ, judgement {judgement}, of the newer ones {newer}"
        yield name, Gate(disagreed=share, judgement=judgement, newer_judgement=newer), 0.17, 0.0


def sizes(disagreed: tuple[float, ...]) -> Iterator[tuple[str, Gate, float, float]]:
    """Other gains, on other parts of other gates."""
    for share, images, newer, gain in product(disagreed, (500, 1000, 5000), (50, 100, 200), (0.05, 0.1, 0.17)):
        name = f"{100 * share:g} % differ, {newer} newer of {images}, {100 * gain:g} points"
        yield name, Gate(images, newer, share), gain, 0.0


def others(disagreed: tuple[float, ...]) -> Iterator[tuple[str, Gate, float, float]]:
    """Challengers that have paid for the gain, that are as good, and that are better everywhere."""
    for share in disagreed:
        gate = partial(Gate, disagreed=share)
        for lost in (0.005, 0.01, 0.02, 0.03):
            yield f"{100 * share:g} % differ, 17 points newer, {100 * lost:g} older lost", gate(), 0.17, lost
        for margin in (0.01, 0.02):
            rules = GateRules(noninferiority_margin=margin)
            yield f"{100 * share:g} % differ, 17 points, {100 * margin:g} may be lost", gate(rules=rules), 0.17, 0.0
        yield f"{100 * share:g} % differ, as good everywhere", gate(), 0.0, 0.0
        yield f"{100 * share:g} % differ, two points better everywhere, of 5,000", gate(5000, 500), 0.02, -0.02


def years(count: int) -> None:
    """Equal challengers each week, with images that come each month, each week or never."""
    for name, year in (
        ("none come", Year(arriving=0)),
        ("100 come each month", Year()),
        ("25 come each week", Year(arriving=25, weeks=1)),
        ("100 come each month, 5 % differ", Year(disagreed=0.05)),
        ("100 come each month, and a champion", Year(weeks=4, renewed=4)),
    ):
        for apart in (False, True):
            promoted = [year.false_promotions(seed, apart=apart) for seed in range(count)]
            low, high = mean_interval(promoted)
            how = "apart" if apart else "plain"
            print(f"{name:<36} {how} {np.mean(promoted):.4f} a year ({low:.4f} to {high:.4f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=4000)
    parser.add_argument("--years", type=int, default=2000)
    chosen = parser.parse_args()
    begun = perf_counter()
    print(stamp())
    _lines(mended((0.045, 0.05, 0.1, 0.13, 0.2)), chosen.times)
    _lines(sizes((0.05, 0.13)), chosen.times // 4)
    _lines(others((0.05, 0.13)), chosen.times)
    years(chosen.years)
    print(f"{perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
