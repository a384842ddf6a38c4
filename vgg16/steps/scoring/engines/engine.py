"""What answers: the model in Keras, or its proven ONNX file in onnxruntime, which needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vgg16.config.types import Framing
from vgg16.data.images import Images
from vgg16.statistics import Probabilities
from vgg16.steps.scoring.engines.in_onnx import kept_file, open_onnx
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import EngineName, Floats
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace

if TYPE_CHECKING:
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

# TensorFlow takes six seconds to begin, in which Keras' higher rate gains on onnxruntime from so many pictures on.
FEW = 2_000
# The first device of NVIDIA's driver.
_GPU = Path("/dev/nvidia0")


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


@contextmanager
def open_engine(
    asked: EngineName | None, model: Model, pictures: int, folder: Path, workplace: Workplace
) -> Iterator[Engine]:
    """What answers for the model until the end of the `with`. Where nothing is asked, the faster one for so many
    pictures: the ONNX file, where one is kept, for few and without a GPU; else Keras. A `folder` takes what must be
    copied meanwhile."""
    kept = None if asked == "keras" else kept_file(model, workplace)
    if asked == "onnx" or (kept and asked is None and pictures < FEW and not _GPU.exists()):
        with open_onnx(model, kept, folder, workplace) as engine:
            yield engine
        return
    yield open_in_keras(model, workplace)


def open_in_keras(model: Model, workplace: Workplace) -> KerasEngine:
    """The model in Keras, which sees more of pictures than any engine must answer."""
    import_tensorflow()
    # It imports Keras, which an ONNX file goes without.
    from vgg16.steps.scoring.engines.in_keras import open_keras

    return open_keras(model, workplace)
