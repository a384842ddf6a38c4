"""What tests of steps share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_folder import classes
from tests.steps.colours import ByColour, by_colour


@pytest.fixture
def vgg16(warm: Callable[..., Any]) -> Callable[..., Any]:
    """In place of `tests.conftest.call`: a fork that has its libraries already."""
    return warm


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ByColour:
    """What answers in place of a model, where pictures are scored; a part has eight rows."""
    return by_colour(monkeypatch)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Thirty pictures in class folders, one that is damaged, an empty one, and what is none."""
    classes(tmp_path / "photos")
    (tmp_path / "photos" / "bee" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "ant" / "empty.png").touch()
    (tmp_path / "photos" / "notes.txt").write_text("notes")
    return tmp_path / "photos"
