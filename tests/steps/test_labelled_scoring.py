"""A scoring whose source tells the true classes: what is said of it whatever the source is, beside what the model was
judged on."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.steps.test_seen import planted, publish
from vgg16.config.types import SPLITS, Dataset, Experiment, Framing
from vgg16.data import published
from vgg16.data.images import Images
from vgg16.evaluation.holds import Judged
from vgg16.evaluation.metrics import evaluate
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.records import DatasetRef, ModelVersion, TrainingRequest
from vgg16.steps.scoring import score as scoring
from vgg16.steps.scoring.in_markdown import in_markdown
from vgg16.steps.scoring.judged import judged
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import ScoreRequest, ScoreResult
from vgg16.workplace import settings
from vgg16.workplace.workplace import Silence, Workplace

NAMES = ("dark", "light")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """An empty home; making its database takes seconds, so the tests share it."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(tmp_path_factory.mktemp("home")))
        settings.load.cache_clear()
        yield Workplace(settings.apply(), Silence())
    settings.load.cache_clear()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


class Shades:
    """Tells dark from light; takes 16 images at once."""

    name: ClassVar[Any] = "keras"
    runtime = identity = "by hand"
    class_names: tuple[str, ...] = NAMES
    side = 8
    framing = Framing()
    has_typicality = False
    batch = 16

    def answer(self, images: Images) -> tuple[Any, None]:
        light = np.clip(images.mean(axis=(1, 2, 3)) / 255, 0.01, 0.99)
        return np.stack([1 - light, light], axis=1).astype(np.float32), None


def judged_run(workplace: Workplace, tiny: Experiment, ref: DatasetRef, right: int) -> ModelVersion:
    """A version that was right on so many of 60 gate images, by what its run logged."""
    request = TrainingRequest(experiment=tiny, dataset=ref, chain=f"{ref.name}{right}")
    with workplace.tracker.runs.start(request, {}) as run_id:
        labels = np.arange(60) % 2
        answers = np.where(np.arange(60) < right, labels, 1 - labels)
        probabilities = np.where(np.eye(2)[answers] > 0, 0.9, 0.1).astype(np.float32)
        workplace.tracker.results.log_evaluation(
            run_id, evaluate("gate", "", probabilities, labels, ref.class_names), {}
        )
    return ModelVersion(
        name=f"vgg16-{ref.name}", version="1", stage="Production", run_id=run_id, experiment="tiny", metrics={}
    )


@pytest.fixture(scope="module")
def ref(workplace: Workplace) -> DatasetRef:
    return publish(workplace, "shades", planted(0))


