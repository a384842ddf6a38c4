"""Who waits in Staging, until when, and what ends a wait; each as MLflow keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from tests.exported import FILES, export
from tests.promotion.test_judgement import evaluation_of
from vgg16.config.types import GateRules
from vgg16.promotion import ledger, reconcile, waiting
from vgg16.storage.store import FolderStore
from vgg16.tracking.protocol import Registry, Tracker

NAME = "vgg16-pets"
TODAY = date(2026, 3, 1)
# What each version is right on, of 1000 gate images, and which images these are; of 6 nothing is logged.
RIGHT: dict[str, tuple[int, str]] = {
    "1": (800, "old"),
    "2": (900, "old"),
    "3": (905, "old"),
    "4": (910, "old"),
    "5": (900, "new"),
}


@pytest.fixture
def tracker(registry: Registry) -> Iterator[Any]:
    """Six versions of one model, each made by a run whose gate asks for 30 days."""
    client = registry.client
    client.create_registered_model(NAME)
    numbers = {}
    for number in range(1, 7):
        run = client.create_run("0").info
        numbers[run.run_id] = str(number)
        client.create_model_version(NAME, run.artifact_uri, run_id=run.run_id)

    def evaluations(run_id: str) -> list[Any]:
        if numbers[run_id] not in RIGHT:
            return []
        right, images = RIGHT[numbers[run_id]]
        return [evaluation_of(right).model_copy(update={"images_digest": images})]

    rules = SimpleNamespace(gate=GateRules(waits_days=30))
    results = SimpleNamespace(experiment=lambda _: rules, evaluations=evaluations)
    yield SimpleNamespace(registry=registry, results=results)
    client.delete_registered_model(NAME)


def wait(tracker: Tracker, *numbers: str, today: date = TODAY) -> None:
    for number in numbers:
        tracker.registry.move(NAME, number, "Staging")
        waiting.begin(tracker, tracker.registry.version(NAME, number), today)


def queue(tracker: Tracker) -> list[str]:
    return [version.version for version in waiting.of(tracker.registry, NAME)]


def challenger(tracker: Tracker) -> str:
    return str(tracker.registry.client.get_registered_model(NAME).aliases.get("challenger", ""))


def test_who_comes_later_takes_nobodys_place_and_the_last_one_is_the_challenger(tracker: Any) -> None:
    wait(tracker, "2", "4", "3")
    assert (queue(tracker), challenger(tracker)) == (["2", "3", "4"], "3")
    tracker.registry.move(NAME, "3", "Production")
    assert (queue(tracker), challenger(tracker)) == (["2", "4"], "4")
    tracker.registry.move(NAME, "4", "Archived")
    tracker.registry.move(NAME, "2", "Archived")
    assert (queue(tracker), challenger(tracker)) == ([], "")


def test_what_waits_says_for_what_and_until_when(tracker: Any) -> None:
    wait(tracker, "2", "3")
    tracker.registry.client.set_model_version_tag(NAME, "2", "vgg16.verdict", "undecided")
    tracker.registry.client.set_model_version_tag(NAME, "3", "vgg16.verdict", "promote")
    waits = [(one.waits_for, one.waits_until) for one in tracker.registry.versions(NAME)]
    assert waits == [("", ""), ("more images", "2026-03-31"), ("a person", "2026-03-31"), ("", ""), ("", ""), ("", "")]
    words = waiting.in_words(NAME, waiting.of(tracker.registry, NAME))
    assert words == ("vgg16-pets version 2 for more images until 2026-03-31, version 3 for a person until 2026-03-31")
    assert waiting.in_words(NAME, []) == ""


# Which version the gates have promoted, on which day, and who of 1 to 3, 5 and 6 waits no more.
ENDS: dict[str, tuple[str, date, str]] = {
    "nobody was promoted": ("", TODAY, ""),
    "the last day": ("", date(2026, 3, 31), ""),
    "the day after": ("", date(2026, 4, 1), "12356"),
    "one better than all": ("4", TODAY, "123"),
    "one as good as some": ("2", TODAY, "1"),
    "one on other images": ("5", TODAY, ""),
    "one of which nothing is logged": ("6", TODAY, ""),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_wait_ends_by_age_or_by_the_promotion_of_one_as_good_on_the_same_images_and_says_why(
    tracker: Any, case: str
) -> None:
    number, today, ended = ENDS[case]
    wait(tracker, *"12356")
    promoted = tracker.registry.version(NAME, number) if number else None
    if promoted:
        tracker.registry.move(NAME, number, "Production")
    told = waiting.end(tracker, NAME, today, promoted)
    assert "".join(queue(tracker)) == "".join(n for n in "12356" if n not in (*ended, number))
    assert [text.split(" waits")[0] for text in told] == [f"{NAME} version {n}" for n in ended]
    for n, text in zip(ended, told, strict=True):
        version = tracker.registry.client.get_model_version(NAME, n)
        assert text.endswith(version.tags["vgg16.waited"])
        assert version.current_stage == "Archived"
        assert ("promoted, is right on" in text) == bool(number)
    assert waiting.end(tracker, NAME, today, promoted) == []


def test_what_an_earlier_version_of_the_code_left_in_staging_waits_for_a_person_without_an_end(tracker: Any) -> None:
    tracker.registry.move(NAME, "2", "Staging")
    assert waiting.end(tracker, NAME, date(2100, 1, 1), None) == []
    (left,) = waiting.of(tracker.registry, NAME)
    assert (left.version, left.waits_until) == ("2", "")


def test_a_rollback_and_a_repair_of_stages_keep_the_queue(tracker: Any, tmp_path: Any) -> None:
    store = FolderStore(tmp_path)
    for number, action in (("1", "promote"), ("4", "promote"), ("1", "rollback")):
        wait(tracker, *"23")
        now = reconcile.settle(tracker.registry, store, NAME, export).standing
        facts = {"name": NAME, "action": action, "version": number, "verdict": None, "reasons": ("why",)}
        facts |= {"exports": FILES}
        reconcile.decide(tracker.registry, store, now, facts, "me")
        assert reconcile.settle(tracker.registry, store, NAME, export).standing.champion == number
        assert queue(tracker) == ["2", "3"]
    assert len(ledger.entries(store, NAME)) == 3
