"""The files of each format: written, and opened in their runtime. It imports the packages of all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vgg16.exports import litert, onnx, saved_model, session
from vgg16.exports.expected import Subject
from vgg16.exports.formats import Format
from vgg16.exports.parity import Opened


def write(row: Format, subject: Subject, path: Path) -> None:
    """Write a model in this format. The same model gives the same bytes, in any process."""
    if row.kind == "litert":
        litert.write(subject, path, row.quantize)
    else:
        {"onnx": onnx, "savedmodel": saved_model}[row.kind].write(subject, path)


def open_file(row: Format, path: Path) -> Opened:
    """Open what `write` wrote. Raises Vgg16Error for any other file."""
    return _OPEN[row.kind](path)


_OPEN: dict[str, Callable[[Path], Opened]] = {"onnx": session.open_session, "litert": litert.open_file, "savedmodel": saved_model.open_file}