def shade(path: Path, value: int, seed: int) -> None:
    """A picture of that brightness, unlike any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(value - 20, value + 20, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 dark ones, of which 6 are light in truth; 20 light ones; 5 of a class that nobody knows; a broken file; one
    without a class."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(30):
        shade(folder / "dark" / f"{number}.png", 200 if number < 6 else 50, number)
    for number in range(20):
        shade(folder / "light" / f"{number}.png", 200, 100 + number)
    for number in range(5):
        shade(folder / "grey" / f"{number}.png", 120, 200 + number)
    (folder / "dark" / "broken.png").write_bytes(b"no picture")
    shade(folder / "loose.png", 50, 300)
    return folder


def score(
    source: Path | str,
    output: Path,
    workplace: Workplace,
    version: ModelVersion | None,
    ref: DatasetRef | None,
    monkeypatch: pytest.MonkeyPatch,
) -> ScoreResult:
    """Score with Shades, which is this version."""
    model = Model("models:/m@champion", "models:/vgg16-shades/1", "d" * 64, False, version, 1.0, ref)
    monkeypatch.setattr(scoring, "find_model", lambda *_: model)
    monkeypatch.setattr(scoring, "open_engine", lambda *_: nullcontext(Shades()))
    return scoring.score(ScoreRequest(source=str(source), output=str(output), model="m"), workplace)


def of_kind(kind: str, photos: Path, folder: Path) -> Path:
    """The same pictures as a folder, an archive or a table of labels."""
    files = sorted(path for path in photos.rglob("*.png"))
    if kind == "zip":
        with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(photos))
        return folder / "photos.zip"
    if kind == "table":
        with (photos / "labels.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label"])
            for path in files:
                label = path.parent.name if path.parent != photos else ""
                writer.writerow([path.relative_to(photos), label])
        return photos / "labels.csv"
    return photos


@pytest.mark.parametrize("kind", ["folder", "zip", "table"])
def test_the_classes_of_any_source_are_counted_and_what_is_not_known_is_told(
    kind: str,
    photos: Path,
    workplace: Workplace,
    tiny: Experiment,
    ref: DatasetRef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = judged_run(workplace, tiny, ref, 57)
    result = score(of_kind(kind, photos, tmp_path), tmp_path / "scores.csv", workplace, version, ref, monkeypatch)
    told = result.observed
    assert (result.rows, result.failed) == (57, 1)
    assert (told["metrics"]["images"], told["metrics"]["right"]) == (50, 44)
    assert told["unknown"] == {"grey": 5}
    assert (told["unlabelled"], told["unread"], told["met"]) == (1, 1, {})
    confusion = {(pair["label"], pair["answer"]): pair["images"] for pair in told["confusion"]}
    assert confusion == {("dark", "dark"): 24, ("light", "light"): 20, ("dark", "light"): 6}
    assert told["holds"]["images"] == 50
    assert told["holds"]["gate_images"] == 60
    assert told["holds"]["by_class"]
    page = Path(told["page"]).read_text()
    # The six that are wrong, each as it was seen.
    assert page.count("data:image/png;base64,") == 6
    assert "grey" in page
    again = score(of_kind(kind, photos, tmp_path), tmp_path / "scores.csv", workplace, version, ref, monkeypatch)
    assert again.already
    assert again.observed == told


def test_the_datasets_own_pictures_are_counted_and_prove_nothing(
    workplace: Workplace, tiny: Experiment, ref: DatasetRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = workplace.dataset(ref)
    chosen = {"train": 5, "val": 4, "gate": 3, "test": 2}
    for split, count in chosen.items():
        rows = np.flatnonzero(data.splits == SPLITS.index(split))[:count]
        for row in rows:
            folder = tmp_path / "own" / NAMES[data.labels[row]]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.images[row]).save(folder / f"{row}.png")
    version = judged_run(workplace, tiny, ref, 57)
    result = score(tmp_path / "own", tmp_path / "own.parquet", workplace, version, ref, monkeypatch)
    assert result.observed["met"] == {"train": 5, "val": 4, "gate": 3}
    assert result.observed["metrics"]["images"] == 14
    assert result.observed["new"]["images"] == 2
    assert result.observed["holds"]["images"] == 2
    unjudged = score(tmp_path / "own", tmp_path / "unjudged.parquet", workplace, None, None, monkeypatch)
    assert unjudged.observed["holds"] is None
    assert unjudged.observed["reason"] == "the model is no registered version, so nobody has judged it"
    assert unjudged.observed["met"] == {}


def test_a_source_without_classes_is_scored_and_nothing_is_said_of_them(
    photos: Path, workplace: Workplace, ref: DatasetRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = score(photos / "dark", tmp_path / "plain.jsonl", workplace, None, ref, monkeypatch)
    assert (result.rows, result.observed) == (31, {})


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_folders_are_renamed_as_the_models_dataset_does(
    kind: str, photos: Path, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Dataset(name="named", description="", image_size=8, class_names=NAMES, classes={"grey": "dark", "light": ""})
    ref = published.save(workplace.store, row, planted(1))
    result = score(of_kind(kind, photos, tmp_path), tmp_path / "named.csv", workplace, None, ref, monkeypatch)
    classes = {one["name"]: one["images"] for one in result.observed["classes"]}
    assert classes == {"dark": 35, "light": 0}
    assert (result.observed["unknown"], result.observed["unlabelled"]) == ({}, 21)


def entry(version: str, **changes: Any) -> LedgerEntry:
    whole: dict[str, Any] = {
        "number": 1,
        "name": "vgg16-old",
        "action": "promote",
        "version": version,
        "previous": "",
        "by": "me",
        "at": "2026-01-01",
        "verdict": "promote",
        "reasons": (),
        "evidence": {"challenger_gate_top1": 0.9, "gate_images": 200.0},
        "model_digest": "d" * 64,
    }
    return LedgerEntry.model_validate(whole | changes)


def test_of_a_run_that_logged_no_counts_the_ledgers_are_taken_and_of_another_model_none(
    workplace: Workplace, tiny: Experiment, ref: DatasetRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = judged_run(workplace, tiny, ref, 50).model_copy(update={"name": "vgg16-old"})
    by_class = judged(version, "d" * 64, workplace)
    assert isinstance(by_class, Judged)
    assert (by_class.right.sum(), by_class.images.tolist()) == (50, [30, 30])
    monkeypatch.setattr(workplace.tracker.results, "evaluations", lambda _: [])
    # What is said of the split as a whole, by the run alone.
    whole = judged(version, "d" * 64, workplace)
    assert isinstance(whole, Judged)
    assert (whole.right.tolist(), whole.images.tolist()) == ([50], [60])
    ledger.append(workplace.store, entry("1"))
    whole = judged(version, "d" * 64, workplace)
    assert isinstance(whole, Judged)
    assert (whole.right.tolist(), whole.images.tolist()) == ([180], [200])
    assert "is not what came into production" in str(judged(version, "e" * 64, workplace))


def test_a_page_of_prefect_shows_the_verdict_and_no_secret(
    photos: Path,
    workplace: Workplace,
    tiny: Experiment,
    ref: DatasetRef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = judged_run(workplace, tiny, ref, 60)
    result = score(photos, tmp_path / "told.csv", workplace, version, ref, monkeypatch)
    request = ScoreRequest(source="https://me:secret@host/photos", output=result.output, model=result.model)
    text = in_markdown(request, result)
    assert f"Does it still hold? {result.observed['holds']['verdict']}." in text
    assert "| 50 | 0.8800 " in text
    assert "| dark | " in text
    assert Path(result.observed["page"]).as_uri() in text
    assert "secret" not in text
    assert "](" not in text
