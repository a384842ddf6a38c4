"""The files of each format: written, and opened in their runtime."""

from __future__ import annotations

from pathlib import Path

from vgg16.exports import onnx, session
from vgg16.exports.expected import Subject
from vgg16.exports.formats import Format
from vgg16.exports.parity import Opened


def write(row: Format, subject: Subject, path: Path) -> None:
    """Write a model in this format."""
    onnx.write(subject.complete, subject.metadata, path)


def open_file(row: Format, path: Path) -> Opened:
    """Open what `write` wrote. Raises Vgg16Error for any other file."""
    return session.open_session(path)
