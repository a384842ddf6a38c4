"""The sentences of a study's page, each recognised by a pattern of `grammar.toml`: one that fits none was not
foreseen, and what one names can be checked against the numbers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

GRAMMAR: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("grammar.toml").read_text(encoding="utf-8"))
NUMBERS = {
    "<N>": r"\d[\d,. ]*",
    "<SHARE>": r"0[.,]\d{3} \(0[.,]\d{3} (?:to|à) [01][.,]\d{3}\)",
    "<P>": r"p [=<] \d[.,]\d{3}",
    "<POINTS>": r"[+\u2212]\d+[.,]\d",
}


def patterns(language: str) -> dict[str, str]:
    """The patterns by the kinds of what they recognise, sentences first."""
    written = GRAMMAR[language] | GRAMMAR["frame"]
    for name, pattern in NUMBERS.items():
        written = {kind: text.replace(name, pattern) for kind, text in written.items()}
    return written


def read(markdown: str, language: str) -> dict[str, list[dict[str, str]]]:
    """The sentences of a page by their kinds, each with what it names. Raises ValueError for one that was not
    foreseen."""
    kinds: dict[str, list[dict[str, str]]] = {}
    known = patterns(language)
    # French has a space of its own before some signs and among digits.
    for line in markdown.replace("\u202f", " ").splitlines():
        text = line.removeprefix("- ")
        if not text:
            continue
        matches = ((kind, re.fullmatch(pattern, text)) for kind, pattern in known.items())
        kind, match = next((row for row in matches if row[1]), ("", None))
        if not match:
            raise ValueError(f"not foreseen: {text}")
        named = {name: value for name, value in match.groupdict().items() if value}
        kinds.setdefault(kind, []).append({"text": text} | named)
    return kinds
