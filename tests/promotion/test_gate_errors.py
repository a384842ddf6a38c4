"""The whole gate on simulated models whose truth is known: how often it errs, and what a year of it costs.

5,000 gate images of 20 superclasses, of which every model answers 60 % right and 14 % wrong; on the other 26 % each
answers as a coin of its own falls, so that two equally good models are judged differently on 13 % of all.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import pytest

from vgg16.config.types import GateRules
from vgg16.promotion import gates
from vgg16.records import Evaluation, Speed
from vgg16.statistics import mcnemar_p

IMAGES, SUPERCLASSES, SURE, OPEN = 5000, 20, 0.60, 0.26
GROUPS = tuple(f"superclass {number}" for number in range(SUPERCLASSES))
KINDS, CORRUPTED = 5, 1000
START = SURE + OPEN / 2


@dataclass
class Split:
    """A gate split, and how often it has judged."""

    random: np.random.Generator
    images: int = IMAGES
    judged: int = 0
    group_of: np.ndarray = field(init=False)
    open: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.group_of = np.arange(self.images) % SUPERCLASSES
        places = self.random.permutation(self.images)
        self.sure = np.zeros(self.images, bool)
        self.sure[places[: round(SURE * self.images)]] = True
        self.open = np.zeros(self.images, bool)
        self.open[places[round(SURE * self.images) :][: round(OPEN * self.images)]] = True


@dataclass
class Model:
    """A model of this true top-1, and its answers on a split."""

    top1: float

    def answer(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        lucky = (self.top1 - SURE) / OPEN
        right = split.sure | (split.open & (split.random.random(split.images) < lucky))
        corrupted = np.tile(split.sure[:CORRUPTED], (KINDS, 1))
        corrupted |= split.random.random(corrupted.shape) < lucky * OPEN
        return right, corrupted


def evidence(
    split: Split, challenger: tuple, opponents: dict[str, tuple], rules: GateRules, judgement: int
) -> gates.Evidence:
    right = challenger[0]
    pairs = tuple(
        gates.compare(role, "1", challenger, answers, split.group_of, GROUPS) for role, answers in opponents.items()
    )
    evaluation = Evaluation(
        split="gate",
        images=len(right),
        images_digest="",
        top1=right.mean(),
        top1_interval=(right.mean() - 0.02, 1),
        top5=1,
        top5_interval=(1, 1),
        loss=1,
        brier=0.3,
        ece=0.02,
        ece_interval=(0.01, 0.03),
        reliability=(),
        classes=(),
        confusion=(),
    )
    scored = gates.Scored(evaluation, Speed(latency_ms=5, images_per_s=200), 60)
    return gates.Evidence(scored, {}, pairs, judgement, rules)


def verdicts(gain: float, times: int, images: int = IMAGES, judgement: int = 1) -> Counter[str]:
    """How the first judgements of so many splits end, or later ones, of challengers that are better by `gain`."""
    random = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    for _ in range(times):
        split = Split(random, images)
        champion, challenger = (Model(top1).answer(split) for top1 in (START, START + gain))
        counts[gates.judge(evidence(split, challenger, {"champion": champion}, GateRules(), judgement)).verdict] += 1
    return counts


def test_of_two_equal_models_the_challenger_is_promoted_in_at_most_three_of_a_hundred_cases() -> None:
    assert verdicts(0.0, 4000)["promote"] <= 0.03 * 4000


def test_a_challenger_two_points_better_is_promoted_in_ninety_five_of_a_hundred_cases() -> None:
    assert verdicts(0.02, 4000)["promote"] >= 0.95 * 4000


def test_images_that_judged_nine_times_still_find_a_challenger_three_points_better() -> None:
    assert verdicts(0.03, 500, judgement=10)["promote"] >= 0.95 * 500


def test_a_challenger_one_point_worse_is_never_promoted() -> None:
    assert verdicts(-0.01, 4000)["promote"] == 0


@pytest.mark.parametrize("gain", [-0.01, 0.0, 0.01])
def test_a_small_split_says_undecided_rather_than_guess(gain: float) -> None:
    counts = verdicts(gain, 1000, images=143)
    assert counts["promote"] <= 50
    assert counts["undecided"] >= 750


def test_all_judgements_of_a_split_together_spend_alpha_and_no_more() -> None:
    rules = GateRules(alpha=0.025)
    spent = [gates.Evidence(None, {}, (), number, rules).alpha for number in range(1, 100_001)]  # type: ignore[arg-type]
    assert sum(spent) < rules.alpha
    assert sum(spent) > 0.9999 * rules.alpha
    assert spent[0] > rules.alpha / 2
    assert sum(spent[:52]) > 0.98 * rules.alpha


def test_in_a_year_of_weekly_challengers_that_are_no_better_one_in_forty_promotes_any() -> None:
    """What `better` asks of each, without the other gates, which could only turn more away."""
    random = np.random.default_rng(0)
    rules, decided_by, promoted = GateRules(), round(OPEN * IMAGES), 0
    for _ in range(2000):
        champion, lucky = random.random(decided_by) < 0.5, 0
        for week in range(1, 53):
            challenger = random.random(decided_by) < 0.5
            wins, losses = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
            alpha = gates.Evidence(None, {}, (), week, rules).alpha  # type: ignore[arg-type]
            if wins > losses and mcnemar_p(wins, losses) <= alpha:
                champion, lucky = challenger, lucky + 1
        promoted += lucky > 0
    assert promoted <= rules.alpha * 2000


def year(gain: float, rules: GateRules, seed: int, *, fresh: bool = False) -> tuple[float, float]:
    """Of 52 weekly challengers, each that much better than the champion of its week: the last champion's measured top-1
    on the split less its true one, and the true top-1 that the year has gained. `fresh`: on new images each week."""
    random = np.random.default_rng(seed)
    split = Split(random)
    champion = reference = Model(START)
    judged = 0
    answers = {id(champion): champion.answer(split)}
    for _ in range(52):
        if fresh:
            split = Split(random)
            answers = {id(model): model.answer(split) for model in (champion, reference)}
        challenger = Model(champion.top1 + gain)
        answers[id(challenger)] = challenger.answer(split)
        opponents = {"champion": answers[id(champion)]}
        if rules.policy == "non-inferior" and reference is not champion:
            opponents["reference"] = answers[id(reference)]
        judged += 1
        week = evidence(split, answers[id(challenger)], opponents, rules, judged)
        if gates.judge(week).verdict == "promote":
            if gates.significantly_better(week):
                reference = challenger
                judged = 0 if fresh else judged
            champion = challenger
    return float(answers[id(champion)][0].mean()) - champion.top1, champion.top1 - START


# Under the policy `non-inferior` the images are fresh.
@pytest.mark.parametrize(("policy", "fresh"), [("better", False), ("non-inferior", True)])
def test_a_year_of_equal_challengers_leaves_the_champion_measured_as_it_is(policy: str, fresh: bool) -> None:
    years = [year(0.0, GateRules(policy=policy), seed, fresh=fresh) for seed in range(200)]
    assert abs(np.mean([measured for measured, _ in years])) <= 0.002


@pytest.mark.parametrize("fresh", [False, True])
def test_a_year_of_slightly_worse_challengers_costs_little_where_non_inferior_is_enough(fresh: bool) -> None:
    years = [year(-0.003, GateRules(policy="non-inferior"), seed, fresh=fresh) for seed in range(200)]
    assert -np.mean([gained for _, gained in years]) <= 0.003


def year_of_growth(seed: int, *, anew: bool) -> tuple[float, int]:
    """Of 52 weekly challengers, each as good as the champion of its week, on a split that grows from half of its images
    to all: the last champion's measured top-1 less its true one, and how many were promoted. `anew`: each week's images
    are called new ones, though most of them have judged before."""
    random = np.random.default_rng(seed)
    split = Split(random)
    order = random.permutation(IMAGES)
    model, promoted = Model(START), 0
    champion = model.answer(split)
    for week in range(52):
        shown = order[: IMAGES // 2 + IMAGES // 2 * week // 51]
        part = copy(split)
        part.group_of = split.group_of[shown]
        challenger = model.answer(split)
        pair = [(right[shown], corrupted) for right, corrupted in (challenger, champion)]
        judged = evidence(part, pair[0], {"champion": pair[1]}, GateRules(), 1 if anew else week + 1)
        if gates.judge(judged).verdict == "promote":
            champion, promoted = challenger, promoted + 1
    return float(champion[0].mean()) - model.top1, promoted


def test_on_a_growing_split_luck_is_not_promoted_because_looks_at_its_old_images_count() -> None:
    counted, anew = ([year_of_growth(seed, anew=anew) for seed in range(100)] for anew in (False, True))
    assert abs(np.mean([measured for measured, _ in counted])) <= 0.002
    assert np.mean([promoted for _, promoted in counted]) <= 0.2
    # Were they counted anew, luck would be promoted three times as often.
    assert np.mean([measured for measured, _ in anew]) >= 0.003
    assert np.mean([promoted for _, promoted in anew]) >= 0.2
