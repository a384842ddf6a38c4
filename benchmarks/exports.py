"""How far exported files of every backbone of the catalog are from their models, and how long proving them takes.

`.venv/bin/python -m benchmarks.exports ARCHIVE [BACKBONE...]`: CIFAR-100's archive. Each model takes 32 pixels, resizes
them inside to --size and normalises; its head is fitted on frozen features of --train images, by weights of --weights
BACKBONE=FILE where given. Other weights are drawn at random, and the averages of batch normalisation are those of
their own activations. Every file is read back and asked on --gate images in batches of 1, 7 and 64, one process for
each backbone, a line of JSON for each file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import stamp
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Head
from vgg16.data.images import Arrays
from vgg16.data.sources.cifar import read_archive
from vgg16.evaluation import typicality
from vgg16.evaluation.speed import latency_ms
from vgg16.exports import files, parity
from vgg16.exports.expected import Subject, ask_model, rounding_error
from vgg16.exports.formats import FORMATS, Format
from vgg16.exports.metadata import Metadata
from vgg16.network.build import build
from vgg16.network.normalization import channel_statistics
from vgg16.network.weights import Weights, read_weights, take_base
from vgg16.workplace.tensorflow import import_tensorflow

ALPHA, MARGIN = 0.025, 0.005
SIZES = (1, 7, 64)


def fitted(name: str, data: Arrays, size: int, train: int, weights: Weights | None) -> Any:
    """A model of this backbone with a head that was fitted on that many images of train."""
    import keras

    keras.utils.set_random_seed(0)
    backbone = SHIPPED.backbones[name]
    images, labels = (part[:train] for part in data.part("train"))
    head = Head(pooling="average", units=(), batch_norm=True)
    normal = weights.normalization if weights else channel_statistics(images)
    options = BackboneChoice(name=name)
    model = build(
        backbone, options, head, input_size=32, image_size=size, classes=len(data.class_names), normalization=normal
    )
    if weights:
        take_base(model, weights)
    else:
        averages = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        before = [layer.momentum for layer in averages]
        for layer in averages:
            layer.momentum = 0.0
        model(images[:256], training=True)
        for layer, momentum in zip(averages, before, strict=True):
            layer.momentum = momentum
    last = model.get_layer("predictions")
    features = keras.Model(model.input, last.input).predict(images, verbose=0)
    inputs = keras.Input(features.shape[1:])
    alone = keras.Model(inputs, keras.layers.Dense(len(data.class_names), activation="softmax")(inputs))
    alone.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    alone.fit(features, labels, batch_size=64, epochs=30, verbose=0)
    last.set_weights(alone.layers[-1].get_weights())
    return model


def measured(row: Format, subject: Subject, expected: parity.Expected, gate: tuple[Any, Any]) -> dict[str, object]:
    """A file written, read back and proven."""
    images, labels = gate
    with tempfile.TemporaryDirectory() as folder:
        file, start = Path(folder, f"file{row.suffix}"), time.perf_counter()
        files.write(row, subject, file)
        written = time.perf_counter() - start
        opened = files.open_file(row, file)
        try:
            if row.quantize == "int8":
                proven = parity.prove_noninferior(opened, expected, images, labels, ALPHA, MARGIN)
            elif row.quantize:
                proven = parity.prove(opened, expected, images, parity.FLOAT16)
            else:
                rounding = partial(rounding_error, subject, images, expected)
                proven = parity.prove_float32(opened, expected, images, rounding)
            said = proven.model_dump()
        except parity.ParityError as error:
            said = {"refused": error.message}
        seconds = time.perf_counter() - start
        whole = opened.answer(images[:64])[0]
        batches = {
            size: max(
                float(np.abs(opened.answer(images[at : at + size])[0] - whole[at : at + size]).max())
                for at in range(0, 64 - size + 1, size)
            )
            for size in SIZES
        }
        return {
            "format": row.name,
            "megabytes": file.stat().st_size / 1e6,
            "write_s": written,
            "all_s": seconds,
            "latency_ms": latency_ms(lambda: opened.answer(images[:1])),
            "between_batches": batches,
            **said,
        }


def one(name: str, options: argparse.Namespace) -> None:
    """All formats of one backbone."""
    import_tensorflow()
    row = SHIPPED.datasets["cifar100"]
    data = read_archive(row, options.archive, str(options.archive))
    given = dict(pair.split("=", 1) for pair in options.weights)
    weights = read_weights(SHIPPED.backbones[name], given[name]) if name in given else None
    model = fitted(name, data, options.size, options.train, weights)
    train, val, gate = (tuple(part[: options.gate] for part in data.part(split)) for split in ("train", "val", "test"))
    reference = typicality.fit(model, tuple(part[: options.train] for part in train), val[0][: options.train])
    metadata = Metadata(model=f"vgg16-{name}", version="1", digest="", class_names=data.class_names, side=32)
    subject = Subject(model, reference, metadata, train[0], val[0][: options.train])
    start = time.perf_counter()
    expected = ask_model(subject, gate[0])
    asked = time.perf_counter() - start
    top1 = float((expected.probabilities.argmax(axis=1) == gate[1]).mean())
    said = {"backbone": name, "weights": name in given, "top1_of_model": top1, "keras_s": asked}
    for format_ in options.formats or FORMATS:
        print(json.dumps({**said, **measured(FORMATS[format_], subject, expected, gate)}), flush=True)


def main() -> None:
    """All backbones, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("backbones", nargs="*")
    parser.add_argument("--weights", action="append", default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--formats", action="append", choices=list(FORMATS))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--gate", type=int, default=2000)
    parser.add_argument("--train", type=int, default=2000)
    options = parser.parse_args()
    names = options.backbones or list(SHIPPED.backbones)
    if len(names) == 1:
        print(json.dumps(stamp()))
        one(names[0], options)
        return
    for name in names:
        arguments = [argument for argument in sys.argv[1:] if argument not in names]
        subprocess.run([sys.executable, "-m", "benchmarks.exports", *arguments, name], check=False)


if __name__ == "__main__":
    main()
