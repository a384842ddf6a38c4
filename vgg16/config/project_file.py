"""Where a user's project file is, and whether it may be read. Without the rows, whose types take a moment to import."""

from __future__ import annotations

import os
from pathlib import Path

from vgg16.errors import RequestError

FILE = "vgg16.toml"


def find() -> Path | None:
    """The nearest project file upward from the working folder, None for none; `obstacle` says if it may be read."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise RequestError("The folder that you stand in is gone.", "Change to one that is there.") from None
    return next((folder / FILE for folder in (here, *here.parents) if os.path.lexists(folder / FILE)), None)


def obstacle(path: Path) -> str:
    """Why a project file is not read, "" where nothing is in the way. Another account's could name what this one then
    reads, and so could its link."""
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    if not is_file:
        return "is no file"
    if hasattr(os, "geteuid") and {path.stat().st_uid, path.lstat().st_uid} != {os.geteuid()}:
        return "belongs to another account"
    return ""
