"""Stages and alias follow the ledger: after kills between any two steps, after hands in MLflow, in races of stores."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.exported import FILES, export
from vgg16.errors import RefusedError
from vgg16.promotion import ledger, reconcile
from vgg16.promotion.reconcile import Exporter
from vgg16.promotion.records import LedgerEntry, Standing
from vgg16.records import DatasetRef
from vgg16.storage.store import FolderStore, Store
from vgg16.tracking.protocol import Registry, RegistryState
from vgg16.tracking.registry import MlflowRegistry

NAME = "vgg16-pets"
PETS = DatasetRef(name="pets", digest="d" * 64, key="", class_names=("cat", "dog"), splits={})


@pytest.fixture
def model(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry with one registered model: versions 1 to 4 as our runs make them, 5 without the digest of what was
    logged, 6 for other classes, 7 of no run."""
    monkeypatch.setattr(reconcile, "LOOK_AGAIN_SECONDS", 0)
    client = registry.client
    client.create_registered_model(NAME)
    experiment = client.get_experiment_by_name("pets")
    made = experiment.experiment_id if experiment else client.create_experiment("pets")
    runs = [
        client.create_run(made, tags={"vgg16.dataset": ref.model_dump_json()}).info
        for ref in (PETS, PETS.model_copy(update={"class_names": ("cat", "cow")}))
    ]
    digest = {"vgg16.sha256": "s"}
    for run, tags in ((0, digest), (0, digest), (0, digest), (0, digest), (0, {}), (1, digest)):
        client.create_model_version(NAME, runs[run].artifact_uri, run_id=runs[run].run_id, tags=tags)
    client.create_model_version(NAME, "file:///elsewhere", tags=digest)
    yield registry
    client.delete_registered_model(NAME)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    """An empty store."""
    return FolderStore(tmp_path / "store")


def settle(
    registry: Registry, store: Store, name: str, by_hand: reconcile.ByHand = "undo", export: Exporter = export
) -> reconcile.Reconciliation:
    return reconcile.settle(registry, store, name, export, by_hand)


def promote(registry: Registry, store: Store, version: str, **facts: Any) -> None:
    """What the flow does once a version may be promoted."""
    decide(registry, store, version, **facts)
    settle(registry, store, NAME)


def decide(registry: Registry, store: Store, version: str, **facts: Any) -> None:
    """The ledger's part of it."""
    now = settle(registry, store, NAME).standing
    known = {"name": NAME, "action": "promote", "version": version, "verdict": "promote", "reasons": ("good",)}
    reconcile.decide(registry, store, now, {**known, "exports": FILES, **facts}, "me")


def in_production(registry: Registry) -> tuple[list[str], str]:
    shown = registry.state(NAME)
    return shown.production, shown.champion


# Where the steps of a promotion end: what the process that is killed there had still to do.
BOUNDARIES = {
    "after the entry": ("vgg16.tracking.registry.MlflowRegistry.follow",),
    "between stage and alias": ("mlflow.MlflowClient.set_registered_model_alias",),
    "before it is noted": ("vgg16.tracking.registry.MlflowRegistry.note_followed",),
}


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_what_a_kill_cut_off_is_finished_by_the_next_call_and_is_no_hand(
    model: Registry, folder: FolderStore, monkeypatch: pytest.MonkeyPatch, boundary: str
) -> None:
    promote(model, folder, "1")

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        for step in BOUNDARIES[boundary]:
            patched.setattr(step, killed)
        with pytest.raises(SystemExit):
            promote(model, folder, "2")
    assert reconcile.moved_by_hand(model, folder, NAME) is None
    told = reconcile.trouble(model, folder, NAME)
    assert ("cut off" in told) == (boundary != "before it is noted")
    settled = settle(model, folder, NAME, "adopt")
    assert (settled.ended, settled.text, settled.standing.champion) == ("unmoved", "", "2")
    assert in_production(model) == (["2"], "2")
    assert len(ledger.entries(folder, NAME)) == 2
    assert reconcile.trouble(model, folder, NAME) == ""


def stage(version: str, to: str, *, archive: bool = False) -> Any:
    return lambda client: client.transition_model_version_stage(NAME, version, to, archive_existing_versions=archive)


def alias(version: str) -> Any:
    return lambda client: client.set_registered_model_alias(NAME, "champion", version)


def no_alias(client: Any) -> None:
    client.delete_registered_model_alias(NAME, "champion")


