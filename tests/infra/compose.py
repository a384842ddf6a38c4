"""infra/compose.yaml as Docker Compose would see it: anchors resolved, variables filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def required() -> set[str]:
    """The variables without which Compose refuses to start."""
    return {name for name, kind, _ in VARIABLE.findall((INFRA / "compose.yaml").read_text()) if kind == "?"}


def rendered(variables: dict[str, str], replaced: dict[str, str] | None = None) -> str:
    """The file with its variables filled in; then what `replaced` says in place of its keys, the first that fits."""

    def value(found: re.Match[str]) -> str:
        name, kind, word = found.groups()
        return variables[name] if name in variables or kind != "-" else str(word)

    text = VARIABLE.sub(value, (INFRA / "compose.yaml").read_text())
    if not replaced:
        return text
    # In one pass, or a port would be replaced inside another.
    return re.sub("|".join(map(re.escape, replaced)), lambda found: replaced[found[0]], text)


def services(variables: dict[str, str], replaced: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(rendered(variables, replaced))["services"]
    return found


def command_of(service: dict[str, Any]) -> list[str]:
    """What the container of a service runs, with its image's own entry point before it where that is of ours."""
    image = service["image"].partition(":")[0].removeprefix("vgg16-")
    stage = (INFRA / "Dockerfile").read_text().partition(f" AS {image}\n")[2].partition("\nFROM ")[0]
    entry = re.search(r"^ENTRYPOINT (.*)$", stage, re.MULTILINE)
    return [*(json.loads(entry[1]) if entry else []), *service.get("command", [])]
