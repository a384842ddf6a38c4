"""Where this code lies: in a checkout, or installed from a wheel, where nothing but the package is there."""

from __future__ import annotations

from pathlib import Path

# Never a folder to work in, or to put on sys.path: its statistics.py would be taken for the standard library's.
PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The root of the checkout around the package, or of an image's copy of one; None where it was installed."""
    root = PACKAGE.parent
    return root if all((root / name).is_file() for name in ("pyproject.toml", "prefect.yaml")) else None
