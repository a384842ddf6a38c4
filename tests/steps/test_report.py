"""A run's report on what MLflow and the store really hold: which run it is of, which pictures, where it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.reports.planted import ten_epochs
from tests.reports.planted_run import Page, scored
from tests.reports.test_run_page import decoded
from vgg16.config.types import Dataset, Experiment
from vgg16.data import published
from vgg16.data.images import Arrays
from vgg16.errors import RequestError
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.steps import report
from vgg16.tracking.tags import REPORT
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace, open_workplace

NAMES = ("dark", "light")
N = 40


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """An empty home; making its database takes seconds, so the tests share it."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(tmp_path_factory.mktemp("home")))
        settings.load.cache_clear()
        yield open_workplace()
    settings.load.cache_clear()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.fixture
def arrays() -> Arrays:
    """40 images, each of another colour; every fourth is of test."""
    images = np.zeros((N, 8, 8, 3), np.uint8) + np.arange(N, dtype=np.uint8)[:, None, None, None]
    return Arrays(images, np.arange(N) // 4 % 2, (np.arange(N) % 4).astype(np.int8), NAMES)


@pytest.fixture
def ref(workplace: Workplace, arrays: Arrays) -> DatasetRef:
    """They are published, as a user's own dataset."""
    row = Dataset(
        name="shades", description="", class_names=NAMES, image_size=8, source="photos", floors={"scratch": 0.5}
    )
    return published.save(workplace.store, row, arrays)


def log(workplace: Workplace, ref: DatasetRef, experiment: Experiment, chain: str, val: float = 0.8) -> str:
    """A complete run of ten epochs, that becomes no version; its id."""
    request = TrainingRequest(experiment=experiment, dataset=ref, chain=chain)
    with workplace.tracker.runs.start(request, {}) as run_id:
        workplace.tracker.results.log_epochs(run_id, ten_epochs(val))
        workplace.tracker.results.log_metrics(run_id, {"best_epoch": 8, "best_val_top1": val})
    workplace.tracker.runs.mark_finished(run_id)
    return run_id


def score_on_test(workplace: Workplace, arrays: Arrays, run_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Every third answer is wrong; labels and probabilities."""
    _, labels = arrays.part("test")
    answers = np.where(np.arange(len(labels)) % 3 == 0, 1 - labels, labels)
    probabilities = np.full((len(labels), 2), 0.1, np.float32)
    probabilities[np.arange(len(labels)), answers] = 0.6 + 0.03 * np.arange(len(labels))
    workplace.tracker.results.log_predictions(run_id, "test", labels, probabilities)
    workplace.tracker.results.log_evaluation(run_id, scored("test", probabilities, labels, NAMES), {})
    return labels, probabilities.max(axis=1)


def written(workplace: Workplace, run_id: str) -> Page:
    """The page, which is the same in the home and beside the run."""
    import mlflow

    file = report.write_report(run_id, workplace)
    assert file == workplace.home / "reports" / f"{run_id}.html"
    html = file.read_text()
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/{REPORT}") == html
    return Page(html)


def test_the_pictures_are_those_of_test_whose_answers_they_stand_for(
    workplace: Workplace, arrays: Arrays, ref: DatasetRef, tiny: Experiment
) -> None:
    run_id = log(workplace, ref, tiny, "one")
    labels, probabilities = score_on_test(workplace, arrays, run_id)
    page = written(workplace, run_id)
    images, _ = arrays.part("test")
    wrong = [index for index in np.argsort(-probabilities) if index % 3 == 0]
    assert [decoded(shown["src"])[0, 0, 0] for shown in page.pictures["mistakes"]] == [
        images[i][0, 0, 0] for i in wrong
    ]
    assert [shown["alt"].split()[3] for shown in page.pictures["mistakes"]] == [f"{NAMES[labels[i]]}," for i in wrong]
    assert len(page.pictures["unsure"]) == len(labels)
    assert "vgg16 data add shades photos" in page.codes
    # What is kept is replaced, and not added to.
    assert written(workplace, run_id).rows["classes"] == page.rows["classes"]


def test_without_the_dataset_there_are_numbers_and_the_reason(
    workplace: Workplace, arrays: Arrays, ref: DatasetRef, tiny: Experiment
) -> None:
    run_id = log(workplace, ref, tiny, "two")
    score_on_test(workplace, arrays, run_id)
    shutil.rmtree(workplace.home / "store" / ref.key)
    shutil.rmtree(workplace.home / "cache", ignore_errors=True)
    page = written(workplace, run_id)
    assert "The pictures cannot be shown: " in page.section_text("mistakes")
    assert page.pictures["mistakes"] == []
    assert len(page.rows["classes"]) == 3


def test_pictures_of_other_labels_than_were_scored_are_not_shown(
    workplace: Workplace, arrays: Arrays, ref: DatasetRef, tiny: Experiment
) -> None:
    run_id = log(workplace, ref, tiny, "five")
    _, probabilities = score_on_test(workplace, arrays, run_id)
    others = np.full((len(probabilities), 2), 0.5, np.float32)
    workplace.tracker.results.log_predictions(run_id, "test", 1 - arrays.part("test")[1], others)
    page = written(workplace, run_id)
    assert "has other pictures on test" in page.section_text("mistakes")
    assert page.pictures["mistakes"] == []


def test_without_a_name_it_is_the_member_that_was_judged_else_the_best_on_val(
    workplace: Workplace, ref: DatasetRef, tiny: Experiment
) -> None:
    runs = [
        log(workplace, ref, tiny.model_copy(update={"seed": seed}), "three", val)
        for seed, val in enumerate((0.7, 0.9, 0.8))
    ]
    assert report.find_run("", workplace).run_id == runs[1]
    workplace.tracker.runs.client.set_tag(runs[0], "vgg16.verdict", "refuse")
    assert report.find_run("", workplace).run_id == runs[0]
    assert report.find_run(runs[2][:12], workplace).run_id == runs[2]
    with pytest.raises(RequestError, match="no finished run"):
        report.find_run("none", workplace)


@pytest.mark.parametrize(("status", "kept"), [(403, True), (500, False)])
def test_who_may_only_read_runs_gets_the_page_and_any_other_failure_is_told(
    workplace: Workplace, ref: DatasetRef, tiny: Experiment, monkeypatch: pytest.MonkeyPatch, status: int, kept: bool
) -> None:
    run_id = log(workplace, ref, tiny, f"of {status}")

    def refuse(*_: str) -> None:
        answer = requests.Response()
        answer.status_code = status
        raise requests.HTTPError(response=answer)

    monkeypatch.setattr(workplace.tracker.results.client, "log_text", refuse)
    if kept:
        file = report.write_report(run_id, workplace)
        assert file
        assert file.is_file()
    else:
        with pytest.raises(requests.HTTPError):
            report.write_report(run_id, workplace)


def test_of_a_run_that_was_deleted_there_is_no_report(workplace: Workplace, ref: DatasetRef, tiny: Experiment) -> None:
    run_id = log(workplace, ref, tiny, "four")
    workplace.tracker.runs.client.delete_run(run_id)
    assert report.write_report(run_id, workplace) is None
    assert not Path(workplace.home, "reports", f"{run_id}.html").exists()
