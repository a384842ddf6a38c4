"""Pictures that clients must see as `vgg16 predict` does, and exported models that tell them apart."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from tests.data.test_pictures import KINDS, STORED
from vgg16.config.types import Framing
from vgg16.data.decode import read_picture
from vgg16.data.images import Images
from vgg16.evaluation.predict import Prediction, predict_pictures
from vgg16.evaluation.typicality import Reference, fit
from vgg16.exports.expected import Subject
from vgg16.exports.metadata import Metadata
from vgg16.network.classifier import Classifier

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
# Its smaller side, padded, is 16 of these 24; cropped, the middle begins at half a pixel.
SIDE, SIZE = 24, (75, 50)
NAMES = ("cat", 'a "quoted" name', "naïve 猫, with a comma", "two\nlines", "<b>bold</b>")
FRAMINGS = (Framing(), Framing(fit="pad"), Framing(fit="pad", largest_side=45), Framing(largest_side=45))
# Of `val`.
USUAL = 150
# HEIC is read by a package of its own; of one gray of 16 bits that is transparent the clients know nothing.
_LEFT_OUT = ("heic", "16 bit png, black clear")


@dataclass(frozen=True)
class Asked:
    """What `vgg16 predict` answers to pictures, the typicality of each, float32 [n], and what it saw of them, uint8
    [n, side, side, 3]; and what is exported."""

    predictions: list[Prediction]
    typicality: np.ndarray[Any, Any]
    squares: Images
    subject: Subject


def ask(framing: Framing, files: list[Path]) -> Asked:
    """Ask a model of this framing for these pictures."""
    classifier = Classifier(_model(), NAMES, framing)
    squares = np.stack([read_picture(str(file), SIDE, framing)[0] for file in files])
    predictions, _ = predict_pictures(classifier, [*map(str, files)], lambda *_: None)
    facts = {"model": "vgg16-pets", "version": "3", "digest": "0" * 64}
    metadata = Metadata(**facts, class_names=NAMES, side=SIDE, framing=framing)
    subject = Subject(classifier.model, _reference(classifier.model, squares), metadata, squares, squares)
    return Asked(predictions, subject.complete.predict(squares, verbose=0)[1], squares, subject)


def _model() -> keras.Model:
    """One layer of random weights, to which every pixel and its place counts."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(image))
    kernel = np.random.default_rng(0).normal(0, 0.08, (SIDE * SIDE * 3, len(NAMES)))
    last = keras.layers.Dense(len(NAMES), activation="softmax", name="predictions")
    model = keras.Model(image, last(pixels))
    last.set_weights([kernel, np.zeros(len(NAMES))])
    return model


def _reference(model: keras.Model, squares: Images) -> Reference:
    """What is usual for it: mixtures of two of these."""
    random = np.random.default_rng(0)
    kinds = np.unique(squares, axis=0)
    first = random.integers(0, len(kinds), 250 + USUAL)
    one, other = kinds[first], kinds[first - random.integers(1, len(kinds), len(first))]
    share = random.uniform(0.5, 0.9, (len(first), 1, 1, 1))
    images = (share * one + (1 - share) * other).astype(np.uint8)
    found = fit(model, (images[:250], np.arange(250) % len(NAMES)), images[250:])
    assert found
    return found


def write_pictures(folder: Path) -> list[Path]:
    """One picture in every kind of file, and turned in every way that EXIF knows."""
    height, width = SIZE[1], SIZE[0]
    y, x = np.mgrid[0:height, 0:width] / max(SIZE)
    waves = [np.sin(9 * x + 5 * y * y), np.cos(4 * x * y + 14 * y), np.sin(23 * x) * y]
    photograph = np.stack([127.5 + 127.5 * wave for wave in waves], 2).astype(np.uint8)
    files = {kind: content for kind, (content, *_) in KINDS.items() if kind not in _LEFT_OUT}
    for orientation, stored in STORED.items():
        for kind in ("JPEG", "PNG", "TIFF"):
            picture = Image.fromarray(np.ascontiguousarray(stored(photograph)))
            exif = picture.getexif()
            exif[0x0112] = orientation
            files[f"{kind} turned {orientation}"] = _saved(picture, kind, exif=exif, quality=95)
    alpha = (255 * x).astype(np.uint8)
    files["photograph with alpha"] = _saved(Image.fromarray(np.dstack([photograph, alpha])), "PNG")
    files["gray photograph"] = _saved(Image.fromarray(photograph).convert("L"), "JPEG", quality=95)
    files["gray of 16 bits"] = _saved(Image.fromarray(photograph[:, :, 0] * np.uint16(255)), "PNG")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
