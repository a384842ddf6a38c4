"""The ledger's entries: blocks on a terminal, each reason a line; elsewhere a table, an entry a line."""

from __future__ import annotations

from typing import Any

from vgg16.cli.layout import tables

_LABELS = ("when", "by", "before", "evidence", "files", "why")
_INDENT = 2 + max(map(len, _LABELS)) + 2


def lines(entries: list[dict[str, Any]], width: int | None) -> list[str]:
    """The entries, of which there is at least one, in at most `width` columns; None for any number."""
    if width is None:
        return tables.lines([_row(entry) for entry in entries], None)
    return [line for entry in entries for line in _block(entry, width)]


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "": entry["number"],
        "when": entry["at"],
        "by": entry["by"],
        "action": _action(entry),
        "version": entry["version"],
        "before": entry["previous"],
        "evidence": evidence(entry["evidence"]),
        "files": files(entry["exports"]),
        "why": "; ".join(entry["reasons"]),
    }


def _action(entry: dict[str, Any]) -> str:
    return f"{entry['action']}{' (forced)' * entry['forced']}"


def _block(entry: dict[str, Any], width: int) -> list[str]:
    row = _row(entry)
    parts: list[tuple[str, str]] = [(label, str(row[label])) for label in _LABELS[:-1] if row[label]]
    parts += [("why" * (not number), reason) for number, reason in enumerate(entry["reasons"])]
    drawn = [f"{entry['number']}  {row['action']} version {row['version']}"]
    for label, text in parts:
        first, *others = tables.wrapped(text, width, _INDENT)
        drawn += [f"  {label:<{_INDENT - 2}}{first.strip()}", *others]
    return drawn


def files(exports: dict[str, str]) -> str:
    """The proven files, each by its format and the first digits of its sha256."""
    return ", ".join(f"{name} {sha256[:12]}" for name, sha256 in exports.items())


def evidence(numbers: dict[str, float]) -> str:
    """The difference of top-1 in points with its interval, or what each of the two had where it was not measured."""
    percent = {key: f"{100 * value:.1f}" for key, value in numbers.items()}
    parts = []
    if numbers.keys() >= {"difference", "difference_low", "difference_high"}:
        interval = f"{percent['difference_low']} to {percent['difference_high']}"
        parts.append(f"{100 * numbers['difference']:+.1f} points ({interval})")
    elif "challenger_gate_top1" in numbers:
        before = f" after {percent['champion_gate_top1']}" if "champion_gate_top1" in numbers else ""
        parts.append(f"{percent['challenger_gate_top1']} %{before}")
    if "p" in numbers:
        parts.append(f"p {numbers['p']:.3f}" if numbers["p"] >= 0.001 else "p < 0.001")
    if "judgement" in numbers:
        parts.append(f"judgement {numbers['judgement']:.0f}")
    if numbers.keys() >= {"gate_newer_images", "difference_newer"}:
        parts.append(f"{100 * numbers['difference_newer']:+.1f} on {numbers['gate_newer_images']:.0f} newer images")
    return ", ".join(parts)