# What a person may do in MLflow while version 2 is in production, and the version that is adopted, "" for undone.
HANDS = {
    "another stage": ([stage("1", "Production", archive=True)], "1"),
    "another stage, two in production": ([stage("3", "Production")], "3"),
    "another alias": ([alias("3")], "3"),
    "stage and alias": ([stage("3", "Production", archive=True), alias("3")], "3"),
    "production archived, alias elsewhere": ([stage("2", "Archived"), alias("4")], "4"),
    "production archived": ([stage("2", "Archived")], ""),
    "alias removed": ([no_alias], ""),
    "production archived, alias removed": ([stage("2", "None"), no_alias], ""),
    "stage and alias contradict": ([stage("1", "Production", archive=True), alias("3")], ""),
    "two others in production": ([stage("1", "Production", archive=True), stage("3", "Production")], ""),
    "without a digest": ([alias("5")], ""),
    "for other classes": ([stage("6", "Production", archive=True)], ""),
    "of no run": ([stage("7", "Production", archive=True), alias("7")], ""),
}


@pytest.mark.filterwarnings("ignore:.*stage.*:FutureWarning")
@pytest.mark.parametrize(
    ("case", "by_hand"), [*((case, "adopt") for case in HANDS), *((case, "undo") for case in HANDS if HANDS[case][1])]
)
def test_a_move_by_hand_is_undone_or_adopted_by_setting(
    model: Registry, folder: FolderStore, case: str, by_hand: reconcile.ByHand
) -> None:
    moves, wanted = HANDS[case]
    wanted = wanted if by_hand == "adopt" else ""
    promote(model, folder, "1")
    promote(model, folder, "2", reference="1")
    for move in moves:
        move(model.client)
    assert ("writes that into the ledger" in reconcile.trouble(model, folder, NAME, by_hand)) == bool(wanted)

    settled = settle(model, folder, NAME, by_hand)
    assert settled.ended == ("adopted" if wanted else "undone")
    assert "moved by hand in MLflow" in settled.text
    assert in_production(model) == ([wanted or "2"], wanted or "2")
    assert settled.standing == reconcile.standing(model, folder, NAME)
    assert (settled.standing.champion, settled.standing.reference) == (wanted or "2", "1")
    entries = ledger.entries(folder, NAME)
    assert len(entries) == (3 if wanted else 2)
    if wanted:
        adopted = entries[-1]
        assert (adopted.action, adopted.version, adopted.previous) == ("adopt", wanted, "2")
        assert (adopted.by, adopted.verdict, adopted.reference) == ("somebody in MLflow", None, "1")
        assert "stage Production has" in model.client.get_model_version(NAME, wanted).tags["vgg16.adopted"]
    assert settle(model, folder, NAME, by_hand).ended == "unmoved"


def test_what_nobody_decided_on_yet_is_moved_by_hand_too(model: Registry, folder: FolderStore) -> None:
    model.client.set_registered_model_alias(NAME, "champion", "1")
    assert settle(model, folder, NAME, "undo").ended == "undone"
    assert in_production(model) == ([], "")
    model.client.set_registered_model_alias(NAME, "champion", "1")
    assert settle(model, folder, NAME, "adopt").ended == "adopted"
    assert in_production(model) == (["1"], "1")
    assert reconcile.standing(model, folder, NAME).reference == "1"


def test_a_rollback_over_adopted_entries_brings_back_what_was_there_with_its_reference(
    model: Registry, folder: FolderStore
) -> None:
    promote(model, folder, "1")
    promote(model, folder, "2", reference="1")
    model.client.set_registered_model_alias(NAME, "champion", "3")
    assert settle(model, folder, NAME, "adopt").standing.before == "2"
    for wanted in ("2", "1"):
        now = reconcile.standing(model, folder, NAME)
        assert now.before == wanted
        promote(model, folder, now.before, action="rollback", verdict=None)
        assert in_production(model) == ([wanted], wanted)
    entries = ledger.entries(folder, NAME)
    assert [each.reference for each in entries] == ["1", "1", "1", "1", "1"]
    assert [each.version for each in entries] == ["1", "2", "3", "2", "1"]
    assert reconcile.standing(model, folder, NAME).before == ""


def test_the_reference_is_that_of_the_entry_which_brought_the_champion(model: Registry, folder: FolderStore) -> None:
    def reference() -> str:
        return reconcile.standing(model, folder, NAME).reference

    promote(model, folder, "1")
    assert reference() == "1"
    promote(model, folder, "2", reference="2")
    promote(model, folder, "3")
    assert reference() == "2"
    promote(model, folder, "4", reference="4")
    promote(model, folder, "3", action="rollback", verdict=None)
    assert reference() == "2"
    model.client.delete_model_version(NAME, "2")
    assert reference() == "3"


def test_a_version_that_was_deleted_leaves_none_in_production_and_is_told(model: Registry, folder: FolderStore) -> None:
    promote(model, folder, "1")
    promote(model, folder, "2")
    model.client.delete_model_version(NAME, "2")
    settled = settle(model, folder, NAME, "adopt")
    assert settled.ended == "unmoved"
    assert settled.standing == Standing(history=settled.standing.history, champion="", before="1", reference="1")
    assert "version 2, in production, was deleted" in reconcile.trouble(model, folder, NAME)


