"""A network with what a user of it needs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vgg16.config.types import Framing

if TYPE_CHECKING:
    import keras


class Classifier(NamedTuple):
    """A model that takes uint8 [n, side, side, 3], the names of its classes in the order of its answers, how a picture
    file becomes such a square, and the digest of all three where they were loaded."""

    model: keras.Model
    class_names: tuple[str, ...]
    framing: Framing = Framing()
    digest: str = ""

    @property
    def side(self) -> int:
        """Height and width in pixels of the images that it takes."""
        return int(self.model.input_shape[1])
