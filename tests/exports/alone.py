"""A fresh environment: of all that is installed here, named packages and what they need, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


class Environment:
    """A folder with these packages alone, in which programs run."""

    def __init__(self, folder: Path, *packages: str) -> None:
        self.folder = folder
        folder.mkdir()
        for name in _needed(packages):
            installed = distribution(name)
            for file in installed.files or ():
                if ".." not in file.parts:
                    _link(Path(str(installed.locate_file(""))), folder, file.parts)

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of Python. Nothing of this environment's own is on its path: without `site`, no package is."""
        return subprocess.run(
            [sys.executable, "-S", *command],
            cwd=cwd,
            env={"PATH": os.defpath, "HOME": str(cwd), "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _needed(packages: tuple[str, ...]) -> set[str]:
    """These packages and all that they require without an extra."""
    needed: set[str] = set()
    left = [*packages]
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name not in needed:
            needed.add(name)
            wanted = map(Requirement, distribution(name).requires or ())
            left += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return needed


def _link(installed: Path, folder: Path, parts: tuple[str, ...]) -> None:
    """Whole packages as one link each; what several distributions share, such as `google`, file by file."""
    for depth in range(1, len(parts) + 1):
        path = Path(*parts[:depth])
        if (folder / path).is_symlink():
            return
        if depth == len(parts) or (installed / path / "__init__.py").exists():
            (folder / path).symlink_to(installed / path)
            return
        (folder / path).mkdir(exist_ok=True)
