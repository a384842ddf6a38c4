"""An exported ONNX file, opened and asked: with onnxruntime and NumPy alone."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgg16.config.types import Framing
from vgg16.errors import Vgg16Error, first_line
from vgg16.exports.metadata import Metadata

Answered = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class Session:
    """A file that is open; `answer` may be called from several threads."""

    def __init__(self, runtime: object, metadata: Metadata) -> None:
        self._runtime = runtime
        self.metadata = metadata
        self._outputs = [output.name for output in runtime.get_outputs()]  # type: ignore[attr-defined]  # untyped

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of the probabilities."""
        return self.metadata.class_names

    @property
    def side(self) -> int:
        """Height and width in pixels of the images that it takes."""
        return self.metadata.side

    @property
    def framing(self) -> Framing:
        """How a picture file becomes such an image."""
        return self.metadata.framing

    @property
    def model(self) -> str:
        """The registered model."""
        return self.metadata.model

    @property
    def version(self) -> str:
        """The number of its version."""
        return self.metadata.version

    @property
    def digest(self) -> str:
        """The digest of the model that the file was made of."""
        return self.metadata.digest

    def answer(self, images: NDArray[np.uint8]) -> Answered:
        """Probabilities float32 [n, k] of images uint8 [n, side, side, 3], and their typicality float32 [n], in 0 to 1;
        None where the model has no reference for it."""
        answers = dict(zip(self._outputs, self._runtime.run(self._outputs, {"images": images}), strict=True))  # type: ignore[attr-defined]  # untyped
        return answers["probabilities"], answers.get("typicality")


def open_session(path: Path, threads: int = 0, *, spin: bool = True) -> Session:
    """A file that `exports.onnx` wrote, on the CPU, with so many threads for one call; 0 for one on each core that this
    process may use. They `spin` for a while after it, for the next call may follow at once. Raises Vgg16Error for any
    other file."""
    # Since 1.29 it tells its maker of each file that is opened, and keeps a database of that in the person's folder.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise Vgg16Error("onnxruntime is not installed.", "pip install 'vgg16[export]'") from None
    options = onnxruntime.SessionOptions()
    # Left to itself it takes all of the machine's, and they would stop one another in a container of two.
    options.intra_op_num_threads = threads or cores_of_group()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    # Of what it optimises away it would warn.
    options.log_severity_level = 3
    try:
        runtime = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        metadata = Metadata.of_texts(runtime.get_modelmeta().custom_metadata_map)
    # What is raised of a damaged file is of many kinds.
    except Exception as error:
        raise Vgg16Error(
            f"{path} cannot be opened: expected an ONNX file that vgg16 wrote, found: {first_line(error)}",
            "Write it again: vgg16 export MODEL --format onnx",
        ) from None
    return Session(runtime, metadata)


def cores_of_group(membership: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many cores the control group of this process leaves it, as a container's limit or a unit's CPUQuota= does; 0
    where none is set."""
    try:
        below = next(line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
        quota, period = (groups / below.strip("/") / "cpu.max").read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    # Another system, or of an older kind; "max" is no number.
    except (OSError, StopIteration, ValueError):
        return 0
