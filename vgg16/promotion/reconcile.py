"""Which version is in production: the one place where the registry (MLflow) follows the ledger (the store).

A decision is an entry in the ledger first; then stages and alias move, and only when they were seen to be what the
entry says is that noted in MLflow. So what differs before the note is a decision that was cut off, and is finished;
what differs after it was moved by a hand in MLflow, and is undone or adopted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from vgg16.errors import RefusedError, Vgg16Error
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry, Standing
from vgg16.storage.store import Store
from vgg16.tracking.protocol import Registry, RegistryState

ByHand = Literal["undo", "adopt"]
SOMEBODY = "somebody in MLflow"
# The format that every entry has a file of.
ONNX = "onnx"
# A move of another process, which was overtaken and is about to correct itself, is seen once; that of a hand stays.
LOOK_AGAIN_SECONDS = 2.0


class Exporter(Protocol):
    """What makes the proven files of a version, before an entry of the ledger puts it into production."""

    def __call__(self, name: str, version: str, history: Sequence[LedgerEntry]) -> Mapping[str, str]:
        """The sha256 of each format's file in the store, ONNX's at least; the files that the ledger has of the version
        are used again. Raises RefusedError for a version of which none can be proven."""


@dataclass(frozen=True)
class ManualMove:
    """What a hand moved in MLflow, in words, and where the model stood by its ledger; the version that may be adopted,
    "" with the reason why none."""

    standing: Standing
    text: str
    adoptable: str
    obstacle: str


@dataclass(frozen=True)
class Reconciliation:
    """How registry and ledger came to agree: `text` says what was moved by hand and what became of it; `finished` is
    the last entry where it had been cut off before stages followed it, and they follow it now."""

    standing: Standing
    ended: Literal["unmoved", "undone", "adopted"]
    text: str = ""
    finished: LedgerEntry | None = None


def standing(registry: Registry, store: Store, name: str) -> Standing:
    """Where a registered model stands by its ledger; moves nothing.

    Raises RefusedError where the ledger of this model is in another store, or has lost entries: decided on that, an
    empty one would unseat the champion.
    """
    return _standing(*_read(registry, store, name))


def moved_by_hand(registry: Registry, store: Store, name: str) -> ManualMove | None:
    """What somebody moved in MLflow since it followed the ledger, None for nothing. Raises RefusedError as `standing`
    does."""
    if _difference(*_read(registry, store, name)) is None:
        return None
    time.sleep(LOOK_AGAIN_SECONDS)
    state, history = _read(registry, store, name)
    text = _difference(state, history)
    if text is None:
        return None
    now = _standing(state, history)
    others = {each for each in (*state.production, state.champion) if each not in ("", now.champion)}
    if len(others) != 1:
        return ManualMove(
            now, text, "", "several versions contradict each other" if others else "no other took its place"
        )
    (version,) = others
    if registry.interchangeable(name, version, now.champion):
        return ManualMove(now, text, version, "")
    return ManualMove(now, text, "", f"version {version} was not made by this project, or knows other classes")


def trouble(registry: Registry, store: Store, name: str, by_hand: ByHand = "undo") -> str:
    """What is wrong with what a registered model has in production, and the fix; "" where nothing is."""
    try:
        state, history = _read(registry, store, name)
        moved = moved_by_hand(registry, store, name)
    except Vgg16Error as error:
        return str(error)
    promoted = ledger.productions(history)[-1:]
    if moved:
        adopts = by_hand == "adopt" and moved.adoptable
        fix = "writes that into the ledger" if adopts else "puts back what the ledger says"
        return f"{name}: {moved.text}; the next promote, rollback, run or check {fix} (VGG16_MOVED_BY_HAND={by_hand})"
    if promoted and promoted[0] not in state.stages:
        return f"{name}: version {promoted[0]}, in production, was deleted in MLflow; promote or roll back"
    if promoted and not state.has_in_production(promoted[0]) and state.followed < len(history):
        return (
            f"{name}: entry {len(history)} of the ledger was cut off before its stage moved; the next promote, "
            f"rollback, run or check puts version {promoted[0]} into production"
        )
    return ""


def settle(registry: Registry, store: Store, name: str, export: Exporter, by_hand: ByHand = "undo") -> Reconciliation:
    """Make stages and alias what the ledger says, after what was moved by hand was adopted into it, or to undo that.

    Only a move to one other version of ours is ever adopted, of which `export` has made the files. Raises RefusedError
    as `standing` does.
    """
    state, history = _read(registry, store, name)
    if _difference(state, history) is None:
        cut_off = history[-1] if state.followed < len(history) else None
        return Reconciliation(_follow(registry, store, name, state, history), "unmoved", finished=cut_off)
    moved = moved_by_hand(registry, store, name)
    if not moved:
        return Reconciliation(_follow(registry, store, name, *_read(registry, store, name)), "unmoved")
    adopted, obstacle = False, moved.obstacle
    if moved.adoptable and by_hand == "adopt":
        try:
            exports = export(name, moved.adoptable, moved.standing.history)
        except RefusedError as error:
            obstacle = str(error)
        else:
            if _moved_on(registry, store, name, moved):
                return settle(registry, store, name, export, by_hand)
            adopted = _adopt(registry, store, name, moved, exports)
    reached = _follow(registry, store, name, *_read(registry, store, name))
    if adopted:
        return Reconciliation(reached, "adopted", f"{name}: {moved.text}; adopted")
    why = f": {obstacle}" if obstacle and by_hand == "adopt" else ""
    return Reconciliation(reached, "undone", f"{name}: {moved.text}; undone{why}")


def _moved_on(registry: Registry, store: Store, name: str, moved: ManualMove) -> bool:
    """Whether the hand has moved something else since, while files were made. What was decided since is for `decide` to
    find."""
    state, history = _read(registry, store, name)
    return len(history) == len(moved.standing.history) and _difference(state, history) != moved.text


def _adopt(registry: Registry, store: Store, name: str, moved: ManualMove, exports: Mapping[str, str]) -> bool:
    """Write the move into the ledger; False where somebody decided in the meantime: that stands, and the move is
    undone."""
    facts = {"name": name, "action": "adopt", "version": moved.adoptable, "verdict": None, "reasons": (moved.text,)}
    with suppress(ledger.ConflictError):
        decide(registry, store, moved.standing, facts | {"exports": exports}, SOMEBODY)
        return True
    return False


def decide(registry: Registry, store: Store, now: Standing, facts: dict[str, Any], by: str) -> LedgerEntry:
    """Append the entry that comes after this standing, with these facts of a LedgerEntry, the proven files of its
    version among them, which are in the store by now; stages do not move yet.

    Raises ConflictError where another decision came first, RefusedError where another store has the ledger or there is
    no ONNX file.
    """
    entry = LedgerEntry(
        number=len(now.history) + 1,
        previous=now.champion,
        by=by,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    )
    if ONNX not in entry.exports:
        raise RefusedError(
            f"Expected a proven ONNX file of {entry.name} version {entry.version} before it goes into production, "
            "found none.",
            f"Make one: vgg16 export models:/{entry.name}/{entry.version} --format onnx",
        )
    if not entry.reference:
        after = (*now.history, entry)
        kept = ledger.reference(after) if entry.action == "rollback" else now.reference
        entry = entry.model_copy(update={"reference": kept or entry.version})
    if not entry.model_digest:
        before = ledger.model_digest(now.history, entry.version) if entry.action == "rollback" else ""
        digest = before or registry.model_digest(entry.name, entry.version)
        entry = entry.model_copy(update={"model_digest": digest})
    registry.claim_ledger(entry.name, store.address)
    if entry.action == "promote":
        registry.begin_promotion(entry.name, entry.number)
    return ledger.append(store, entry)


def _read(registry: Registry, store: Store, name: str) -> tuple[RegistryState, list[LedgerEntry]]:
    # MLflow first: what it followed is then in the ledger.
    state = registry.state(name)
    if state.ledger not in ("", store.address):
        raise RefusedError(
            f"The ledger of {name} is in {state.ledger}, but the store here is {store.address}.",
            _way_to(state.ledger, name, store.address),
        )
    history = ledger.entries(store, name)
    if state.followed > len(history):
        raise RefusedError(
            f"The ledger of {name} has lost entries: MLflow followed number {state.followed}, expected at least as "
            f"many in {store.address}, found {len(history)}.",
            "Is this folder on another machine? Set VGG16_STORE to the store that has them, or restore them.",
        )
    return state, history


def _way_to(ledger_store: str, name: str, here: str) -> str:
    if ledger_store.startswith("/") and not Path(ledger_store).exists():
        return (
            "That folder is not on this machine: work where it is. If it was moved and is the store here, set the tag "
            f"vgg16.ledger of {name} in MLflow to {here}."
        )
    return f"Set VGG16_STORE={ledger_store}"


def _standing(state: RegistryState, history: Sequence[LedgerEntry]) -> Standing:
    promoted = ledger.productions(history)
    there = [version for version in promoted if version in state.stages]
    champion = promoted[-1] if promoted and promoted[-1] in state.stages else ""
    before = [version for version in there if version != champion]
    reference = ledger.reference(history)
    begun = champion and history[-1].action == "promote" and history[-1].number == state.promoting
    return Standing(
        history=tuple(history),
        champion=champion,
        before=before[-1] if before else "",
        reference=reference if reference in state.stages else champion,
        unfinished=state.promoting if begun else 0,
    )


def _difference(state: RegistryState, history: Sequence[LedgerEntry]) -> str | None:
    """How what MLflow shows differs from the entry that it has followed, None where it does not or has not yet."""
    champion = _standing(state, history).champion
    if state.followed < len(history) or state.has_in_production(champion):
        return None
    versions = ", ".join(state.production) or "none"
    return (
        f"moved by hand in MLflow: stage Production has {versions}, alias champion {state.champion or 'none'}, "
        f"the ledger says {champion or 'none'}"
    )


def _follow(
    registry: Registry, store: Store, name: str, state: RegistryState, history: Sequence[LedgerEntry]
) -> Standing:
    """Move stages and alias until they are what the last entry says, one that was appended meanwhile included."""
    while True:
        reached = _standing(state, history)
        if state.followed == len(history) and state.has_in_production(reached.champion):
            return reached
        for entry in history[state.followed :]:
            if entry.version in state.stages and (entry.forced or entry.action == "adopt"):
                registry.mark(name, entry.version, "forced" if entry.forced else "adopted", entry.reasons[0])
        registry.follow(name, reached.champion)
        # Another process may have read an older entry, and moved what it says after us.
        last = ledger.is_last(store, name, len(history))
        state = registry.state(name)
        if not last:
            history = ledger.entries(store, name)
        elif state.has_in_production(reached.champion):
            registry.note_followed(name, len(history))
            return reached
