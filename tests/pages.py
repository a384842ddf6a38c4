"""The pages that people read, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^(?:<!-- (?P<comment>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
_EXCUSE = re.compile(r"\(([^)]+)\): ([^;]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment directly before it."""

    page: str
    language: str
    text: str
    comment: str

    @property
    def commands(self) -> list[str]:
        """Its lines, each a command."""
        return [line for line in self.text.replace("\\\n", "").splitlines() if line.strip()]

    @property
    def excuses(self) -> dict[str, str]:
        """Why commands are not run, by how they begin: "" stands for all."""
        kind, _, reason = self.comment.partition(": ")
        if kind == "not run":
            return {"": reason}
        return dict(_EXCUSE.findall(self.comment)) if self.comment.startswith("not run (") else {}

    @property
    def run(self) -> list[str]:
        """The commands that nothing excuses."""
        return [line for line in self.commands if not line.startswith(tuple(self.excuses))]

    @property
    def file(self) -> str:
        """The file that the block is to be written to, "" for none."""
        return self.comment.removeprefix("file: ") if self.comment.startswith("file: ") else ""


def pages() -> list[str]:
    """Every page by its path in the checkout, in the order of the site's navigation; README follows the first run,
    whose champion it asks."""
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    paths = [path if path.startswith("infra/") else f"docs/{path}" for path in _leaves(navigation)]
    paths.insert(paths.index("docs/tutorials/first-run.md") + 1, "README.md")
    return paths


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(inner)


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = _BLOCK.finditer((ROOT / page).read_text())
    return [Block(page, each["language"], each["text"], each["comment"] or "") for each in found]


def words(command: str) -> Iterator[list[str]]:
    """The words of each program that a line calls, less the variables before it."""
    for part in re.split(r" && | \| ", command):
        found = shlex.split(part, comments=True)
        found = found[: found.index(">")] if ">" in found else found
        while found and re.fullmatch(r"\w+=.*", found[0]):
            found.pop(0)
        if found:
            yield found
