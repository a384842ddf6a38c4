"""The model that is taken where none is named."""

from __future__ import annotations

from vgg16.errors import RequestError
from vgg16.records import ModelVersion


def only_champion(champions: list[ModelVersion]) -> str:
    """The address of the only version in production. Raises RequestError for none, and for several."""
    uris = [f"models:/{version.name}@champion" for version in champions]
    if len(uris) == 1:
        return uris[0]
    if not uris:
        raise RequestError("No model is in production.", "Train one: vgg16 run digits-scratch digits-finetune")
    raise RequestError("Several models are in production.", f"Name one with --model: {', '.join(uris)}.")
