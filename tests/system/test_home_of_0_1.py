"""A home that version 0.1 wrote, copied beside itself: what it kept is read, promoted, rolled back, resumed and
fine-tuned from in the copy, and no byte of the original changes; then in the original.

`tests/homes/0.1` holds it, with what 0.1 itself answered there (`expected.json`). `@HOME@` stands where its path was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Answer
from tests.exported import FILES, export
from vgg16.config.canonical import NEWER
from vgg16.config.overrides import RENAMED
from vgg16.config.types import Experiment, GateRules
from vgg16.promotion import reconcile
from vgg16.steps import typicality
from vgg16.storage.files import sha256_of
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace, open_workplace

pytestmark = pytest.mark.system

KEPT = Path(__file__).parents[1] / "homes" / "0.1"
EXPECTED: dict[str, Any] = json.loads((KEPT / "expected.json").read_text())
PICTURES = [str(KEPT / "digit-3.png"), str(KEPT / "digit-7.png")]


def unpack(home: Path) -> None:
    """Make this folder the home; its path stands where 0.1 wrote its own, quoted in addresses as MLflow does it."""

    def placed(text: str) -> str:
        return text.replace("file://@HOME@", home.as_uri()).replace("@HOME@", str(home))

    with tarfile.open(KEPT / "home.tar.xz") as tar:
        # Python 3.11.2, Debian's, has no filters.
        tar.extractall(home, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    for path in home.rglob("*"):
        if path.is_file() and path.suffix not in (".keras", ".npy", ".npz", ".sql"):
            path.write_text(placed(path.read_text()))
    dump = home / "mlflow.sql"
    with sqlite3.connect(home / "mlflow.db") as database:
        database.executescript(placed(dump.read_text()))
    database.close()
    dump.unlink()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home, at a path with a space."""
    folder = tmp_path_factory.mktemp("a home") / "of 0.1"
    unpack(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, but for what a process writes for a while."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "tmp"]
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


@pytest.fixture(scope="module")
def untouched(original: Path) -> dict[str, str]:
    """What is in the original before anything is done in its copy."""
    return contents(original)


@pytest.fixture(scope="module")
def home(original: Path, untouched: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its copy, at a path with what addresses take for their own."""
    folder = tmp_path_factory.mktemp("copies") / "its copy? #1 %41 é'"
    shutil.copytree(original, folder)
    return folder


@pytest.fixture
def workplace(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """This process works in that home."""
    monkeypatch.setenv("VGG16_HOME", str(home))
    settings.load.cache_clear()
    yield open_workplace()
    settings.load.cache_clear()


@pytest.fixture(scope="module")
def command(vgg16: Callable[..., Answer], home: Path) -> Callable[..., Answer]:
    """The command line in that home."""
    return lambda *arguments: vgg16(*arguments, "--json", VGG16_HOME=str(home))


def test_versions_runs_and_the_ledger_are_what_they_were(command: Callable[..., Answer]) -> None:
    assert command("models").json["models"] == [{**version, "warnings": []} for version in EXPECTED["models"]]
    for name, entries in EXPECTED["history"].items():
        told = command("history", name).json["entries"]
        assert told == [{**entry, "previous_digest": "", "model_digest": "", "exports": {}} for entry in entries]
    expected = EXPECTED["compare"]
    for run in expected["runs"]:
        # Settings of the gate have other names now, and old runs are shown with them, and with what 0.1 did where there
        # was no setting yet.
        renamed = {RENAMED.get(key, key): value for key, value in run["params"].items()}
        newer = NEWER[Experiment] | {f"gate.{key}": value for key, value in NEWER[GateRules].items()}
        run["params"] = {key: str(value) for key, value in newer.items()} | renamed
    assert command("compare").json == expected


@pytest.mark.parametrize("uri", EXPECTED["predict"])
def test_a_model_answers_as_it_did(command: Callable[..., Answer], uri: str) -> None:
    answered = command("predict", *PICTURES, "--model", uri).json["predictions"]
    expected = EXPECTED["predict"][uri]
    assert [each["label"] for each in answered] == [each["label"] for each in expected]
    # Another processor adds in another order.
    assert [each["probability"] for each in answered] == pytest.approx(
        [each["probability"] for each in expected], abs=1e-4
    )


def test_a_model_that_learned_from_little_has_no_typicality(
    command: Callable[..., Answer], workplace: Workplace
) -> None:
    uri = "models:/vgg16-digits/2"
    registry, runs = workplace.tracker.registry, workplace.tracker.runs
    learned_from = runs.get(registry.version_at(uri).run_id).trained_on
    assert learned_from.splits["val"] == 50
    assert typicality.reference_of(registry.load(uri), learned_from, workplace) is None
    answered = command("predict", *PICTURES, "--model", uri).json["predictions"]
    assert [each["typicality"] for each in answered] == [None, None]


@pytest.mark.parametrize("version", [version for version in EXPECTED["models"] if version["stage"] == "Production"])
def test_the_lineage_of_what_is_in_production_holds_and_says_what_was_not_recorded(
    command: Callable[..., Answer], version: dict[str, Any]
) -> None:
    verified = command("verify", version["name"])
    assert verified.status == 0, verified.stdout
    said = {link["name"]: link["detail"] for link in verified.json["checks"] if link["ok"]}
    assert "was not recorded by the vgg16 that logged it" in said["model"]
    assert said["lock"] == "the packages that trained it were not recorded by vgg16 0.1.0"
    assert "say so, within 1 image" in said["gate"]


def digest(layers: Mapping[str, Iterable[Any]]) -> str:
    """Sha256 over the layers in the order of their sorted names: the name, then the bytes of each array."""
    whole = hashlib.sha256()
    for name in sorted(layers):
        whole.update(name.encode())
        for array in layers[name]:
            whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def words(normalization: Any) -> dict[str, list[str]]:
    """Mean and variance as the repr of floats: equal to the last bit."""
    mean, variance = ([repr(float(each)) for each in np.ravel(part)] for part in normalization)
    return {"mean": mean, "variance": variance}


@pytest.mark.usefixtures("tensorflow")
def test_fine_tuning_starts_from_its_models_bit_by_bit(workplace: Workplace) -> None:
    from vgg16.config import catalog
    from vgg16.network.blocks import base_layers
    from vgg16.network.weights import weights_of
    from vgg16.training.prepare import build_for

    registry, bits = workplace.tracker.registry, EXPECTED["bits"]
    base = weights_of(registry.load("models:/vgg16-glyphs/1").model)
    assert digest(base.layers) == bits["vgg16-glyphs/1"]["weights_sha256"]
    assert words(base.normalization) == bits["vgg16-glyphs/1"]["normalization"]
    for version, expected in bits["vgg16-digits/N"].items():
        loaded = weights_of(registry.load(f"models:/vgg16-digits/{version}").model)
        assert digest(loaded.layers) == expected["weights_sha256"]
        assert words(loaded.normalization) == expected["normalization"]

    given = EXPECTED["resume"]["finetune"]["command"]
    (experiment,), _ = catalog.choose(["digits-finetune"], [each for each in given if "=" in each])
    run = workplace.tracker.runs.get(registry.version("vgg16-digits", "2").run_id)
    model = build_for(experiment, workplace.dataset(run.trained_on), base)
    expected = bits["finetune before training"]
    layers = {name: model.get_layer(name) for name in base_layers(model)}
    assert list(layers) == expected["base_layers"]
    weights = {name: layer.get_weights() for name, layer in layers.items() if layer.weights}
    assert digest(weights) == expected["base_weights_sha256"]
    config = model.get_layer("normalize").get_config()
    assert words((config["mean"], config["variance"])) == expected["normalize"]


def test_a_diverged_run_tells_its_cause_and_its_diagnosis(workplace: Workplace) -> None:
    tracker, expected = workplace.tracker, EXPECTED["diverged"]
    run = tracker.runs.get(expected["run_id"])
    assert (run.status, run.cause) == ("diverged", expected["cause"])
    diagnosis = tracker.results.diagnosis(run.run_id)
    assert diagnosis
    assert diagnosis.model_dump(mode="json") == expected["diagnosis"]
    (epoch,) = tracker.results.epochs(run.run_id)
    assert np.isnan(epoch.val_loss)


# How each of its runs ended, as a page says it.
ENDS = {
    "1be8cd23d76e4f3ca9a0369a6f269b89": ("replaced", "vgg16 history vgg16-digits"),
    "65fe1a52b53542da8a9e21bc4bf29400": ("in production", "vgg16 rollback vgg16-digits"),
    "1cf9fef6ab80447185d619a8212bf2a9": ("not judged", "vgg16 promote vgg16-digits 3"),
    "72b35ad5f24547669e06c231db69dfde": ("refused", "vgg16 promote vgg16-digits 4 --force"),
    EXPECTED["diverged"]["run_id"]: ("diverged", "--set phases.0.optimizer.learning_rate="),
}


@pytest.mark.usefixtures("tensorflow")
def test_each_run_has_a_report(workplace: Workplace) -> None:
    from vgg16.steps.report import write_report

    for run_id, (label, command) in ENDS.items():
        file = write_report(run_id, workplace) or pytest.fail(run_id)
        html = file.read_text()
        assert f">{label}</span>" in html
        assert command in html
        metrics = workplace.tracker.runs.get(run_id).metrics
        pictures = html.count("data:image/png;base64,") + html.count("data:image/jpeg;base64,")
        assert (pictures >= 12) == ("test_top1" in metrics)


def test_promoting_and_rolling_back_decide_as_they_did(command: Callable[..., Answer], home: Path) -> None:
    def looks() -> int:
        return len(list((home / "store" / "judgements" / "vgg16-digits").iterdir()))

    before, decisions = looks(), EXPECTED["decisions"]
    refused = command("promote", "vgg16-digits", "4")
    assert (refused.status, refused.json["verdict"]) == (3, "refuse")
    # The same look again counts once.
    assert looks() == before
    rolled_back = command("rollback", "vgg16-digits")
    assert (rolled_back.status, rolled_back.json["version"]) == (0, "1")
    assert command("rollback", "vgg16-digits").status == 3
    undecided = command("promote", "vgg16-digits", "2")
    assert (undecided.status, undecided.json["verdict"], undecided.json["stage"]) == (3, "undecided", "Staging")
    versions = {f"{each['name']}/{each['version']}": each for each in command("models").json["models"]}
    for name, facts in decisions["versions at the end"].items():
        assert {key: versions[name][key] for key in facts} == facts
    entries = command("history", "vgg16-digits").json["entries"]
    expected = decisions["history at the end"]
    assert [{key: entry[key] for key in facts} for entry, facts in zip(entries, expected, strict=True)] == expected


def test_a_training_that_0_1_was_killed_in_goes_on_in_its_run(command: Callable[..., Answer], home: Path) -> None:
    expected = EXPECTED["resume"]
    done = command(*expected["command"][1:])
    assert done.status == 0, done.stderr
    assert expected["message"] in done.stderr
    (run,) = done.json["runs"]
    assert (run["run_id"], run["model"], run["status"]) == (expected["run_id"], expected["model"], "finished")
    with sqlite3.connect(home / "mlflow.db") as database:
        rows = database.execute(
            "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'val_loss' ORDER BY step", [run["run_id"]]
        ).fetchall()
    assert rows == [(epoch,) for epoch in range(1, 61)]
    assert not [path for path in (home / "store" / "checkpoints").rglob("*") if path.is_file()]


def test_a_new_training_starts_from_an_old_model(command: Callable[..., Answer]) -> None:
    expected = EXPECTED["resume"]["finetune"]
    done = command(*expected["command"][1:])
    assert done.status == 0, done.stderr
    assert expected["message"] in done.stderr
    assert [(run["model"], run["status"]) for run in done.json["runs"]] == [(expected["model"], "finished")]


@pytest.mark.usefixtures("tensorflow")
def test_the_original_was_never_touched_and_does_the_same_without_its_copy(
    vgg16: Callable[..., Answer],
    original: Path,
    untouched: dict[str, str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking._tracking_service import utils

    assert contents(original) == untouched
    assert {path.name for path in home.parent.iterdir()} == {home.name}
    copied = contents(home)
    resumed = vgg16(*EXPECTED["resume"]["command"][1:], "--json", VGG16_HOME=str(original))
    assert EXPECTED["resume"]["message"] in resumed.stderr
    # The rest in this process, which has worked in the copy.
    utils._artifact_repos_cache.clear()
    monkeypatch.setenv("VGG16_HOME", str(original))
    settings.load.cache_clear()
    workplace = open_workplace()
    registry, store, name = workplace.tracker.registry, workplace.store, "vgg16-digits"
    for action, version in (("rollback", "1"), ("promote", "2")):
        now = reconcile.settle(registry, store, name, export).standing
        facts = {"name": name, "action": action, "version": version, "verdict": None, "reasons": ("a test",)}
        facts |= {"exports": FILES}
        reconcile.decide(registry, store, now, facts, "tests")
        assert reconcile.settle(registry, store, name, export).standing.champion == version
    champion = registry.load(f"models:/{name}@champion")
    assert champion.model.output_shape[-1] == len(champion.class_names) == 10
    settings.load.cache_clear()
    assert contents(home) == copied
