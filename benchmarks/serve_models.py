"""What a service is measured with: pictures, and versions of a model that answer differently.

`python -m benchmarks.serve_models FILE` writes the model of 64 pixels.
"""

from __future__ import annotations

import hashlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Head
from vgg16.workplace.tensorflow import import_tensorflow

# Sides of the pictures, in pixels, and the formats that each is in.
SIDES = (32, 64, 120, 240, 480)
KINDS = ("PNG", "JPEG")


@dataclass(frozen=True)
class Version:
    """A version of a model: its number, its file and the digests of the file and of the model."""

    number: str
    file: Path
    sha256: str
    digest: str


def versions(source: Path, folder: Path, count: int) -> list[Version]:
    """So many versions of an exported file: the probabilities of each are those of the first one with other odds."""
    made = []
    for number in range(1, count + 1):
        model = onnx.load(source)
        said = {prop.key: prop for prop in model.metadata_props}
        digest = hashlib.sha256(f"{said['digest'].value} {number}".encode()).hexdigest()
        said["version"].value, said["digest"].value = str(number), digest
        _shift(model, number)
        content = model.SerializeToString(deterministic=True)
        sha256 = hashlib.sha256(content).hexdigest()
        file = folder / f"{sha256}.onnx"
        file.write_bytes(content)
        made.append(Version(str(number), file, sha256, digest))
    return made


def _shift(model: onnx.ModelProto, number: int) -> None:
    """Raise every logit by another amount, of which each version has its own."""
    last = next(node for node in reversed(model.graph.node) if "probabilities" in node.output)
    assert last.op_type == "Softmax", last.op_type
    classes = next(out for out in model.graph.output if out.name == "probabilities").type.tensor_type.shape.dim[1]
    odds = np.random.default_rng(number).normal(0, 1, classes.dim_value).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(odds, "odds_of_version"))
    node = onnx.helper.make_node("Add", [last.input[0], "odds_of_version"], ["logits_of_version"])
    last.input[0] = "logits_of_version"
    model.graph.node.insert(list(model.graph.node).index(last), node)


def pictures(folder: Path) -> list[Path]:
    """Picture files of several sides and both formats, smooth as photographs are."""
    folder.mkdir(parents=True, exist_ok=True)
    random, made = np.random.default_rng(0), []
    for side in SIDES:
        for kind in KINDS:
            for number in range(2):
                small = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
                picture = small.resize((side + 8 * number, side), Image.Resampling.BICUBIC)
                content = io.BytesIO()
                picture.save(content, kind)
                made.append(folder / f"{side}-{number}.{kind.lower()}")
                made[-1].write_bytes(content.getvalue())
    return made


def write_64_pixels(path: Path) -> None:
    """A VGG-16 of 100 classes and 64 pixels, with typicality, as an ONNX file. Its weights are random: what it takes
    counts, not what it answers."""
    import_tensorflow()
    import keras

    from vgg16.evaluation import typicality
    from vgg16.exports import files
    from vgg16.exports.expected import Subject
    from vgg16.exports.formats import FORMATS
    from vgg16.exports.metadata import Metadata
    from vgg16.network.build import build
    from vgg16.network.normalization import channel_statistics

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (300, 64, 64, 3), np.uint8), np.arange(300) % 100
    model = build(
        SHIPPED.backbones["vgg16"],
        BackboneChoice(name="vgg16"),
        Head(pooling="average", units=(), batch_norm=True),
        input_size=64,
        image_size=64,
        classes=100,
        normalization=channel_statistics(images),
    )
    names = tuple(f"class {number}" for number in range(100))
    metadata = Metadata(model="vgg16-cifar100", version="1", digest="random", class_names=names, side=64)
    reference = typicality.fit(model, (images, labels), images)
    files.write(FORMATS["onnx"], Subject(model, reference, metadata, images, images), path)


if __name__ == "__main__":
    write_64_pixels(Path(sys.argv[1]))
