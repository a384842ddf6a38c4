"""The course, on digits with small settings: killed midway, run again, told in two languages and read in a browser."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ENVIRONMENT, call
from tests.flows.test_interrupts import killed_after
from tests.system.pictures import browser

# Sixteen trainings and three starts of the command line: four minutes beside other work.
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

# Weights that a narrow VGG-16 starts from, in place of ImageNet's, which are of one width.
WEIGHTS = """
import sys
from vgg16.workplace.tensorflow import import_tensorflow
import_tensorflow()
from vgg16.config import catalog
from vgg16.config.types import BackboneChoice, Head
from vgg16.network.build import build
build(catalog.backbone("vgg16"), BackboneChoice(width=0.1), Head(units=()), input_size=32, classes=10).save(sys.argv[1])
"""


def asked(weights: Path) -> list[str]:
    settings = ["dataset=digits", "dataset.limit=200", "backbone.width=0.1", f"base={weights}", "phases.0.epochs=3"]
    settings += ["phases.1.epochs=2", "head.units=[16]"]
    return ["study", "course", *(word for each in settings for word in ("--set", each))]


def runs_of(home: Path) -> dict[str, dict[str, str]]:
    """Every MLflow run's tags, by its id."""
    with sqlite3.connect(home / "mlflow.db") as database:
        found: dict[str, dict[str, str]] = {run: {} for (run,) in database.execute("select run_uuid from runs")}
        for run, key, value in database.execute("select run_uuid, key, value from tags"):
            found[run][key] = value
    return found


def read(page: Any, report: Path, language: str) -> str:
    """What a browser shows of a report; it asks no network for anything, and nothing is an error."""
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: told.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(report.as_uri())
    assert told == [report.as_uri()]
    assert page.locator("html").get_attribute("lang") == language
    broken = "[...document.images].filter(each => !each.complete || !each.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    shown: str = page.inner_text("body")
    return shown


@pytest.mark.nightly
def test_the_course_goes_on_after_a_kill_and_is_told_in_two_languages(tmp_path: Path) -> None:
    home, weights = tmp_path / "home", tmp_path / "small.keras"
    environment = ENVIRONMENT | {"VGG16_HOME": str(home)}
    subprocess.run([sys.executable, "-c", WEIGHTS, str(weights)], env=environment, check=True, capture_output=True)
    command = asked(weights)
    killed_after(["training    course-batchnorm-sgd, 3 epochs", "epoch  1/3"], command, home)
    before = runs_of(home)
    (parent,) = [run for run, tags in before.items() if "vgg16.study" in tags]

    done = call(*command, "--json", VGG16_HOME=str(home))
    assert done.status == 0, done.stderr
    answer = done.json
    assert answer.keys() >= {"study", "run_id", "runs", "report", "markdown", "failed", "seconds"}
    assert answer["run_id"] == parent
    assert "course-reference-sgd is trained already" in done.stderr
    members = [run["experiment"] for run in answer["runs"]]
    # Where there is a network, its weights are downloaded.
    left_out = {each["experiment"] for each in answer["failed"]}
    assert left_out <= {"course-mobilenetv2"}
    assert len(members) == 16 - len(left_out)
    assert all("--set course-mobilenetv2.base=PATH" in each["cause"] for each in answer["failed"])
    after = runs_of(home)
    assert before.keys() <= after.keys()
    children = {run: tags for run, tags in after.items() if run != parent}
    assert {tags["mlflow.parentRunId"] for tags in children.values()} == {parent}
    assert Counter(tags["vgg16.experiment"] for tags in children.values()) == Counter(members)
    assert {run["run_id"] for run in answer["runs"]} == children.keys()
    with sqlite3.connect(home / "mlflow.db") as database:
        assert {row[0] for row in database.execute("select status from runs")} == {"FINISHED"}

    again = call(*command, "--set", "language=fr", "--json", VGG16_HOME=str(home))
    assert again.status == 0, again.stderr
    assert "epoch  1/" not in again.stderr
    assert [run["run_id"] for run in again.json["runs"]] == [run["run_id"] for run in answer["runs"]]
    assert (again.json["run_id"], runs_of(home).keys()) == (parent, after.keys())
    kept = {path.name for path in home.glob(f"mlflow/**/{parent}/artifacts/*")}
    assert kept >= {"course.html", "course.md", "course.fr.html", "course.fr.md", "figures"}
    compared = call("compare", "--json", VGG16_HOME=str(home))
    assert {run["run_id"] for run in compared.json["runs"]} == children.keys()

    with browser(390, 800) as page:
        english = read(page, Path(answer["report"]), "en")
    with browser(1200, 900) as page:
        french = read(page, Path(again.json["report"]), "fr")
    assert "A course on VGG-16, answered on digits" in english
    assert "Un cours sur VGG-16" in french
    (best,) = [run for run in answer["runs"] if run["experiment"] == "course-optimal"]
    assert f"{best['metrics']['test_top1']:.3f}" in english
    assert f"{best['metrics']['test_top1']:.3f}".replace(".", ",") in french
    assert json.dumps(best["metrics"])  # finite
