"""Decisions on images and pairs of them, and what follows from all that were made: the latest on each wins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import model_validator

from vgg16.config.types import Frozen
from vgg16.errors import RequestError
from vgg16.suggestions import nearest

Action = Literal["keep", "drop", "label"]

_PLAIN: tuple[Literal["keep", "drop"], ...] = ("keep", "drop")
ACTIONS = (*_PLAIN, "label=CLASS")


class Decision(Frozen):
    """What becomes of an image, or of a pair of near-duplicates: `images` are its sha256, or theirs in ascending order;
    `names` where they lay in the source, "" for what is no file. `keep`: the image stays as its source has it, the two
    may both stay; `drop`: later versions do without it; `label`: there it is of the class `label`."""

    images: tuple[str, ...]
    names: tuple[str, ...]
    action: Action
    label: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Decision:
        if len(self.images) not in (1, 2) or len(self.names) != len(self.images):
            raise ValueError("expected an image or two, each with its name")
        if len(self.images) == 2 and self.action != "keep":
            raise ValueError("a pair can only be kept")
        if (self.action == "label") != bool(self.label):
            raise ValueError("expected a class where the action is label, and nowhere else")
        return self

    @property
    def text(self) -> str:
        """What was decided, as `--as` takes it."""
        return f"label={self.label}" if self.action == "label" else self.action

    @property
    def finding(self) -> str:
        """The image or the pair, as a person names it."""
        return "+".join(name or digest[:12] for name, digest in zip(self.names, self.images, strict=True))


class Review(Frozen):
    """Decisions that were made together: the `number` of their file, by whom, and when in UTC."""

    number: int
    dataset: str
    by: str
    at: str
    decisions: tuple[Decision, ...]


class Made(NamedTuple):
    """A decision with whoever made it, and when."""

    decision: Decision
    by: str
    at: str

    @property
    def signed(self) -> str:
        """Who and when, for a person."""
        return f"by {self.by} on {self.at[:10]}"


@dataclass(frozen=True)
class Reviews:
    """All decisions on a dataset's images, in the order in which they were made; `sha256` is that of their files, one
    after the other, "" for none."""

    parts: tuple[Review, ...] = ()
    sha256: str = ""

    @property
    def made(self) -> list[Made]:
        """Every decision, those that later ones have overtaken too."""
        return [Made(decision, part.by, part.at) for part in self.parts for decision in part.decisions]

    @cached_property
    def latest(self) -> dict[tuple[str, ...], Made]:
        """The decision that counts, by the sha256 of the image or of the two."""
        return {one.decision.images: one for one in self.made}

    @property
    def changes(self) -> dict[str, Made]:
        """The decisions that a version is another one by, drop and label, by the sha256 of their image."""
        return {images[0]: one for images, one in self.latest.items() if one.decision.action != "keep"}

    def settles_pair(self, first: str, second: str) -> bool:
        """Whether a pair of near-duplicates, by the sha256 of both, is no finding any more: it was kept, or one of them
        is dropped."""
        dropped = any(self._action(image) == "drop" for image in (first, second))
        return dropped or tuple(sorted((first, second))) in self.latest

    def settles_label(self, image: str) -> bool:
        """Whether the label of an image, by its sha256, is no finding any more: somebody has decided on it."""
        return (image,) in self.latest

    def _action(self, image: str) -> str:
        made = self.latest.get((image,))
        return made.decision.action if made else ""


def parse_action(text: str) -> tuple[Action, str]:
    """What `--as` says: the action, and the class of a label. Raises RequestError."""
    name, equals, label = text.partition("=")
    if label and name == "label":
        return "label", label
    for plain in _PLAIN:
        if text == plain:
            return plain, ""
    hint = "label= wants the name of a class." if name == "label" and equals else nearest(text, ACTIONS)
    raise RequestError(f"--as expects keep, drop or label=CLASS, found {text!r}.", hint)