def test_what_was_forced_is_marked_on_its_version_even_where_a_kill_came_first(
    model: Registry, folder: FolderStore
) -> None:
    decide(model, folder, "1", forced=True, reasons=("forced: demo today", "too slow"))
    settle(model, folder, NAME)
    promote(model, folder, "2")
    assert model.client.get_model_version(NAME, "1").tags["vgg16.forced"] == "forced: demo today"
    assert "vgg16.forced" not in model.client.get_model_version(NAME, "2").tags


def test_of_two_promoters_one_wins_and_the_other_is_told(model: Registry, folder: FolderStore) -> None:
    now = settle(model, folder, NAME).standing
    facts = {"name": NAME, "action": "promote", "verdict": "promote", "reasons": ("good",), "exports": FILES}
    reconcile.decide(model, folder, now, facts | {"version": "1"}, "me")
    with pytest.raises(ledger.ConflictError, match=f"vgg16 history {NAME}"):
        reconcile.decide(model, folder, now, facts | {"version": "2"}, "you")
    assert settle(model, folder, NAME).standing.champion == "1"


def test_a_process_that_was_overtaken_follows_what_came_after(
    model: Registry, folder: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, folder, "1")
    decide(model, folder, "2")
    follow = MlflowRegistry.follow

    def overtaken(registry: Registry, name: str, production: str) -> None:
        monkeypatch.setattr(MlflowRegistry, "follow", follow)
        promote(registry, folder, "3")
        follow(registry, name, production)

    monkeypatch.setattr(MlflowRegistry, "follow", overtaken)
    assert settle(model, folder, NAME).standing.champion == "3"
    assert in_production(model) == (["3"], "3")


def test_a_move_that_another_process_is_about_to_correct_is_no_hand(
    model: Registry, folder: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, folder, "1")
    promote(model, folder, "2")
    model.move(NAME, "1", "Production")
    monkeypatch.setattr(reconcile.time, "sleep", lambda _: model.move(NAME, "2", "Production"))
    assert settle(model, folder, NAME, "adopt").ended == "unmoved"


