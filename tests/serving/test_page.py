"""The page's files: whoever calls the service by its name may read them, and they ask nobody but it."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.pages import ROOT
from tests.serving.tiny import ask, in_production, serving
from vgg16.records import UNUSUAL
from vgg16.serving.service import Door

FOLDER = ROOT / "vgg16" / "serving" / "page"
FILES = sorted(path.name for path in FOLDER.iterdir())
TOKEN = "0123456789abcdef0123"


def test_the_page_runs_its_own_files_alone(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(
        r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=\"page/page.js\"></script>)", answer.text
    )


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_what_it_is(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    kind = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}[Path(name).suffix]
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    text = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text)
    for module in re.findall(r'from "\./([\w.]+)"', text):
        assert module in FILES


def test_there_is_no_other_file(client: httpx.Client) -> None:
    for path in ("../routes/page.py", "..%2Froutes%2Fpage.py", "%2e%2e/app.py", "nothing.js", "", "page.css/"):
        assert client.get(f"/page/{path}").status_code == 404, path
    assert client.post("/").status_code == 405


def test_it_calls_unusual_what_the_command_line_does() -> None:
    assert f"const UNUSUAL = {UNUSUAL};" in (FOLDER / "words.js").read_text()


def test_it_is_read_without_a_token_that_all_it_shows_needs(tmp_path: Path) -> None:
    with (
        serving(in_production(tmp_path, "1"), tmp_path, Door("0.0.0.0", 0, TOKEN)) as running,
        ask(running.url.replace("0.0.0.0", "127.0.0.1")) as client,
    ):
        assert [client.get(path).status_code for path in ("/", "/page/page.js")] == [200, 200]
        assert client.get("/model").status_code == 401
        assert client.post("/occlusion").status_code == 401
        assert client.get("/model", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert [client.get(path).status_code for path in ("/page", "/pages/page.js")] == [401, 401]


def test_a_link_of_another_site_may_lead_to_it_and_another_name_may_not(client: httpx.Client) -> None:
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=foreign).status_code == 200
    assert client.get("/model", headers=foreign).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/page/page.js", headers={"host": "evil.example"}).status_code == 403
