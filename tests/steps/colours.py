"""A model for tests of scoring that knows three colours, and who looks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_folder import COLORS, at_home
from vgg16.config.types import Framing
from vgg16.data.images import Images
from vgg16.statistics import Probabilities
from vgg16.steps.scoring import parts, score
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import EngineName, Floats, ScoredPart, ScoreRequest, ScoreResult

MODEL = Model("models:/vgg16-own@champion", "models:/vgg16-own/3", "d" * 64, False, None, 1.25, None)


class ByColour:
    """Which of the colours an image is nearest to; typical is what is bright."""

    name: EngineName = "keras"
    runtime = identity = "colours 1"
    class_names = tuple(COLORS)
    side = 16
    framing = Framing()
    has_typicality = True
    batch = 4

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, images: Images) -> tuple[Probabilities, Floats]:
        self.asked += len(images)
        colours = images.mean(axis=(1, 2))
        distances = np.abs(colours[:, None] - np.array([*COLORS.values()])[None]).sum(axis=2)
        likely = np.exp(-distances / 50)
        return (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32), colours.mean(axis=1).astype("f4") / 255


def by_colour(patch: pytest.MonkeyPatch) -> ByColour:
    """What answers in place of a model from now on, where pictures are scored; a part has eight rows."""
    engine = ByColour()

    @contextmanager
    def opened(*_: object) -> Iterator[ByColour]:
        yield engine

    patch.setattr(score, "open_engine", opened)
    patch.setattr(score, "find_model", lambda *_: MODEL)
    patch.setattr(parts, "ROWS", 8)
    return engine


class Onlooker:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.parts: list[ScoredPart] = []

    def see(self, part: ScoredPart) -> None:
        self.parts.append(part)

    def summary(self) -> dict[str, Any]:
        return {
            "truth": {path: truth for part in self.parts for path, truth in zip(part.paths, part.truth, strict=True)}
        }


def scored(source: str | Path, output: str | Path, home: Path, **options: Any) -> ScoreResult:
    """A source scored to an output, by a workplace of that home."""
    observer, display = options.pop("observer", None), options.pop("display", None)
    request = ScoreRequest(source=str(source), output=str(output), model=MODEL.requested, **options)
    return score.score(request, at_home(home, display=display), observer)
