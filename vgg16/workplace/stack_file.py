"""What the home's stack says to other commands: its file `stack.json`, which `vgg16/stack/state.py` writes, and whether
the data of this home are behind a stack that is down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgg16.errors import Vgg16Error
from vgg16.storage.files import is_same_file

# Who sets both of them says where everything is, stack or not.
FREE = ("VGG16_STORE", "MLFLOW_TRACKING_URI")


def read(home: Path) -> dict[str, Any]:
    """The file's content, {} where this home never had a stack. It is not `up` in a home that was moved or copied while
    the stack ran: the servers that it names write elsewhere. Raises Vgg16Error for a damaged file."""
    file = home / "stack" / "stack.json"
    try:
        content = json.loads(file.read_text())
        variables, services = content["variables"], content["services"]
        whole = all(isinstance(value, str) for value in variables.values()) and isinstance(content["up"], bool)
        origin = started_in(services)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(file, str(error)) from None
    if not whole:
        raise _damaged(file, "its variables are no texts")
    if origin and not is_same_file(origin, file.parent):
        content["up"] = False
    return dict(content)


def _damaged(file: Path, why: str) -> Vgg16Error:
    hint = "Remove it, then `vgg16 up` makes it anew; the data of the stack lie beside it."
    return Vgg16Error(f"{file} cannot be read: {why}.", hint)


def started_in(services: list[dict[str, Any]]) -> Path | None:
    """The folder of the stack whose processes these are, None for none: their logs are absolute paths."""
    return Path(services[0]["log"]).parents[1] if services else None


def check(home: Path) -> None:
    """Raises Vgg16Error where the data of this home are behind its stack, which is down: anything else would begin a
    second world beside them. Whoever sets store and tracking address by hand is free."""
    if all(os.environ.get(name) for name in FREE):
        return
    stack = read(home)
    if not stack or stack["up"] or not _keeps(stack):
        return
    # A database without runs is made by any look.
    before = f"; what was kept before it is in {home / 'store'} and {home / 'mlflow.db'}"
    own = before if (home / "mlflow").exists() else ""
    raise Vgg16Error(
        f"The data of {home} are behind its stack, which is down: `vgg16 up` brings {_amount(stack)}.",
        f"To go without it, set {' and '.join(FREE)} yourself{own}.",
    )


def _keeps(stack: Mapping[str, Any]) -> bool:
    """Whether the stack that is down keeps anything; what did not note it is asked whether it ever came up."""
    kept = stack.get("kept")
    return bool(stack.get("deployed")) if kept is None else not kept.get("empty")


def _amount(stack: Mapping[str, Any]) -> str:
    versions = (stack.get("kept") or {}).get("versions")
    return f"back {versions} version{'s' * (versions != 1)}" if versions else "them back"
