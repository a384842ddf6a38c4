"""The files of each format: written, and opened in their runtime. A format's module is imported when it is asked for,
for it imports packages that only it needs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from vgg16.exports.formats import Format

if TYPE_CHECKING:
    from vgg16.exports.expected import Subject
    from vgg16.exports.parity import Opened

# Each has `write(subject, path)`, with `quantize` where the kind can be, and `open_file(path)`.
_MODULES = {
    "onnx": "vgg16.exports.onnx",
    "litert": "vgg16.exports.litert",
    "savedmodel": "vgg16.exports.saved_model",
}


def write(row: Format, subject: Subject, path: Path) -> None:
    """Write a model in this format. The same model gives the same bytes, in any process."""
    options = {"quantize": row.quantize} if row.quantize else {}
    import_module(_MODULES[row.kind]).write(subject, path, **options)


def open_file(row: Format, path: Path) -> Opened:
    """Open what `write` wrote. Raises Vgg16Error for any other file."""
    opened: Opened = import_module(_MODULES[row.kind]).open_file(path)
    return opened
