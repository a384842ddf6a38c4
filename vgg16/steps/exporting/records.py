"""What is asked of the process that exports, and what it has made."""

from __future__ import annotations

from pathlib import Path

from vgg16.config.types import Frozen, Key
from vgg16.exports.formats import FORMATS, Format, Quantize
from vgg16.exports.records import Parity
from vgg16.records import DatasetRef


class Exported(Frozen):
    """A proven file in the store: of which version, in which format, its sha256 and size, what was proven of it, and
    the median time in milliseconds that its runtime took for one image on the machine that proved it."""

    model: str
    version: str
    digest: str
    format: str
    quantize: Quantize | None
    sha256: str
    bytes: int
    parity: Parity
    latency_ms: float
    key: Key

    @property
    def row(self) -> Format:
        """Its format."""
        return FORMATS[self.format]

    @property
    def file_name(self) -> str:
        """What a person finds it by: `vgg16-digits-3-float16.tflite`."""
        kind = "savedmodel" if self.row.kind == "savedmodel" else self.quantize
        return "-".join(filter(None, (self.model, self.version, kind))) + self.row.suffix


class Question(Frozen):
    """Of which version of a registered model which formats are to be made. `alpha` and `margin` are the gate's, by
    which a file in int8 is held against its float model."""

    name: str
    version: str
    digest: str
    dataset: DatasetRef
    formats: tuple[str, ...]
    temperature: float
    alpha: float
    margin: float
    folder: Path
