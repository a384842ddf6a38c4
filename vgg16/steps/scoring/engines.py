"""What answers: the model in Keras, or its proven ONNX file in onnxruntime, which needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vgg16.config.types import Framing
from vgg16.data.images import Images
from vgg16.errors import RequestError
from vgg16.records import DatasetRef, ModelVersion
from vgg16.statistics import Probabilities
from vgg16.steps.scoring.records import EngineName, Floats, ScoreRequest
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace


class Engine(Protocol):
    """A model that answers `batch` images at once; `identity` changes with whatever an answer follows from."""

    name: EngineName
    runtime: str
    identity: str
    class_names: tuple[str, ...]
    side: int
    framing: Framing
    has_typicality: bool
    batch: int

    def answer(self, images: Images) -> tuple[Probabilities, Floats | None]:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n] or None."""


@dataclass(frozen=True)
class Model:
    """A model by the address that was asked for and by one that nothing moves; its digest, the registered `version`
    that it is, None for none, and the temperature that its logits are divided by."""

    requested: str
    address: str
    digest: str
    version: ModelVersion | None
    temperature: float
    dataset: DatasetRef | None


def find_model(uri: str, workplace: Workplace) -> Model:
    """The model at an address. Raises RequestError where there is none, Vgg16Error for one that is damaged."""
    registry = workplace.tracker.registry
    try:
        version = registry.version_at(uri)
    except RequestError:
        # One that was logged and not registered, or none.
        return Model(uri, uri, registry.check(uri).digest, None, 1.0, None)
    dataset = workplace.tracker.runs.get(version.run_id).dataset
    temperature = version.metrics.get("temperature", 1.0)
    return Model(uri, version.uri, registry.check(version.uri).digest, version, temperature, dataset)


def open_engine(request: ScoreRequest, model: Model, workplace: Workplace) -> Engine:
    """What answers for the model, as the request asks."""
    return _keras(model, workplace)


def _keras(model: Model, workplace: Workplace) -> Engine:
    import_tensorflow()
    # It imports Keras, which an ONNX file goes without.
    from vgg16.steps.scoring.keras_engine import open_keras

    return open_keras(model, workplace)
