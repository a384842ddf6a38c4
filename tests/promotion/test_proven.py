"""What goes into production has proven files before the ledger says so: in the order of the flows, where a process is
killed between any two of its steps, and where nothing can be proven."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vgg16.errors import RefusedError
from vgg16.flows import promote as flows
from vgg16.promotion import ledger, reconcile
from vgg16.promotion.records import Decision, GateResult, LedgerEntry, Standing
from vgg16.records import ModelVersion, Verdict
from vgg16.storage.store import FolderStore
from vgg16.tracking.protocol import Registry

NAME = "vgg16-proven"
UNUSABLE = GateResult(verdict=Verdict(verdict="refuse", reasons=("it cannot be used: its file is damaged",)))


class Killed(BaseException):
    """In place of SIGKILL: nobody catches it."""


class Desk:
    """The tasks of the flows with a real registry and a real ledger; judging and exporting are played. `done` is what
    was done, in order; `dies` the step after which the process is killed."""

    def __init__(self, registry: Registry, store: FolderStore) -> None:
        self.registry, self.store = registry, store
        self.done: list[str] = []
        self.dies = ""
        self.verdicts: dict[str, GateResult] = {}
        self.unprovable: set[str] = set()

    def result(self, version: str) -> GateResult:
        passes = GateResult(verdict=Verdict(verdict="promote", reasons=("good",)), evidence={"p": 0.01})
        return self.verdicts.get(version, passes).model_copy(update={"model_digest": self.digest(version)})

    def digest(self, version: str) -> str:
        return hashlib.sha256(version.encode()).hexdigest()

    def export(self, version: str, digest: str = "") -> dict[str, str]:
        """A file by its content, which follows from the model alone."""
        assert digest in ("", self.digest(version))
        if version in self.unprovable:
            raise RefusedError("ONNX float32: 3 of 143 images are answered otherwise.", "Nothing was kept.")
        content = f"the file of {version}".encode()
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"exports/{sha256}.onnx"
        if self.store.read(key) is None:
            self.store.create(key, content)
            self.done.append("made")
        return {"onnx": sha256}

    def export_waiting(self, version: str) -> None:
        with suppress(RefusedError):
            self.export(version)

    def again(self, version: str, history: Sequence[LedgerEntry]) -> dict[str, str]:
        kept = ledger.exports(history, version)
        return kept if self.store.read(f"exports/{kept.get('onnx')}.onnx") else self.export(version)

    def settle(self, name: str) -> reconcile.Reconciliation:
        def export(_: str, version: str, history: Sequence[LedgerEntry]) -> dict[str, str]:
            return self.again(version, history)

        return reconcile.settle(self.registry, self.store, name, export, "adopt")

    def decide(self, standing: Standing, facts: dict[str, Any]) -> None:
        reconcile.decide(self.registry, self.store, standing, facts, "me")

    def tasks(self) -> SimpleNamespace:
        def step(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
            def around(*given: Any) -> Any:
                answer = work(*given)
                self.done.append(name)
                if self.dies == name:
                    raise Killed
                return answer

            return around

        registry = self.registry
        works: dict[str, Callable[..., Any]] = {
            "repair_stages": lambda name: self.settle(name).standing,
            "check_stages": self.settle,
            "find_version": lambda name, number: ModelVersion(
                name=name, version=number, stage="None", run_id="r", experiment="e"
            ),
            "check_exportable_version": lambda version: None,
            "judge_version": lambda version, *_: self.result(version.version),
            "export_version": lambda version, digest: self.export(version.version, digest),
            "export_waiting": lambda version, digest: self.export_waiting(version.version),
            "keep_exports": lambda name, version, standing: self.again(version, standing.history),
            "tag_verdict": lambda version, verdict: None,
            "move_stage": lambda version, stage: registry.move(version.name, version.version, stage),
            "write_ledger": self.decide,
            "check_version": lambda *_: None,
            "end_promotion": registry.end_promotion,
            "write_report": lambda run_id: "",
        }
        quiet = ("score_on_test", "end_waits", "list_waiting", "begin_wait", "write_card")
        works |= dict.fromkeys(quiet, lambda *_: None)
        return SimpleNamespace(**{name: step(name, work) for name, work in works.items()})

    @property
    def entries(self) -> list[LedgerEntry]:
        return ledger.entries(self.store, NAME)

    @property
    def files(self) -> list[str]:
        return [Path(key).stem for key in self.store.keys("exports/")]

    def stage(self, version: str) -> str:
        return self.registry.state(NAME).stages[version]


@pytest.fixture
def desk(registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A registered model of three versions, of which none is in production."""
    registry.client.create_registered_model(NAME)
    made = registry.client.get_experiment_by_name("proven") or None
    experiment = made.experiment_id if made else registry.client.create_experiment("proven")
    tags = {"vgg16.dataset": '{"name": "pets", "digest": "d", "key": "k", "class_names": ["cat"], "splits": {}}'}
    for _ in range(3):
        run = registry.client.create_run(experiment, tags=tags).info
        registry.client.create_model_version(NAME, run.artifact_uri, run_id=run.run_id, tags={"vgg16.sha256": "s"})
    desk = Desk(registry, FolderStore(tmp_path / "store"))
    monkeypatch.setattr(reconcile, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(flows, "tasks", desk.tasks())
    monkeypatch.setattr(flows, "tell_of", lambda *_: None)
    monkeypatch.setattr(flows, "say", lambda _: None)
    yield desk
    registry.client.delete_registered_model(NAME)


def promote(version: str, **given: Any) -> Decision:
    decision: Decision = flows.promote.fn(NAME, version, **given)
    return decision


def rollback(**given: Any) -> Decision:
    decision: Decision = flows.rollback.fn(NAME, **given)
    return decision


FORCED = {"force": True, "reason": "a demonstration"}


@pytest.mark.parametrize("given", [{}, FORCED], ids=["by the gates", "forced"])
def test_the_file_is_made_after_the_verdict_and_before_the_entry_which_carries_it(
    desk: Desk, given: dict[str, Any]
) -> None:
    decision = promote("1", **given)
    (entry,) = desk.entries
    assert entry.exports == decision.exports == {"onnx": desk.files[0]}
    order = ("check_exportable_version", "judge_version", "made", "tag_verdict", "move_stage", "write_ledger")
    assert [name for name in desk.done if name in order] == [*order]


# The steps after which a promotion is killed, and whether its entry is there by then.
KILLS = {
    "judge_version": False,
    "export_version": False,
    "tag_verdict": False,
    "move_stage": False,
    "write_ledger": True,
    "score_on_test": True,
}


@pytest.mark.parametrize(
    ("place", "given"),
    [*((place, {}) for place in KILLS), *((place, FORCED) for place in ("export_version", "write_ledger"))],
)
def test_a_promotion_that_is_killed_at_any_step_and_repeated_has_one_entry_and_one_file(
    desk: Desk, place: str, given: dict[str, Any]
) -> None:
    desk.dies = place
    with pytest.raises(Killed):
        promote("1", **given)
    assert len(desk.entries) == KILLS[place]
    desk.dies = ""
    decision = promote("1", **given)
    (entry,) = desk.entries
    assert (decision.stage, decision.exports) == ("Production", entry.exports)
    assert desk.files == [entry.exports["onnx"]] == [desk.export("1")["onnx"]]
    assert desk.done.count("made") == 1
    assert (desk.stage("1"), entry.model_digest) == ("Production", desk.digest("1"))


@pytest.mark.parametrize("place", ["keep_exports", "write_ledger"])
def test_a_rollback_that_is_killed_has_one_entry_with_the_file_that_the_version_had(desk: Desk, place: str) -> None:
    promote("1")
    promote("2")
    desk.dies = place
    with pytest.raises(Killed):
        rollback()
    desk.dies = ""
    decision = rollback()
    assert [(entry.action, entry.version) for entry in desk.entries[2:]] == [("rollback", "1")]
    assert decision.exports == desk.entries[0].exports == desk.entries[2].exports
    assert desk.done.count("made") == 2


def test_a_rollback_makes_the_file_anew_where_it_is_lost_and_is_refused_where_it_cannot_be_made(desk: Desk) -> None:
    promote("1")
    promote("2")
    desk.store.delete(f"exports/{desk.entries[0].exports['onnx']}.onnx")
    desk.unprovable = {"1"}
    with pytest.raises(RefusedError, match="3 of 143 images"):
        rollback()
    assert (len(desk.entries), desk.stage("2")) == (2, "Production")
    desk.unprovable = set()
    assert rollback().exports == desk.entries[0].exports
    assert len(desk.files) == 2


@pytest.mark.parametrize("given", [{}, FORCED], ids=["by the gates", "forced"])
def test_what_cannot_be_proven_is_refused_for_that_reason_whoever_asks_and_the_champion_stays(
    desk: Desk, given: dict[str, Any]
) -> None:
    promote("1")
    desk.unprovable = {"2"}
    decision = promote("2", **given)
    assert (decision.verdict, decision.stage, decision.previous, decision.forced) == ("refuse", "Archived", "1", False)
    assert decision.reasons == ("ONNX float32: 3 of 143 images are answered otherwise. Nothing was kept.", "good")
    assert decision.unproven == decision.reasons[0]
    assert [entry.version for entry in desk.entries] == ["1"]
    assert (desk.stage("1"), len(desk.files)) == ("Production", 1)
    # After an upgrade the same command promotes it.
    desk.unprovable = set()
    assert promote("2", **given).stage == "Production"


def test_what_cannot_be_asked_is_not_put_into_production_by_force(desk: Desk) -> None:
    desk.verdicts = {"1": UNUSABLE}
    decision = promote("1", **FORCED)
    assert (decision.verdict, decision.stage, decision.reasons) == ("refuse", "Archived", UNUSABLE.verdict.reasons)
    assert decision.unproven == UNUSABLE.verdict.reasons[0]
    assert (desk.entries, desk.files) == ([], [])


UNDECIDED = GateResult(verdict=Verdict(verdict="undecided", reasons=("perhaps",)), evidence={"p": 0.4})
REFUSED = GateResult(verdict=Verdict(verdict="refuse", reasons=("worse",)), evidence={"p": 0.9})
APPROVAL = GateResult(verdict=Verdict(verdict="promote", reasons=("good",)), evidence={"p": 0.01}, approval=True)


@pytest.mark.parametrize(
    ("result", "given", "stage"),
    [
        (UNDECIDED, {}, "Staging"),
        (REFUSED, {}, "Archived"),
        (APPROVAL, {"approved": False}, "Staging"),
        (None, {"stage": "staging"}, "Staging"),
        (REFUSED, {"stage": "staging", **FORCED}, "Staging"),
    ],
    ids=["undecided", "refused", "waits for a person", "to staging", "forced to staging"],
)
def test_what_cannot_be_proven_and_does_not_go_into_production_waits_all_the_same(
    desk: Desk, result: GateResult | None, given: dict[str, Any], stage: str
) -> None:
    desk.verdicts = {"1": result} if result else {}
    desk.unprovable = {"1"}
    decision = promote("1", **given)
    assert (decision.stage, decision.exports, decision.unproven) == (stage, {}, "")
    assert (desk.entries, desk.files) == ([], [])


@pytest.mark.parametrize(
    ("result", "given", "is_exported"),
    [
        (UNDECIDED, {}, True),
        (APPROVAL, {"approved": False}, True),
        (None, {"stage": "staging"}, True),
        (REFUSED, {}, False),
        (UNUSABLE, {"stage": "staging", **FORCED}, False),
    ],
    ids=["undecided", "waits for a person", "to staging", "refused", "nobody could ask it"],
)
def test_what_waits_has_its_file_which_its_promotion_uses_again(
    desk: Desk, result: GateResult | None, given: dict[str, Any], is_exported: bool
) -> None:
    desk.verdicts = {"1": result} if result else {}
    promote("1", **given)
    assert (desk.entries, bool(desk.files)) == ([], is_exported)
    desk.verdicts = {}
    assert promote("1").exports == desk.export("1")
    assert (len(desk.entries), desk.done.count("made")) == (1, 1)


def test_a_move_by_hand_is_adopted_with_its_file(desk: Desk) -> None:
    promote("1")
    registry: Any = desk.registry
    registry.client.set_registered_model_alias(NAME, "champion", "2")
    desk.dies = "check_stages"
    with pytest.raises(Killed):
        rollback()
    assert [(entry.action, entry.exports) for entry in desk.entries[1:]] == [("adopt", desk.export("2"))]