def test_a_decision_that_comes_before_an_adoption_stands(
    model: Registry, folder: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(model, folder, "1")
    model.client.set_registered_model_alias(NAME, "champion", "2")
    asked = MlflowRegistry.interchangeable

    def overtaken(registry: Registry, *which: str) -> bool:
        monkeypatch.setattr(MlflowRegistry, "interchangeable", asked)
        promote(registry, folder, "3")
        return asked(registry, *which)

    monkeypatch.setattr(MlflowRegistry, "interchangeable", overtaken)
    assert settle(model, folder, NAME, "adopt").ended == "undone"
    assert in_production(model) == (["3"], "3")
    assert [each.version for each in ledger.entries(folder, NAME)] == ["1", "3"]


def test_an_adopted_move_has_its_proven_files_before_its_entry_and_one_of_which_none_can_be_proven_is_undone(
    model: Registry, folder: FolderStore
) -> None:
    promote(model, folder, "1")

    def unproven(name: str, version: str, history: Sequence[LedgerEntry]) -> Mapping[str, str]:
        assert (name, version, [entry.version for entry in history]) == (NAME, "2", ["1"])
        raise RefusedError("ONNX answers 3 of 143 images otherwise.")

    model.client.set_registered_model_alias(NAME, "champion", "2")
    settled = settle(model, folder, NAME, "adopt", unproven)
    assert (settled.ended, settled.text.partition("; ")[2]) == (
        "undone",
        "undone: ONNX answers 3 of 143 images otherwise.",
    )
    assert in_production(model) == (["1"], "1")
    assert len(ledger.entries(folder, NAME)) == 1
    # Whoever undoes moves needs no file.
    model.client.set_registered_model_alias(NAME, "champion", "2")
    assert settle(model, folder, NAME, "undo", unproven).ended == "undone"

    model.client.set_registered_model_alias(NAME, "champion", "2")
    assert settle(model, folder, NAME, "adopt").ended == "adopted"
    assert ledger.entries(folder, NAME)[-1].exports == FILES


def test_a_hand_that_moves_on_while_files_are_made_is_followed(model: Registry, folder: FolderStore) -> None:
    promote(model, folder, "1")
    model.client.set_registered_model_alias(NAME, "champion", "2")
    asked: list[str] = []

    def slow(name: str, version: str, history: Sequence[LedgerEntry]) -> Mapping[str, str]:
        asked.append(version)
        model.client.set_registered_model_alias(name, "champion", "3")
        return FILES

    assert settle(model, folder, NAME, "adopt", slow).ended == "adopted"
    assert asked == ["2", "3"]
    assert [entry.version for entry in ledger.entries(folder, NAME)] == ["1", "3"]


def test_without_a_proven_onnx_file_no_entry_is_written(model: Registry, folder: FolderStore) -> None:
    now = settle(model, folder, NAME).standing
    for action, exports in itertools.product(("promote", "rollback", "adopt"), ({}, {"savedmodel": "f" * 64})):
        facts = {"name": NAME, "action": action, "version": "1", "verdict": None, "reasons": (), "exports": exports}
        with pytest.raises(RefusedError, match="before it goes into production, found none"):
            reconcile.decide(model, folder, now, facts, "me")
    assert folder.keys("ledger/") == []


def test_a_client_with_another_store_is_refused(model: Registry, folder: FolderStore, tmp_path: Path) -> None:
    promote(model, folder, "1")
    other = FolderStore(tmp_path / "other")
    for refused in (reconcile.standing, settle, reconcile.moved_by_hand):
        with pytest.raises(RefusedError, match=f"Set VGG16_STORE={folder.address}"):
            refused(model, other, NAME)
    assert f"VGG16_STORE={folder.address}" in reconcile.trouble(model, other, NAME)
    assert in_production(model) == (["1"], "1")
    # A folder that is gone is named to nobody.
    folder.folder.rename(tmp_path / "moved")
    with pytest.raises(
        RefusedError, match=f"is not on this machine: .* vgg16.ledger of {NAME} in MLflow to {other.address}"
    ):
        reconcile.standing(model, FolderStore(other.folder), NAME)


def test_a_damaged_ledger_moves_nothing_and_is_told_by_the_doctor(model: Registry, folder: FolderStore) -> None:
    promote(model, folder, "1")
    promote(model, folder, "2")
    folder.local_path(f"ledger/{NAME}/000001.json").write_bytes(b"{")
    for refused in (reconcile.standing, settle):
        with pytest.raises(ledger.DamagedError):
            refused(model, folder, NAME)
    assert "000001.json, cannot be read" in reconcile.trouble(model, folder, NAME)
    assert in_production(model) == (["2"], "2")


def test_a_ledger_that_lost_entries_decides_nothing(model: Registry, folder: FolderStore) -> None:
    promote(model, folder, "1")
    promote(model, folder, "2")
    folder.delete(f"ledger/{NAME}/000002.json")
    with pytest.raises(RefusedError, match=r"MLflow followed number 2, expected at least as many in .* found 1"):
        settle(model, folder, NAME)
    assert in_production(model) == (["2"], "2")


@pytest.mark.parametrize("attempt", range(5))
def test_of_stores_that_claim_the_first_promotion_at_once_at_most_one_wins(model: Registry, attempt: int) -> None:
    start = threading.Barrier(4)
    won: list[str] = []
    told: list[str] = []

    def claim(address: str) -> None:
        start.wait()
        try:
            model.claim_ledger(NAME, address)
            won.append(address)
        except RefusedError as refused:
            told.append(str(refused))

    clients = [threading.Thread(target=claim, args=(f"s3://bucket/{each}",)) for each in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert len(won) <= 1
    assert len(won) + len(told) == 4
    assert all("VGG16_STORE=" in each for each in told)
    tags = model.client.get_registered_model(NAME).tags
    assert {of for tag, of in tags.items() if tag.startswith("vgg16.ledger")} == set(won)


def test_who_loses_a_claim_takes_none_from_others_of_its_store(
    model: Registry, folder: FolderStore, tmp_path: Path
) -> None:
    # Another client of this store and one of another store have claimed it, and not read yet.
    for client, store in (("one", folder), ("two", FolderStore(tmp_path / "other"))):
        model.client.set_registered_model_tag(NAME, f"vgg16.ledger-claim.{client}", store.address)
    with pytest.raises(RefusedError, match=r"remove its tag, vgg16\.ledger-claim\.two"):
        model.claim_ledger(NAME, folder.address)
    assert set(model.client.get_registered_model(NAME).tags) == {"vgg16.ledger-claim.one", "vgg16.ledger-claim.two"}


def test_a_claim_that_was_seen_by_nobody_else_is_kept_against_who_comes_later(
    model: Registry, folder: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FolderStore(tmp_path / "other")
    noted = model.client.set_registered_model_tag

    def interrupted(name: str, tag: str, value: str) -> None:
        if tag == "vgg16.ledger" and value == folder.address:
            with pytest.raises(RefusedError, match="at the same time"):
                model.claim_ledger(name, other.address)
        noted(name, tag, value)

    monkeypatch.setattr(model.client, "set_registered_model_tag", interrupted)
    model.claim_ledger(NAME, folder.address)
    model.claim_ledger(NAME, folder.address)
    assert model.client.get_registered_model(NAME).tags == {"vgg16.ledger": folder.address}
    assert model.state(NAME) == RegistryState({str(n): "None" for n in range(1, 8)}, "", folder.address, 0)
