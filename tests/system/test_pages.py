"""What a person sees in MLflow's own UI, in a browser, with twenty runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import call
from tests.reports.planted_run import facts
from tests.system.pictures import RUNS, browser, served
from vgg16.reports.run.page import report
from vgg16.stack.mlflow_ui import Ui
from vgg16.tracking import views

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of twenty runs, whose MLflow UI is up."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ui(home: Path) -> Iterator[Ui]:
    """The home's MLflow UI."""
    with served(home) as found:
        yield found


@pytest.fixture
def url(ui: Ui) -> str:
    """Its address."""
    return ui.url


@pytest.fixture
def page(ui: Ui) -> Iterator[Any]:
    """A browser large enough for all columns and charts; at the end, the page has shown no error."""
    with browser(1900, 2000, ui) as found:
        broken: list[str] = []
        found.on("pageerror", lambda error: broken.append(str(error)))
        yield found
        assert not broken
        for told in ("Something went wrong", "Error loading shared view", "Page Not Found"):
            assert found.get_by_text(told).count() == 0


def test_who_has_no_password_sees_nothing(ui: Ui, home: Path) -> None:
    assert (home / "mlflow-ui.json").stat().st_mode & 0o777 == 0o600
    refused = httpx.get(f"{ui.url}/")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="vgg16"')
    with browser(800, 600, replace(ui, password="wrong")) as page:
        assert page.goto(f"{ui.url}/").status == 401
    # What another page sends along with the password that the browser knows.
    search = f"{ui.url}/ajax-api/2.0/mlflow/experiments/search?max_results=1"
    for origin, status in ((ui.url, 200), ("http://127.0.0.1:1", 403), ("null", 403)):
        assert httpx.get(search, auth=(ui.user, ui.password), headers={"Origin": origin}).status_code == status


def shows(page: Any, *texts: str) -> None:
    """Wait until a person can read each of these texts."""
    for text in texts:
        page.get_by_text(text).first.wait_for(timeout=30_000)


def test_the_list_of_runs_has_the_columns_to_compare_by_and_a_filter_that_works(page: Any, url: str) -> None:
    page.goto(f"{url}/#/experiments/1/runs?{views.PARAMETER}={views.ALL}&workflowType=machine_learning")
    shows(page, "matching runs", "digits-finetune s19 3f1c9a52", "vgg16-digits/3", "promote")
    heads = [(head.bounding_box()["x"], head.inner_text()) for head in page.locator(".ag-header-cell").all()]
    columns = [column.split("`")[1] for column in views.COLUMNS]
    assert [text for _, text in sorted(heads) if text in columns] == columns
    assert f"{RUNS} matching runs" in page.inner_text("body").replace("\n", " ")

    search = page.get_by_placeholder("metrics.rmse < 1", exact=False)
    search.fill("tags.`vgg16.verdict` = 'refuse'")
    search.press("Enter")
    page.get_by_text("digits-finetune s19 3f1c9a52").first.wait_for(state="detached", timeout=30_000)
    shows(page, "digits-scratch s18 3f1c9a52")
    assert "1 matching run" in page.inner_text("body").replace("\n", " ")


def test_vgg16_ui_opens_the_curves_of_the_last_runs_members_over_each_other(page: Any, ui: Ui, home: Path) -> None:
    answer = call("ui", "--json", VGG16_HOME=str(home)).json
    assert answer["url"].startswith(ui.url)
    assert (answer["user"], answer["password"]) == (ui.user, ui.password)
    # A team's server is used as it is, and its passwords are the team's affair.
    variables = {"MLFLOW_TRACKING_USERNAME": ui.user, "MLFLOW_TRACKING_PASSWORD": ui.password}
    team = call("ui", "--json", VGG16_HOME=str(home / "other"), MLFLOW_TRACKING_URI=ui.url, **variables)
    assert team.json == {"url": answer["url"], "user": "", "password": ""}
    page.goto(answer["url"])
    shows(
        page,
        "Last run",
        "Settings that differ",
        "phases.0.optimizer.name",
        "Curves",
        "val_top1",
        "val_loss",
        "train_loss",
        "test_top1",
        "images_per_s",
    )
    assert "2 matching runs" in page.inner_text("body").replace("\n", " ")
    for metric in ("val_top1", "val_loss", "train_loss"):
        title = page.get_by_text(metric, exact=True)
        chart = page.locator("[data-testid=experiment-view-compare-runs-card]").filter(has=title).first
        chart.locator(".scatterlayer path.js-line").nth(1).wait_for(timeout=30_000)
        assert len({path.get_attribute("d") for path in chart.locator("path.js-line").all()}) == 2, metric
        assert all(name in chart.inner_text() for name in ("digits-finetune s19", "digits-scratch s18"))


def test_parallel_coordinates_lead_from_the_settings_to_the_result(page: Any, url: str) -> None:
    opened = f"{views.PARAMETER}={views.ALL}&compareRunsMode=CHART&workflowType=machine_learning"
    page.goto(f"{url}/#/experiments/1/runs?{opened}")
    shows(page, "Parallel Coordinates", "sgd", "adam", "before", "none")
    axes = page.locator(".parcoords .axis .label").all_text_contents()
    assert axes == [
        "phases.0.optimizer.learning_rate",
        "phases.0.optimizer.name",
        "backbone.batch_norm",
        "best_val_top1",
    ]


def test_the_registered_model_shows_alias_stage_and_card(page: Any, url: str) -> None:
    page.goto(f"{url}/#/models/vgg16-digits")
    shows(page, "vgg16 history vgg16-digits", "Version 3", "@ champion", "Where the stage is")
    page.goto(f"{url}/#/models/vgg16-digits/versions/3")
    shows(page, "Stage (deprecated)", "Production", "@ champion", "How good it is", "Limits", "How to use it")
    text = page.inner_text("body")
    for fact in ("models:/vgg16-digits/3", "359 images of test", "95 % interval", "digits-finetune", "3f1c9a52"):
        assert fact in text


def test_a_report_stands_beside_its_run(page: Any, url: str, home: Path) -> None:
    run = call("report", "--json", VGG16_HOME=str(home)).json
    page.goto(f"{url}/#/experiments/1/runs/{run['run_id']}/artifacts/report.html?workflowType=machine_learning")
    frame = page.frame_locator("iframe")
    for text in (
        "digits-finetune on digits",
        "Class by class",
        "vgg16 predict new/ --model models:/vgg16-digits@champion",
    ):
        frame.get_by_text(text).first.wait_for(timeout=30_000)


@pytest.mark.parametrize("width", [400, 1200])
def test_a_report_needs_no_server_and_fits_a_screen_and_a_sheet(tmp_path: Path, width: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(facts()), encoding="utf-8")
    with browser(width, 900) as page:
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        for picture in page.locator("img").all():
            assert picture.evaluate("picture => picture.complete && picture.naturalWidth > 0")
        # What is wide scrolls by itself.
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_text("What to type next").first.click()
        assert page.url.endswith("#next")
        assert len(page.pdf(format="A4")) > 10_000
        assert errors == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
