"""README and the docs: their commands run, page after page, in one home with one stack; their site in a browser."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ENVIRONMENT, QUIET
from tests.fileserver import serving_folder
from tests.pages import ROOT, Block, blocks, pages
from tests.system.conftest import Stack
from tests.system.pictures import browser
from tests.system.servers import BIN

pytestmark = [pytest.mark.system, pytest.mark.timeout(1000)]


def runs(block: Block) -> bool:
    return bool(block.file or (block.language == "sh" and block.run))


PAGES = [page for page in pages() if any(runs(block) for block in blocks(page))]
# For all pages. A page may wait for others on a busy machine: this is processor time, of
# the commands alone, and on a quiet one about as long by the clock.
MOST_SECONDS = 600
PATIENCE = 900


class Desk:
    """Where a reader sits: the folder that holds the home, and the seconds of a processor that commands took so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, 0.0

    def follow(self, page: str) -> subprocess.CompletedProcess[str]:
        """Do what a page says, in one shell that ends with the first command that fails."""
        script = ["set -euo pipefail", "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR"]
        for number, block in enumerate(filter(runs, blocks(page))):
            script += [f"cat > {block.file} <<'END{number}'\n{block.text}END{number}"] if block.file else block.run
        start = processor_seconds()
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.folder,
            env=ENVIRONMENT | QUIET | {"PATH": f"{BIN}:{os.environ['PATH']}", "VGG16_HOME": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.seconds += processor_seconds() - start
        return done


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def desk(reader_stack: Stack) -> Desk:
    """A folder with a home whose stack is up."""
    return Desk(reader_stack.home.parent)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(desk: Desk, page: str) -> None:
    done = desk.follow(page)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_all_pages_together_are_quick(desk: Desk) -> None:
    assert desk.seconds < MOST_SECONDS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = ENVIRONMENT | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with serving_folder(folder) as url:
        yield url


@pytest.fixture
def page(site: str) -> Iterator[Any]:
    """A browser; at the end it has asked nobody but the site, and the console has no error."""
    with browser(1300, 1000) as page:
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(f"{request.url}: {request.failure}"))
        page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
        yield page
        page.wait_for_timeout(500)  # what is asked for last
        assert errors == []
        assert asked
        assert [url for url in asked if not url.startswith((site, "data:"))] == []


@pytest.mark.parametrize(
    ("address", "texts"),
    [
        ("index.html", ["Your first run", "the version in production, and the one under judgement"]),
        ("how-to/promote.html", ["Bring the one before back", "vgg16 rollback vgg16-digits"]),
        ("reference/settings.html", ["phases.N.optimizer.learning_rate", "gate.noninferiority_margin"]),
        ("reference/commands.html", ["vgg16 data validate [OPTIONS] DATASET"]),
        ("infra/index.html", ["Jobs elsewhere"]),
    ],
)
def test_a_page_shows_without_an_error_or_a_network(page: Any, site: str, address: str, texts: list[str]) -> None:
    page.goto(f"{site}/{address}")
    for text in texts:
        page.locator("article").get_by_text(text).first.wait_for(timeout=10_000)
    for picture in page.locator("article img").all():
        assert picture.evaluate("picture => picture.complete && picture.naturalWidth > 0")


def test_the_search_finds_a_setting(page: Any, site: str) -> None:
    page.goto(f"{site}/index.html")
    page.locator("input.md-search__input").click()
    page.keyboard.type("noninferiority_margin")
    page.locator(".md-search-result__link[href*='reference/settings.html']").first.wait_for(timeout=10_000)
