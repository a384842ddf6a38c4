"""Addresses of MLflow's pages: each opens its mode for training, and none has a password in it."""

from __future__ import annotations

import pytest

from vgg16.tracking import links

RUN = links.at("http://127.0.0.1:5000/", links.run("1", "abc"))
PAGES = {
    "a run": RUN,
    "a page beside it": links.artifact(RUN, "data-docs.html"),
    "a list of runs": links.at("https://mlflow.example.org/team", links.runs("1", "compareRunsMode=CHART")),
    "a version": links.at("http://127.0.0.1:5000", links.version("vgg16-digits.study", "3")),
    "of a server with a password": links.at("https://me:s3cret@mlflow.example.org", links.run("1", "abc")),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_for_training_and_without_a_password(name: str) -> None:
    page = PAGES[name]
    # MLflow reads its parameters behind the hash.
    before, _, route = page.partition("#")
    assert before.startswith("http")
    assert route.partition("?")[2].split("&")[-1] == "workflowType=machine_learning"
    assert page.count("?") == 1
    assert "s3cret" not in page


def test_a_file_beside_a_run_is_below_its_page() -> None:
    assert PAGES["a page beside it"].partition("?")[0].endswith("/#/experiments/1/runs/abc/artifacts/data-docs.html")


def test_a_database_has_no_pages() -> None:
    assert links.at("sqlite:////home/me/.vgg16/mlflow.db", links.run("1", "abc")) == ""
