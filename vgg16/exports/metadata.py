"""What an exported file says of itself, in the form that its format has for that."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import TypeAdapter

from vgg16.config.types import Framing, Frozen

_NAMES = TypeAdapter(tuple[str, ...])


class Metadata(Frozen):
    """Which version of which registered model a file holds, and the `digest` of that; the names of its classes in the
    order of its probabilities, and how a picture becomes the square of `side` pixels that it takes.

    The logits of its probabilities are divided by `temperature` already. `vgg16` is the version of this project that
    wrote it.
    """

    model: str
    version: str
    digest: str
    class_names: tuple[str, ...]
    side: int
    framing: Framing = Framing()
    temperature: float = 1.0
    vgg16: str = ""

    def texts(self) -> dict[str, str]:
        """The same as texts, for formats that keep those: lists and objects are JSON."""
        values = self.model_dump(mode="json")
        return {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in values.items()
        }

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> Metadata:
        """What `texts` made. Raises ValidationError of pydantic's, or KeyError, for anything else."""
        return cls(
            model=texts["model"],
            version=texts["version"],
            digest=texts["digest"],
            class_names=_NAMES.validate_json(texts["class_names"]),
            side=int(texts["side"]),
            framing=Framing.model_validate_json(texts["framing"]),
            temperature=float(texts["temperature"]),
            vgg16=texts["vgg16"],
        )
