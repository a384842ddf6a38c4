"""A model answers from its proven ONNX file, in onnxruntime on the CPU. No TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vgg16.data.images import Images
from vgg16.errors import RequestError
from vgg16.exports.session import Session, open_session
from vgg16.statistics import Probabilities
from vgg16.steps.exporting import kept
from vgg16.steps.exporting.export import export
from vgg16.steps.exporting.records import Exported
from vgg16.steps.scoring.model import Model
from vgg16.steps.scoring.records import EngineName, Floats
from vgg16.workplace.workplace import Workplace

_FORMAT = "onnx"
# Pixels of a batch, as of Keras'. What a model with a resize layer makes of its images is 224 pixels wide at most.
_BATCH_PIXELS = 1 << 20
_RESIZED_SIDE = 224
_MOST = 64


class OnnxEngine:
    """A file that is open; it has typicality where its model has a reference."""

    name: EngineName = "onnx"

    def __init__(self, session: Session, exported: Exported, model: Model) -> None:
        self.class_names = session.class_names
        self.side = session.side
        self.framing = session.framing
        self.runtime = f"onnxruntime {version('onnxruntime')}"
        self.identity = f"{self.runtime} {exported.sha256}"
        side = max(self.side, _RESIZED_SIDE if model.resizes else 0)
        self.batch = min(_MOST, 1 << max(0, (_BATCH_PIXELS // side**2).bit_length() - 1))
        self._session = session
        one = np.zeros((1, self.side, self.side, 3), np.uint8)
        self.has_typicality = session.answer(one)[1] is not None

    def answer(self, images: Images) -> tuple[Probabilities, Floats | None]:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n]."""
        return self._session.answer(images)


def kept_file(model: Model, workplace: Workplace) -> Exported | None:
    """The proven file that is kept of the model, None for none, and where nothing here could run it."""
    if model.version is None or find_spec("onnxruntime") is None:
        return None
    return kept.find(workplace.store, model.version.name, model.version.version, model.digest, _FORMAT)


@contextmanager
def open_onnx(model: Model, exported: Exported | None, folder: Path, workplace: Workplace) -> Iterator[OnnxEngine]:
    """The file of a model, made and proven now where none is kept; of a store elsewhere a copy is in the `folder`.
    Raises RequestError for a model that is no registered version, and what making a file raises."""
    if model.version is None:
        raise RequestError(
            f"{model.requested} is no version of a registered model, of which ONNX files are made.",
            "Name a version, models:/NAME/VERSION, or say --engine keras.",
        )
    if exported is None:
        workplace.say(f"score       no ONNX file is kept of {model.address}: it is made and proven first")
        exported = export(model.version, (_FORMAT,), workplace)[0]
    file = workplace.store.local_path(exported.key)
    if file is None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "model.onnx"
        kept.download(workplace.store, exported, file)
    try:
        yield OnnxEngine(open_session(file), exported, model)
    finally:
        (folder / "model.onnx").unlink(missing_ok=True)
