"""Gates, ledger and registry: who gets into production, what is written down, and what follows what."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgg16.config.types import GateRules
from vgg16.errors import RequestError, Vgg16Error
from vgg16.network.classifier import Classifier
from vgg16.promotion import gates, ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.promotion.shared_classes import SharedClasses
from vgg16.records import ClassScore, Evaluation, Speed, TrainingRequest, Verdict
from vgg16.statistics import proportion_interval
from vgg16.storage.store import Store


def evaluation_of(
    correct: int, of: int = 1000, *, loss: float = 0.5, ece: tuple[float, float] = (0, 0.02)
) -> Evaluation:
    return Evaluation(
        split="gate",
        images=of,
        images_digest="same",
        top1=correct / of,
        top1_interval=proportion_interval(correct, of),
        top5=1,
        top5_interval=(0, 1),
        loss=loss,
        brier=0,
        ece=sum(ece) / 2,
        ece_interval=ece,
        reliability=(),
        classes=(),
        confusion=(),
    )


def against(wins: int, losses: int, of: int = 1000, role: Any = "champion", **other: Any) -> gates.Opponent:
    shared = {"groups": {}, "corrupted": (0.0, 1.0), "top1": 0.5, "version": "3"} | other
    return gates.Opponent(role=role, images=of, wins=wins, losses=losses, **shared)


def evidence(
    evaluation: Evaluation, *opponents: gates.Opponent, judgement: int = 1, trained: Any = None, **other: Any
) -> gates.Evidence:
    rules = GateRules(**{key: value for key, value in other.items() if key in GateRules.model_fields})
    speed = Speed(latency_ms=other.get("latency_ms", 5), images_per_s=100)
    challenger = gates.Scored(evaluation, speed, other.get("megabytes", 60))
    return gates.Evidence(challenger, trained or {}, opponents, judgement, rules, other.get("unmeasured", ()))


CASES = {
    "the first above the floor": (evidence(evaluation_of(900)), "promote", "nothing is in production"),
    "the first below the floor": (evidence(evaluation_of(400)), "refuse", "is below 0.5"),
    "the first about the floor": (evidence(evaluation_of(505)), "undecided", "may be below 0.5"),
    "the first of few images": (
        evidence(evaluation_of(8, 10)),
        "undecided",
        "(0.4902 to 0.9433) on 10 gate images may be",
    ),
    "surely better": (
        evidence(evaluation_of(900), against(60, 20)),
        "promote",
        "better than the champion (version 3, 0.5000",
    ),
    "better by chance": (
        evidence(evaluation_of(90, 100), against(6, 3, 100)),
        "undecided",
        "not surely better",
    ),
    "equal, of many images": (
        evidence(evaluation_of(900), against(30, 30)),
        "refuse",
        "less than 2.0 points better than the champion",
    ),
    "worse": (evidence(evaluation_of(800), against(20, 90)), "refuse", "worse than the champion"),
    "how much worse": (evidence(evaluation_of(800), against(20, 90)), "refuse", "-7.0 points (-9.0 to -5.0)"),
    "better, but the split has judged often": (
        evidence(evaluation_of(900), against(60, 37), judgement=40),
        "undecided",
        "at alpha 9.5e-06 (judgement 40 of these images, 0.025 in all)",
    ),
    "the same at the first judgement": (
        evidence(evaluation_of(900), against(60, 37)),
        "promote",
        "p = 0.012 at alpha 0.015 (judgement 1 of",
    ),
    "better but below the floor": (evidence(evaluation_of(400), against(60, 20)), "refuse", "below 0.5"),
    "one superclass is worse": (
        evidence(evaluation_of(900), against(90, 30, groups={"trees": (0, 15), "fish": (90, 15)})),
        "refuse",
        "worse on trees than the champion: 15 images lost, 0 won, p = 3.1e-05",
    ),
    "one of twenty superclasses is worse by chance": (
        evidence(evaluation_of(900), against(90, 30, groups={f"group {i}": (2, 8 if i else 2) for i in range(20)})),
        "promote",
        "no superclass is shown to be worse",
    ),
    "worse on corrupted images": (
        evidence(evaluation_of(900), against(60, 20, corrupted=(-0.05, 0.001))),
        "refuse",
        "worse on corrupted images than the champion: -5.0 points, p = 0.001",
    ),
    "badly calibrated": (
        evidence(evaluation_of(900, ece=(0.2, 0.3))),
        "refuse",
        "error 0.2500 (0.2000 to 0.3000) is over 0.1",
    ),
    "perhaps badly calibrated": (
        evidence(evaluation_of(900, ece=(0.05, 0.3))),
        "promote",
        "(0.0500 to 0.3000): not shown to be over 0.1",
    ),
    "well calibrated": (evidence(evaluation_of(900, ece=(0.01, 0.1))), "promote", "(0.0100 to 0.1000) is within 0.1"),
    "perhaps worse on corrupted images": (
        evidence(evaluation_of(900), against(60, 20, corrupted=(-0.04, 0.02))),
        "promote",
        "not shown to be worse on corrupted images than the champion: -4.0 points, p = 0.02",
    ),
    "no number": (evidence(evaluation_of(900, loss=math.nan), against(60, 20)), "refuse", "loss on gate is nan"),
    "infinite": (evidence(evaluation_of(900, loss=math.inf)), "refuse", "loss on gate is inf"),
    "too slow": (evidence(evaluation_of(900), max_latency_ms=4), "refuse", "one image takes 5 ms, over 4 ms"),
    "too big": (evidence(evaluation_of(900), max_megabytes=50), "refuse", "the file has 60 MB, over 50 MB"),
    "another top-1 than in training": (
        evidence(evaluation_of(900), trained={"gate_top1": 0.95}),
        "refuse",
        "gate_top1 was 0.9500 in training and is 0.9000",
    ),
    "another loss than in training": (
        evidence(evaluation_of(900), trained={"gate_loss": 0.7}),
        "refuse",
        "gate_loss was",
    ),
    "as in training but for rounding": (
        evidence(evaluation_of(900), trained={"gate_top1": 0.901, "gate_loss": 0.501}),
        "promote",
        "answers as in training",
    ),
    "a champion that cannot be loaded": (evidence(evaluation_of(900), unmeasured=("no file",)), "undecided", "no file"),
    "no worse than the reference": (
        evidence(evaluation_of(900), against(60, 20, role="reference"), policy="non-inferior"),
        "promote",
        "not more than 0.5 points worse than the reference (version 3",
    ),
    "as good as the champion, but not as the reference": (
        evidence(evaluation_of(900), against(60, 20), against(20, 60, role="reference"), policy="non-inferior"),
        "refuse",
        "worse than the reference",
    ),
    "perhaps worse than the reference": (
        evidence(evaluation_of(900), against(30, 30, role="reference"), policy="non-inferior"),
        "undecided",
        "at the least -1.7, asked -0.5",
    ),
    "better on the classes that both know": (
        evidence(
            evaluation_of(900),
            against(60, 20, 800, shared=SharedClasses(("ant", "bee", "cat", "elk"), ("dog",), ())),
        ),
        "promote",
        "on the same 800 gate images of 4 of the 5 classes, those that both know; the champion does not know dog): +",
    ),
    "a class renamed": (
        evidence(evaluation_of(900), against(30, 30, 800, shared=SharedClasses(("ant", "bee"), ("cat",), ("kitten",)))),
        "refuse",
        "of 2 of the 3 classes, those that both know; the champion does not know cat; kitten, which the champion knows",
    ),
    "many classes new": (
        evidence(evaluation_of(900), against(60, 20, shared=SharedClasses(("ant", "bee"), tuple("cdefghij"), ()))),
        "promote",
        "2 of the 10 classes, those that both know; the champion does not know c, d, e, f, g and 3 more):",
    ),
    "better on the classes that both know, but below the floor on all": (
        evidence(evaluation_of(400), against(60, 20, 800, shared=SharedClasses(("ant", "bee"), ("cat",), ()))),
        "refuse",
        "on 1000 gate images is below 0.5",
    ),
    "as good within a wide margin": (
        evidence(
            evaluation_of(900), against(30, 30, role="reference"), policy="non-inferior", noninferiority_margin=0.02
        ),
        "promote",
        "not more than 2.0 points worse than",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_and_its_reason(case: str) -> None:
    case_evidence, verdict, reason = CASES[case]
    result = gates.judge(case_evidence)
    assert result.verdict == verdict, result.reasons
    assert any(reason in text for text in result.reasons), result.reasons


def counted(*images: int, superclasses: tuple[int, ...] = ()) -> Evaluation:
    """Answers on a gate with so many images of each class, and of each superclass."""
    classes, groups = (
        tuple(
            ClassScore(name=f"{kind}{number}", images=count, precision=1, recall=1, recall_interval=(0, 1))
            for number, count in enumerate(counts)
        )
        for kind, counts in (("c", images), ("s", superclasses))
    )
    return evaluation_of(900).model_copy(update={"classes": classes, "superclasses": groups})


# What is said of classes with too few images.
FEW: dict[str, tuple[Evaluation, str]] = {
    "enough of each": (counted(8, 9, 8, 8), ""),
    "one of five": (counted(7, 40, 2, 40, 40), "7 images of 1 of 5 classes, too few to tell that one got worse: c2 2"),
    "all": (counted(3, 4), "fewer than 6 images of all 2 classes, too few to tell that one got worse: c0 3, c1 4"),
    "of a hundred": (counted(*[5] * 99, 50), "fewer than 11 images of 99 of 100 classes, too few"),
    "named once and not all": (counted(*[5] * 99, 50), ": c0 5, c1 5, c2 5, c3 5, c4 5 and 94 more"),
    "the fewest first": (counted(4, 9, 0), "of 2 of 3 classes, too few to tell that one got worse: c2 0, c0 4"),
    "of superclasses where there are any": (counted(*[5] * 20, superclasses=(50, 50)), ""),
    "a small superclass": (
        counted(*[5] * 20, superclasses=(97, 3)),
        "6 images of 1 of 2 superclasses, too few",
    ),
}


@pytest.mark.parametrize("case", FEW)
def test_classes_with_too_few_images_are_named_once_where_images_decide(case: str) -> None:
    evaluation, text = FEW[case]
    for opponents in ((), (against(60, 20),), (against(40, 25),)):
        result = gates.judge(evidence(evaluation, *opponents))
        assert result.verdict in ("promote", "undecided")
        said = [reason for reason in result.reasons if "too few to tell that one got worse" in reason]
        assert len(said) == bool(text), result.reasons
        assert all(text in reason for reason in said), said
        staged = gates.judge(evidence(evaluation, *opponents), "staging")
        assert not any("too few" in reason for reason in staged.reasons)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_so_few_images_of_a_class_could_not_show_that_it_got_worse(classes: int) -> None:
    least = int(gates.too_few(evidence(counted(*[0] * classes))).split("fewer than ")[1].split()[0])

    def refused(lost: int) -> bool:
        groups = {f"c{number}": (0, lost if number == 0 else 0) for number in range(classes)}
        return gates.judge(evidence(evaluation_of(900), against(200, 50, groups=groups))).verdict == "refuse"

    assert (refused(least - 1), refused(least)) == (False, True)


@pytest.mark.parametrize("case", CASES)
def test_staging_asks_only_whether_it_works(case: str) -> None:
    case_evidence = CASES[case][0]
    broken = case in {"no number", "infinite", "too slow", "too big"} or "than in training" in case
    assert (gates.judge(case_evidence, "staging").verdict == "refuse") == broken


def test_what_is_significantly_better_is_what_later_ones_must_not_be_worse_than() -> None:
    assert gates.significantly_better(evidence(evaluation_of(900)))
    assert gates.significantly_better(evidence(evaluation_of(900), against(60, 20)))
    assert not gates.significantly_better(evidence(evaluation_of(900), against(30, 30)))
    assert not gates.significantly_better(
        evidence(evaluation_of(900), against(60, 20), against(30, 30, role="reference"))
    )


def test_models_are_compared_image_by_image_and_superclass_by_superclass() -> None:
    correct = np.array([True, True, False, False, True])
    other = np.array([True, False, True, False, False])
    corrupted = (np.array([[True, True], [True, False]]), np.array([[True, False], [False, False]]))
    pair = gates.compare(
        "champion", "7", (correct, corrupted[0]), (other, corrupted[1]), np.array([0, 0, 1, 1, 1]), ("a", "b")
    )
    assert (pair.wins, pair.losses, pair.images, pair.top1) == (2, 1, 5, pytest.approx(0.4))
    assert pair.groups == {"a": (1, 0), "b": (1, 1)}
    assert pair.corrupted[0] == pytest.approx(0.5)
    assert pair.difference == pytest.approx(0.2)


def test_a_superclass_without_an_image_that_both_models_know_is_no_superclass_of_the_comparison() -> None:
    nothing = np.zeros((1, 0), bool)
    answers = (np.array([True, False]), nothing), (np.array([True, True]), nothing)
    pair = gates.compare("champion", "7", *answers, np.array([0, 2]), ("a", "new", "b"))
    assert pair.groups == {"a": (0, 0), "b": (0, 1)}
    # And none of the corrupted images may be of the shared classes.
    assert pair.corrupted == (0.0, 1.0)


def entry(number: int, action: str, version: str, previous: str = "") -> LedgerEntry:
    return LedgerEntry.model_validate(
        {
            "number": number,
            "name": "vgg16-x",
            "action": action,
            "version": version,
            "previous": previous,
            "by": "me",
            "at": "2026-01-01T00:00:00+00:00",
            "verdict": "promote",
            "reasons": ("good",),
        }
    )


def test_the_ledger_answers_what_was_appended_in_its_order(store: Store) -> None:
    written = [entry(1, "promote", "1"), entry(2, "promote", "4", "1"), entry(3, "rollback", "1", "4")]
    written = [ledger.append(store, one) for one in written]
    assert ledger.entries(store, "vgg16-x") == written
    assert ledger.entries(store, "vgg16-other") == []
    assert store.keys("ledger/")[0] == "ledger/vgg16-x/000001.json"


def test_of_two_deciders_at_once_one_wins_and_the_other_is_told(store: Store) -> None:
    refusals: list[str] = []

    def decide(version: str) -> None:
        try:
            ledger.append(store, entry(1, "promote", version))
        except ledger.ConflictError as refused:
            refusals.append(str(refused))

    deciders = [threading.Thread(target=decide, args=(str(version),)) for version in range(5)]
    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join()
    assert len(ledger.entries(store, "vgg16-x")) == 1
    assert len(refusals) == 4
    assert "vgg16 history vgg16-x" in refusals[0]


def test_an_entry_whose_answer_was_lost_is_not_a_conflict_with_itself(store: Store) -> None:
    ledger.append(store, entry(1, "promote", "1"))
    ledger.append(store, entry(1, "promote", "1"))
    assert len(ledger.entries(store, "vgg16-x")) == 1


def test_a_rollback_over_a_version_that_was_deleted_takes_that_away_too() -> None:
    history = [entry(1, "promote", "1"), entry(2, "promote", "2"), entry(3, "promote", "3"), entry(4, "rollback", "1")]
    assert ledger.productions(history) == ["1"]


@given(st.lists(st.booleans(), max_size=20))
def test_a_rollback_brings_back_what_was_in_production_before(promotions: list[bool]) -> None:
    history: list[LedgerEntry] = []
    expected: list[str] = []
    for number, promotes in enumerate(promotions, start=1):
        if promotes:
            history.append(entry(number, "promote", str(number)))
            expected.append(str(number))
        elif len(expected) > 1:
            expected.pop()
            history.append(entry(number, "rollback", expected[-1]))
    assert ledger.productions(history) == expected


@pytest.fixture(scope="module")
def registered(tmp_path_factory, tensorflow):
    """A registry over a database and folder of its own, with three versions of one small model."""
    from vgg16.config.types import BackboneChoice, Experiment, Head
    from vgg16.data.images import Arrays
    from vgg16.records import DatasetRef
    from vgg16.tracking.connect import connect
    from vgg16.training.prepare import build_for

    folder = tmp_path_factory.mktemp("registry")
    tracker = connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow")
    images = np.random.RandomState(0).randint(0, 255, (8, 32, 32, 3)).astype(np.uint8)
    data = Arrays(images, np.arange(8) % 2, np.repeat(np.arange(4, dtype=np.int8), 2), ("cat", "dog"))
    ref = DatasetRef(name="pets", digest="d" * 64, key="", class_names=("cat", "dog"), splits=data.counts())
    experiment = Experiment.model_validate(
        {
            "name": "pets-scratch",
            "description": "",
            "dataset": {"name": "digits"},
            "backbone": BackboneChoice(name="vgg11", width=0.05),
            "head": Head(units=(8,)),
        }
    )
    model = build_for(experiment, data)
    for _ in range(3):
        with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref, chain="c1"), {}) as run_id:
            tracker.runs.log_dataset(ref, data)
            uri = tracker.registry.log_model(Classifier(model, data.class_names), images[:2])
        tracker.registry.register("vgg16-pets", run_id, uri)
        tracker.runs.mark_finished(run_id)
    return tracker, model, images, experiment, ref


def stages(tracker) -> dict[str, str]:
    return {each.version: each.stage for each in tracker.registry.versions("vgg16-pets")}


def aliases(tracker) -> dict[str, str]:
    return {
        alias: str(version)
        for alias, version in tracker.registry.client.get_registered_model("vgg16-pets").aliases.items()
    }


def test_stage_and_alias_move_together(registered) -> None:
    tracker = registered[0]
    tracker.registry.move("vgg16-pets", "1", "Staging")
    assert (stages(tracker)["1"], aliases(tracker)) == ("Staging", {"challenger": "1"})
    tracker.registry.move("vgg16-pets", "1", "Production")
    assert (stages(tracker)["1"], aliases(tracker)) == ("Production", {"champion": "1"})
    tracker.registry.move("vgg16-pets", "2", "Staging")
    tracker.registry.move("vgg16-pets", "2", "Production")
    tracker.registry.move("vgg16-pets", "2", "Production")
    assert stages(tracker) == {"1": "Archived", "2": "Production", "3": "None"}
    assert aliases(tracker) == {"champion": "2"}
    tracker.registry.move("vgg16-pets", "2", "Archived")
    assert aliases(tracker) == {}


def test_stages_and_alias_follow_the_ledger_whatever_they_were(registered) -> None:
    tracker = registered[0]
    tracker.registry.move("vgg16-pets", "3", "Production")
    tracker.registry.client.set_registered_model_alias("vgg16-pets", "champion", "1")
    for production in ("2", "1", ""):
        tracker.registry.follow("vgg16-pets", production)
        found = [version for version, stage in stages(tracker).items() if stage == "Production"]
        assert found == ([production] if production else [])
        assert aliases(tracker).get("champion", "") == production


def test_registering_a_run_twice_gives_one_version(registered) -> None:
    tracker = registered[0]
    before = tracker.registry.versions("vgg16-pets")
    assert tracker.registry.register("vgg16-pets", before[1].run_id, "models:/whatever") == before[1]
    assert tracker.registry.versions("vgg16-pets") == before


def test_a_verdict_is_written_on_its_version_and_on_its_run(registered) -> None:
    tracker = registered[0]
    tracker.registry.tag_verdict(
        tracker.registry.version("vgg16-pets", "3"), Verdict(verdict="refuse", reasons=("too slow", "too big"))
    )
    assert tracker.registry.version("vgg16-pets", "3").verdict == "refuse"
    tags = tracker.registry.client.get_model_version("vgg16-pets", "3").tags
    assert tags["vgg16.reasons"] == "too slow; too big"
    run = tracker.runs.client.get_run(tracker.registry.version("vgg16-pets", "3").run_id).data.tags
    assert (run["vgg16.model"], run["vgg16.verdict"], run["vgg16.reasons"]) == (
        "vgg16-pets/3",
        "refuse",
        "too slow; too big",
    )


def test_the_verdict_on_a_version_whose_run_was_deleted_is_written_on_the_version(registered) -> None:
    tracker = registered[0]
    run_id = tracker.registry.version("vgg16-pets", "2").run_id
    tracker.registry.client.delete_run(run_id)
    tracker.registry.tag_verdict(
        tracker.registry.version("vgg16-pets", "2"), Verdict(verdict="undecided", reasons=("few images",))
    )
    tracker.registry.client.restore_run(run_id)
    assert tracker.registry.version("vgg16-pets", "2").verdict == "undecided"


def test_who_may_not_write_views_gets_the_comparison_without_them(registered, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    def refuse(*_: str) -> None:
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    tracker = registered[0]
    members = tracker.runs.search(chain="c1")
    with monkeypatch.context() as patch:
        patch.setattr(tracker.registry.client, "set_experiment_tag", refuse)
        bare = tracker.runs.comparison(members)
    assert "searchFilter=tags.%60vgg16.status%60" in bare
    assert "viewStateShareKey=vgg16-last" in tracker.runs.comparison(members)
    experiment = tracker.registry.client.get_experiment_by_name("pets")
    assert "tags.`vgg16.chain` = 'c1'" in experiment.tags["mlflow.sharedViewState.vgg16-last"]


def test_a_run_carries_all_settings_the_dataset_with_its_digest_and_a_readable_name(registered) -> None:
    from vgg16.config.overrides import flat

    tracker, _, _, experiment, ref = registered
    (run, *_) = tracker.runs.search(chain="c1")
    assert run.run_name == "pets-scratch s1 dddddddd"
    settings = {key: str(value) for key, value in flat(experiment.model_dump(mode="json")).items()}
    assert run.params == settings
    (learned, *_) = tracker.registry.client.get_run(run.run_id).inputs.dataset_inputs
    assert (learned.dataset.name, learned.dataset.digest) == ("pets", "d" * 36)
    assert tracker.results.experiment(run.run_id) == experiment
    assert run.dataset == ref


READ = """
import sys
from pathlib import Path
import numpy as np
from vgg16.workplace.tensorflow import import_tensorflow
import_tensorflow()
from vgg16.tracking.connect import connect
model, class_names, *_ = connect(sys.argv[1], Path(sys.argv[3]).parent / "mlflow").registry.load(sys.argv[2])
assert class_names == ("cat", "dog"), class_names
np.save(sys.argv[4], model.predict(np.load(sys.argv[3]), verbose=0))
"""


@pytest.mark.parametrize("uri", ["models:/vgg16-pets/1", "models:/vgg16-pets@somealias"])
def test_a_registered_model_answers_the_same_in_another_process(registered, tmp_path: Path, uri: str) -> None:
    import mlflow

    tracker, model, images, *_ = registered
    tracker.registry.client.set_registered_model_alias("vgg16-pets", "somealias", "2")
    np.save(tmp_path / "images.npy", images)
    arguments = [mlflow.get_tracking_uri(), uri, str(tmp_path / "images.npy"), str(tmp_path / "answers.npy")]
    subprocess.run([sys.executable, "-c", READ, *arguments], check=True)
    assert np.load(tmp_path / "answers.npy") == pytest.approx(model.predict(images, verbose=0), abs=1e-6)


def test_a_registered_model_has_a_signature_an_example_and_pinned_requirements(registered) -> None:
    from mlflow.models import Model

    described = Model.load("models:/vgg16-pets/1")
    assert described.signature.inputs.to_dict()[0]["tensor-spec"] == {"dtype": "uint8", "shape": (-1, 32, 32, 3)}
    assert described.saved_input_example_info
    import mlflow

    requirements = Path(mlflow.artifacts.download_artifacts("models:/vgg16-pets/1"), "requirements.txt").read_text()
    assert "tensorflow==" in requirements
    assert "keras==" in requirements


def test_what_is_not_registered_is_refused_with_what_is(registered) -> None:
    tracker = registered[0]
    with pytest.raises(RequestError, match="There are: 1, 2, 3"):
        tracker.registry.version("vgg16-pets", "9")
    with pytest.raises(RequestError, match="vgg16-pets"):
        tracker.registry.version("vgg16-cats", "1")
    with pytest.raises(RequestError, match="No model"):
        tracker.registry.load("models:/vgg16-cats/1")
    with pytest.raises(RequestError, match="no registered model"):
        tracker.registry.known_versions("it's")
    with pytest.raises(RequestError, match="no finished run"):
        tracker.runs.find("nosuchrun")


def test_a_model_is_loaded_only_while_it_is_what_was_logged(registered) -> None:
    import mlflow

    tracker, _, images, experiment, ref = registered
    with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref), {}) as run_id:
        uri = tracker.registry.log_model(Classifier(registered[1], ref.class_names), images[:2])
    version = tracker.registry.register("vgg16-tampered", run_id, uri).version
    tracker.registry.client.set_registered_model_alias("vgg16-tampered", "champion", version)
    addresses = (uri, f"models:/vgg16-tampered/{version}", "models:/vgg16-tampered@champion")
    for address in addresses:
        assert tracker.registry.load(address).class_names == ref.class_names
    file = Path(mlflow.artifacts.download_artifacts(uri), "data", "model.keras")
    genuine = file.read_bytes()
    other = Path(mlflow.artifacts.download_artifacts("models:/vgg16-pets/1"), "data", "model.keras")
    file.write_bytes(other.read_bytes())
    for address in addresses:
        with pytest.raises(Vgg16Error, match=r"is not what was logged: expected sha256 \w{12}\.\.\., found \w{12}"):
            tracker.registry.load(address)
    file.write_bytes(genuine)
    tracker.registry.client.delete_logged_model_tag(uri.removeprefix("models:/"), "vgg16.sha256")
    with pytest.raises(Vgg16Error, match="expected a digest of it in the registry, found none"):
        tracker.registry.load(uri)


def test_the_model_of_a_run_is_found_once_it_was_logged_to_its_end(registered) -> None:
    tracker, model, images, experiment, ref = registered
    with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref), {}) as run_id:
        assert tracker.registry.logged_model(run_id) == ""
        uri = tracker.registry.log_model(Classifier(model, ref.class_names), images[:2])
    assert tracker.registry.logged_model(run_id) == uri
    tracker.registry.client.delete_logged_model_tag(uri.removeprefix("models:/"), "vgg16.sha256")
    assert tracker.registry.logged_model(run_id) == ""


def test_epochs_that_are_sent_again_are_logged_once_at_their_own_times(registered) -> None:
    from vgg16.records import EpochMetrics

    tracker, _, _, experiment, ref = registered
    values = {"train_loss": 1.0, "train_top1": 0.5, "val_loss": float("nan"), "val_top1": 0.5, "learning_rate": 0.1}
    epochs = [EpochMetrics(epoch=number, at=1_700_000_000_000 + number, **values) for number in range(1, 252)]
    with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref), {}) as run_id:
        tracker.results.log_epochs(run_id, epochs[:3])
        tracker.results.log_epochs(run_id, epochs)
        assert tracker.results.logged_epochs(run_id) == set(range(1, 252))
    points = tracker.registry.client.get_metric_history(run_id, "train_loss")
    assert [(point.step, point.timestamp) for point in points] == [(each.epoch, each.at) for each in epochs]


@pytest.mark.parametrize(("raised", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_is_cut_off_says_how_and_goes_on_as_itself(registered, raised, status: str) -> None:
    tracker, _, _, experiment, ref = registered
    with (
        pytest.raises(raised),
        tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref, chain="c8"), {}) as run_id,
    ):
        raise raised
    assert tracker.runs.client.get_run(run_id).info.status == status
    assert tracker.runs.state(run_id) == "unfinished"
    with tracker.runs.start(TrainingRequest(experiment=experiment, dataset=ref, chain="c9"), {}, run_id) as again:
        assert again == run_id
        assert tracker.runs.client.get_run(run_id).info.status == "RUNNING"
    tracker.runs.mark_finished(run_id)
    assert tracker.runs.state(run_id) == "complete"
    assert [run.run_id for run in tracker.runs.search(chain="c9")] == [run_id]
    tracker.registry.client.delete_run(run_id)
    assert tracker.runs.state(run_id) == tracker.runs.state("0" * 32) == ""
