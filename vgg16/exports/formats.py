"""The formats of exported files, a row each."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Literal, NamedTuple

from vgg16.errors import RequestError, Vgg16Error

Kind = Literal["onnx", "litert", "savedmodel"]
Quantize = Literal["float16", "int8"]


class Format(NamedTuple):
    """A kind of file and what its weights are quantised to, None for float32; how such a file's name ends; and the
    packages that write and read it, beside TensorFlow."""

    kind: Kind
    quantize: Quantize | None
    suffix: str
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the ledger calls it: `onnx`, `litert-int8`."""
        return f"{self.kind}-{self.quantize}" if self.quantize else self.kind

    @property
    def title(self) -> str:
        """What a person calls it: `LiteRT int8`."""
        return f"{_TITLES[self.kind]} {self.quantize or 'float32'}"


_TITLES: dict[Kind, str] = {"onnx": "ONNX", "litert": "LiteRT", "savedmodel": "SavedModel"}
_ONNX, _LITERT = ("onnx", "onnxruntime", "tf2onnx"), ("ai_edge_litert",)
_ROWS = (
    Format("onnx", None, ".onnx", _ONNX),
    Format("litert", None, ".tflite", _LITERT),
    Format("litert", "float16", ".tflite", _LITERT),
    Format("litert", "int8", ".tflite", _LITERT),
    Format("savedmodel", None, ".zip", ()),
)
FORMATS = {row.name: row for row in _ROWS}


def format_of(kind: Kind, quantize: Quantize | None) -> Format:
    """The format of such files. Raises RequestError where there is none."""
    name = f"{kind}-{quantize}" if quantize else kind
    if name not in FORMATS:
        kinds = sorted({row.kind for row in _ROWS if row.quantize == quantize})
        raise RequestError(
            f"{_TITLES[kind]} is not written in {quantize}.",
            f"--quantize {quantize} goes with --format {' or '.join(kinds)}; without it, {kind} is in float32.",
        )
    return FORMATS[name]


def check_installed(formats: Iterable[Format]) -> None:
    """Raises Vgg16Error where packages are missing that write and read these formats."""
    missing = sorted({name for row in formats for name in row.packages if find_spec(name) is None})
    if missing:
        names = " and ".join(name.replace("_", "-") for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise Vgg16Error(f"{names} {verb} not installed, and exports need it.", "pip install 'vgg16[export]'")
