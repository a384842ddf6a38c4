"""A look alarms where a fact moved, says which and how, and is undecided where it could not have seen anything."""

import numpy as np
import pytest

from vgg16.checks.drift.distances import detectable
from vgg16.checks.drift.facts import Facts
from vgg16.checks.drift.look import LARGEST_UNSEEN, LEAST_EFFECT, SHOWN, alarm_distance, look
from vgg16.checks.drift.watch import DAILY, LEAST, WINDOWS, mixtures, watch

NAMES = ("brightness", "contrast", "confidence")


def facts(count, seed, **shifts):
    values = np.random.default_rng(seed).normal(size=(count, len(NAMES))) + [shifts.get(name, 0) for name in NAMES]
    return Facts(NAMES, values.astype(np.float32))


def test_a_fact_that_moved_is_told_with_how_far_and_the_pictures_that_moved_most():
    before, now = facts(1000, 0), facts(300, 1, contrast=-1.5)
    result = look(before, now, DAILY)
    assert result.verdict == "drifted"
    (moved,) = result.moved
    assert moved.fact == "contrast"
    assert moved.before == pytest.approx(0, abs=0.1)
    assert moved.now == pytest.approx(-1.5, abs=0.2)
    assert moved.share_now - moved.share_before == pytest.approx(moved.distance)
    assert moved.distance > 0.4
    assert moved.p < DAILY
    darkest = np.sort(now.column("contrast"))[:SHOWN]
    np.testing.assert_array_equal(np.sort(now.column("contrast")[moved.most]), darkest)


def test_what_moved_up_shows_the_highest():
    now = facts(300, 1, brightness=1.5)
    (moved,) = look(facts(1000, 0), now, DAILY).moved
    assert moved.share_now < moved.share_before
    assert now.column("brightness")[moved.most[0]] == now.column("brightness").max()


def test_the_same_is_steady_and_says_what_would_have_been_seen():
    result = look(facts(1000, 0), facts(300, 1), DAILY)
    assert (result.verdict, result.moved, result.images, result.reference) == ("steady", (), 300, 1000)
    assert result.detectable == detectable(DAILY / len(NAMES), 1000, 300) < LARGEST_UNSEEN


def test_too_few_pictures_are_undecided_and_a_plain_drift_in_them_is_none_the_less_told():
    assert look(facts(1000, 0), facts(10, 1), DAILY).verdict == "undecided"
    assert look(facts(1000, 0), facts(0, 1), DAILY).verdict == "undecided"
    assert look(facts(1000, 0), facts(30, 1, contrast=9), DAILY).verdict == "drifted"


def test_a_sure_and_tiny_difference_is_no_alarm():
    before, now = facts(200_000, 0), facts(200_000, 1, brightness=0.08)
    result = look(before, now, DAILY)
    assert result.verdict == "steady"
    assert alarm_distance(DAILY, 3, 200_000, 200_000) == LEAST_EFFECT == result.detectable


def test_other_facts_are_no_window():
    with pytest.raises(ValueError, match="expected the facts"):
        look(facts(100, 0), Facts(NAMES[:2], np.zeros((5, 2), np.float32)), DAILY)


def test_a_day_looks_back_on_as_many_days_as_there_are():
    days = [facts(50, seed) for seed in range(10)]
    assert list(watch(facts(1000, 99), days).looks) == [1, 7]
    assert [one.images for one in watch(facts(1000, 99), days).looks.values()] == [50, 350]


def test_the_windows_of_a_day_share_its_budget():
    days = [facts(50, seed) for seed in range(28)]
    looks = watch(facts(1000, 99), days).looks
    assert sum(one.alpha for one in looks.values()) == pytest.approx(DAILY)
    assert tuple(looks) == WINDOWS


def test_a_slow_drift_shows_in_the_longer_windows_first():
    reference = facts(2000, 99)
    days = [facts(60, seed, brightness=0.35) for seed in range(28)]
    result = watch(reference, days)
    assert result.drifted
    assert result.looks[1].verdict != "drifted"
    assert result.looks[28].verdict == "drifted"


def test_two_kinds_are_mixed_in_each_share_of_which_there_are_enough():
    older, newest = Facts(("kind",), np.zeros((900, 1), np.float32)), Facts(("kind",), np.ones((120, 1), np.float32))
    mixed = mixtures(older, newest)
    assert {share: len(facts) for share, facts in mixed.items()} == {1: 120, 0.75: 160, 0.5: 240, 0.25: 480, 0: 900}
    for share, facts in mixed.items():
        assert facts.values.mean() == pytest.approx(share, abs=0.01)
    assert list(mixtures(older, newest.rows(np.arange(LEAST - 30)))) == [0.5, 0.25, 0]
    np.testing.assert_array_equal(mixtures(older, newest)[0.5].values, mixed[0.5].values)
