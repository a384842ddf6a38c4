"""README and the docs: what they say that there is, is there; what there is, the reference has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs import generated
from tests.pages import ROOT, Block, blocks, pages, words
from vgg16.cli.main import cli
from vgg16.config import catalog, project, studies
from vgg16.config.catalog import SHIPPED
from vgg16.config.overrides import flat
from vgg16.tracking.tags import METRICS, TAGS

SHELL = [block for page in pages() for block in blocks(page) if block.language == "sh"]
NAMES = re.compile(r"\bVGG16_[A-Z_]+[A-Z]\b")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, whose project file is read anew."""
    monkeypatch.chdir(tmp_path)
    project.load.cache_clear()
    yield tmp_path
    project.load.cache_clear()


def identity(block: Block) -> str:
    return f"{block.page}: {block.commands[0][:40]}"


def parsed(arguments: list[str]) -> click.Context:
    """The command line's own reading of these arguments. Raises click.UsageError."""
    command: click.Command = cli
    context = click.Context(cli, info_name="vgg16")
    while isinstance(command, click.Group):
        name, inner, arguments = command.resolve_command(context, arguments)
        assert name
        assert inner
        context, command = inner.make_context(name, [*arguments], parent=context), inner
    return context


def test_every_page_of_the_docs_is_in_the_navigation() -> None:
    folder = ROOT / "docs"
    written = {f"docs/{path.relative_to(folder)}" for path in folder.rglob("*.md")} - {"docs/course/course.md"}
    assert {page for page in pages() if page.startswith("docs/")} == written


def test_readme_is_one_that_is_read() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 10_000
    links = re.findall(r"\]\(([^)#]+)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_nothing_is_written_twice() -> None:
    """Of sentences; tables and blocks may repeat a number or a command."""
    seen: dict[str, str] = {}
    for page in pages():
        prose = re.sub(r"(?ms)^(```.*?^```|[|#<!][^\n]*)$", "", (ROOT / page).read_text())
        for sentence in re.split(r"(?<=[.:;])\s+", " ".join(prose.split())):
            if len(sentence) > 50:
                assert seen.setdefault(sentence, page) == page, sentence


def test_what_is_broken_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "infra", "README.md", "mkdocs.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    planted = "[link](no-page.md) [anchor](figures.md#no-anchor) ![picture](no-picture.png) [absolute](/figures.html)"
    (tmp_path / "docs" / "index.md").write_text(planted)
    (tmp_path / "docs" / "alone.md").write_text("A page that is not in the navigation.")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for broken in ("no-page.md", "#no-anchor", "no-picture.png", "/figures.html", "alone.md"):
        assert broken in done.stderr


@pytest.mark.parametrize("block", SHELL, ids=identity)
def test_a_command_is_run_or_says_why_not(block: Block) -> None:
    assert not block.comment or block.excuses, f"no such comment: {block.comment}"
    for begins, reason in block.excuses.items():
        assert len(reason.split()) >= 3, f"{begins}: why?"
        assert any(line.startswith(begins) for line in block.commands), begins


@pytest.mark.parametrize("block", SHELL, ids=identity)
def test_a_command_is_one_that_there_is(block: Block, folder: Path) -> None:
    tables = [other.text for other in blocks(block.page) if other.language == "toml"]
    if tables:
        (folder / "vgg16.toml").write_text("\n".join(tables))
    for program, *arguments in (found for line in block.commands for found in words(line)):
        if program == "make":
            targets = [word for word in arguments if "=" not in word]
            assert all(re.search(f"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets), targets
        if program != "vgg16":
            continue
        context = parsed(arguments)
        overrides = context.params.get("overrides", ())
        for weights in re.findall(r"=(\S+\.h5)", " ".join(overrides)):
            (folder / weights).touch()
        ours = project.load()
        if context.info_name == "study":
            studies.choose(ours.requested_study(context.params["name"]), [*overrides], ours.catalog)
            continue
        shown = [context.params["name"]] if context.info_name == "show" else []
        names = context.params["experiments"] if context.info_name == "run" else shown
        if names and names[0] not in SHIPPED.backbones:
            catalog.choose(ours.requested([ours.recipe(name, gpu=False) for name in names]), overrides, ours.catalog)


@pytest.mark.parametrize("page", [page for page in pages() if any(block.language == "toml" for block in blocks(page))])
def test_a_project_file_is_one_that_is_read(page: str, folder: Path) -> None:
    tables = [block.text for block in blocks(page) if block.language == "toml"]
    (folder / "vgg16.toml").write_text("\n".join(tables))
    assert len(project.load().catalog.experiments) > len(SHIPPED.experiments)


def test_what_a_page_includes_is_written_as_mkdocs_reads_it() -> None:
    # A formatter that takes the line for Python makes `--8 < --` of it, which is then shown.
    lines = [line for page in (ROOT / "docs").rglob("*.md") for line in page.read_text().splitlines()]
    included = [line for line in lines if re.match(r"\s*-+\s*8\s*<", line)]
    assert len(included) >= 7
    assert all(re.match(r'\s*--8<-- "', line) for line in included), included


def test_the_table_of_extras_has_each() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = (ROOT / "docs" / "developing.md").read_text().split("| extra |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.M)) == sorted(extras)


def test_pages_ask_for_every_table() -> None:
    text = "".join((ROOT / page).read_text() for page in pages())
    for maker in generated.MAKERS:
        assert f"<!-- generated: {maker.__name__} -->" in text
        assert maker()


def test_the_reference_has_every_command_and_option() -> None:
    page = generated.commands()
    for command, context in generated.walk(cli, click.Context(cli, info_name="vgg16")):
        section = page.split(f"## {context.command_path}\n")[1].split("\n## ")[0]
        options = [name for option in command.params for name in option.opts if name.startswith("--")]
        assert "--json" in options
        assert [name for name in options if f"`{name}" not in section] == []


def test_the_reference_has_every_setting_with_its_meaning() -> None:
    rows = generated.settings()
    assert [row.key for row in rows if not (row.allowed and row.default and row.meaning)] == []
    keys = {row.key for row in rows}
    for experiment in SHIPPED.experiments.values():
        logged = {re.sub(r"\.\d+\.", ".N.", key) for key in flat(experiment.model_dump(mode="json"))}
        assert logged <= keys


def test_the_reference_has_every_tag_metric_and_variable() -> None:
    for page, names in ((generated.tags(), TAGS), (generated.metrics(), METRICS)):
        assert [name for name in names if f"`{name}`" not in page] == []
    environment = generated.on_page_markdown((ROOT / "docs" / "reference" / "environment.md").read_text())
    code = [path for top in ("vgg16", "flows", "tests", "infra") for path in (ROOT / top).rglob("*.py")]
    named = {name for path in code for name in NAMES.findall(path.read_text())}
    marks = {"VGG16_STACK", "VGG16_SERVER_OF"}  # in the environment of what we start
    assert [name for name in sorted(named - marks) if f"`{name}`" not in environment] == []
