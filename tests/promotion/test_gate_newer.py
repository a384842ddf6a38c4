"""Gate images that are newer than the champion: when they are judged apart, what is said, and how often that errs."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gate_newer import Gate, Year
from tests.promotion.test_judgement import against, evaluation_of, evidence
from vgg16.promotion import gates
from vgg16.promotion.newer import least_images
from vgg16.records import Verdict
from vgg16.statistics import PairedComparison, mcnemar_p


def judged(wins: int, losses: int, newer: PairedComparison | None, *, of: int = 1000, **rules: Any) -> Verdict:
    """So many images won and lost of all, and what of them is newer; the gate passes all else."""
    return gates.judge(evidence(evaluation_of(900), against(wins, losses, of, newer=newer), **rules))


MENDED = PairedComparison(20, 3, 100)
# Wins and losses on all, on which newer ones, the verdict, and what its reasons say.
CASES: dict[str, tuple[int, int, PairedComparison | None, str, tuple[str, ...]]] = {
    "better on newer images, where all cannot tell": (
        43,
        26,
        MENDED,
        "promote",
        (
            "better on newer images than the champion (version 3, 0.5000 on the same 1000 gate images): +1.7 points (",
            "on the 100 newer than it +17.0 points (+7.6 to +25.7)",
            "p = 0.00024 at alpha 0.0076 (judgement 1 of these images, 0.0125 in all)",
            "on the 900 older +0.0 points (-1.5 to +1.5), p of a loss = 0.56; on all at the least +0.3, asked -0.5",
        ),
    ),
    "better on all, by half of alpha": (60, 20, PairedComparison(5, 5, 100), "promote", ("better than the champion",)),
    "better on all by all of alpha, and not by half": (
        60,
        37,
        PairedComparison(5, 5, 100),
        "undecided",
        ("not surely better than", "p = 0.012 at alpha 0.0076 (judgement 1 of these images, 0.0125 in all)"),
    ),
    "better on newer images, paid for with older ones": (22, 18, MENDED, "refuse", ("p of a loss = 0.0012",)),
    "the same, and worse on all": (20, 43, MENDED, "refuse", ("worse than the champion",)),
    "better on newer images, and on all perhaps worse": (
        83,
        78,
        MENDED,
        "undecided",
        ("on all at the least -1.6, asked -0.5",),
    ),
    "too many images for what the newer ones could add": (
        43,
        30,
        PairedComparison(12, 6, 100),
        "undecided",
        ("less than 2.0 points better", "on the 100 newer than it +6.0"),
    ),
    "of these the newer ones add nothing either": (43, 30, PairedComparison(0, 9, 100), "refuse", ("less than",)),
}


@pytest.mark.parametrize("case", CASES)
def test_images_newer_than_the_champion_are_judged_apart(case: str) -> None:
    wins, losses, newer, verdict, reasons = CASES[case]
    of = 5000 if "less than" in reasons[0] else 1000
    result = judged(wins, losses, newer, of=of)
    text = "; ".join(result.reasons)
    assert result.verdict == verdict, text
    assert all(reason in text for reason in reasons), text


@pytest.mark.parametrize("newer", [None, PairedComparison(7, 0, 7), PairedComparison(60, 37, 1000)])
@pytest.mark.parametrize(("wins", "losses"), [(60, 37), (20, 60), (30, 30), (60, 20)])
def test_without_older_or_enough_newer_images_nothing_changes(
    newer: PairedComparison | None, wins: int, losses: int
) -> None:
    assert judged(wins, losses, newer) == judged(wins, losses, None)


@pytest.mark.parametrize("wins", [43, 120])
def test_non_inferior_asks_of_all_images_as_before(wins: int) -> None:
    asked = {"policy": "non-inferior"}
    assert judged(wins, 26, MENDED, **asked) == judged(wins, 26, None, **asked)


@pytest.mark.parametrize("alpha", [0.0076, 0.0019, 0.000076, 0.25])
def test_so_few_newer_images_could_never_show_anything(alpha: float) -> None:
    least = least_images(alpha)
    assert mcnemar_p(least - 1, 0) > alpha >= mcnemar_p(least, 0)


def test_newer_images_spend_by_their_own_looks() -> None:
    first = evidence(evaluation_of(900), against(43, 26, newer=MENDED), judgement=30)
    often = gates.Evidence(first.challenger, {}, first.opponents, 30, first.rules, newer_judgement=30)
    assert (gates.judge(first).verdict, gates.judge(often).verdict) == ("promote", "undecided")
    assert gates.significantly_better(first)
    assert not gates.significantly_better(often)


def test_what_mends_a_loss_on_newer_images_is_promoted_in_eight_of_ten_cases_plainly_in_less_than_five() -> None:
    plain, apart = Gate(disagreed=0.045).promoted(0.17, 400)
    assert plain <= 0.5 * 400
    assert apart >= 0.8 * 400
    # After nine looks at the older images.
    plain, apart = Gate(disagreed=0.045, judgement=10).promoted(0.17, 400)
    assert plain <= 0.1 * 400
    assert apart >= 0.78 * 400


def test_of_equal_challengers_few_pass_and_of_those_that_paid_with_older_images_few_more() -> None:
    assert Gate(disagreed=0.13).promoted(0.0, 400)[1] <= 0.02 * 400
    assert Gate(disagreed=0.05).promoted(0.17, 400, lost=0.03)[1] <= 0.05 * 400


def test_a_year_of_weekly_equal_challengers_promotes_at_most_a_tenth_of_one() -> None:
    assert sum(Year().false_promotions(seed, apart=True) for seed in range(60)) <= 0.1 * 60
