"""What typicality sees: the share of gate and test flagged at 0.01, other datasets, and classes that were held out.

`VGG16_HOME=... .venv/bin/python -m benchmarks.typicality RUN digits cifar10=ARCHIVE FOLDER`: of the run whose id begins
so in that home, beside other images: the digits, the test part of a CIFAR archive, a folder of pictures, and noise,
which is always among them. Nothing is kept. `--held-out WEIGHTS`: the frozen base of these weights with its own head
for all but 20 of the classes of the run's dataset, which images of the 20 are told from; `--groups` times, by others.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.machine import stamp
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Framing, Head
from vgg16.data.decode import read_picture
from vgg16.data.images import Images, ImageSet, in_memory
from vgg16.data.pictures import find_pictures
from vgg16.data.sources.cifar import read_archive
from vgg16.data.sources.generated import make
from vgg16.evaluation import typicality
from vgg16.network.build import build
from vgg16.network.classifier import Classifier
from vgg16.network.weights import read_weights, take_base
from vgg16.records import UNUSUAL
from vgg16.statistics import proportion_interval
from vgg16.steps.typicality import MOST_VAL
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import open_workplace

Floats = NDArray[np.float32]
# Of one split or other dataset: more make no figure surer than val is.
MOST = 2_000
HELD_OUT = 20


def at_side(images: Images, side: int) -> Images:
    if images.shape[1] == side:
        return images
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in images])


def others(sources: list[str], side: int, framing: Framing) -> Iterator[tuple[str, Images]]:
    """Other images by the name of where they are from, at the model's side."""
    for source in sources:
        name, _, archive = source.partition("=")
        if archive:
            data = read_archive(SHIPPED.datasets[name], Path(archive), archive)
            yield name, at_side(in_memory(data.part("test")[0][:MOST]), side)
        elif name in SHIPPED.datasets:
            yield name, at_side(in_memory(make(SHIPPED.datasets[name]).images[:MOST]), side)
        else:
            yield name, np.stack([read_picture(path, side, framing)[0] for path in find_pictures((name,))])
    yield "noise", np.random.default_rng(0).integers(0, 256, (200, side, side, 3)).astype(np.uint8)


def spread(data: ImageSet, split: Any, most: int, classes: NDArray[Any] | None = None) -> tuple[Images, NDArray[Any]]:
    images, labels = data.part(split)
    rows = np.arange(len(labels)) if classes is None else np.flatnonzero(np.isin(labels, classes))
    rows = rows[typicality.spread(labels[rows], most)]
    return images[rows], labels[rows]


def share(usual: Floats) -> dict[str, Any]:
    flagged = int((usual <= UNUSUAL).sum())
    interval = [round(end, 4) for end in proportion_interval(flagged, len(usual))]
    return {"images": len(usual), "flagged": round(flagged / len(usual), 4), "interval": interval}


def auroc(usual: Floats, unlike: Floats) -> float:
    scores = np.concatenate([usual, unlike])
    return round(float(roc_auc_score(np.repeat([0, 1], [len(usual), len(unlike)]), scores)), 3)


class Measured:
    """A model and its reference; both numbers of images, shown once."""

    def __init__(self, model: keras.Model, reference: typicality.Reference) -> None:
        self.reference = reference
        self.model = typicality.with_unusualness(model, reference.space)

    def of(self, images: Images) -> tuple[Floats, Floats]:
        """Typicality and unusualness, by which AUROC has no ties."""
        scores = self.model.predict(images, batch_size=256, verbose=0)[1]
        below = np.searchsorted(self.reference.scores, scores, "left")
        n = len(self.reference.scores)
        return (1 + n - below) / np.float32(n + 1), scores


def of_run(classifier: Classifier, data: ImageSet, sources: list[str]) -> dict[str, Any]:
    start = time.process_time()
    reference = typicality.fit(classifier.model, data.part("train"), spread(data, "val", MOST_VAL)[0])
    seconds = time.process_time() - start
    assert reference is not None
    measured = Measured(classifier.model, reference)
    gate, scores = measured.of(spread(data, "gate", MOST)[0])
    answer: dict[str, Any] = {"val": len(reference.scores), "fit_processor_seconds": round(seconds, 1)}
    answer |= {"gate": share(gate), "test": share(measured.of(spread(data, "test", MOST)[0])[0])}
    for name, images in others(sources, classifier.side, classifier.framing):
        usual, unlike = measured.of(images)
        answer[name] = share(usual) | {"auroc": auroc(scores, unlike)}
    return answer


def of_held_out(data: ImageSet, weights: str, seed: int) -> dict[str, Any]:
    """A head on a frozen base that has never seen some classes."""
    rng = np.random.default_rng(seed)
    known = np.sort(rng.permutation(len(data.class_names))[HELD_OUT:])
    strange = np.setdiff1d(np.arange(len(data.class_names)), known)
    row = SHIPPED.backbones["vgg16"]
    base = read_weights(row, weights)
    head = Head(units=(), pooling="average", batch_norm=True, dropout=0.5)
    choice = BackboneChoice(name="vgg16")
    options = {"input_size": data.side, "image_size": 64, "normalization": base.normalization}
    model = build(row, choice, head, classes=len(known), **options)
    take_base(model, base)
    train, labels = spread(data, "train", 8_000, known)
    pooled = keras.Model(model.input, model.get_layer("average").output).predict(train, batch_size=256, verbose=0)
    layers = model.layers[model.layers.index(model.get_layer("average")) + 1 :]
    small = keras.Sequential([keras.Input(pooled.shape[1:]), *layers])
    small.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    small.fit(pooled, np.searchsorted(known, labels), batch_size=128, epochs=30, verbose=0)
    reference = typicality.fit(model, (train, labels), spread(data, "val", MOST_VAL, known)[0])
    assert reference is not None
    measured = Measured(model, reference)
    gate, truth = spread(data, "gate", MOST, known)
    top1 = float((model.predict(gate, verbose=0).argmax(axis=1) == np.searchsorted(known, truth)).mean())
    usual, scores = measured.of(gate)
    unlike, unlike_scores = measured.of(spread(data, "gate", MOST, strange)[0])
    return {
        "top1": round(top1, 3),
        "gate": share(usual),
        "held_out": share(unlike),
        "auroc": auroc(scores, unlike_scores),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("others", nargs="*")
    parser.add_argument("--held-out", default="")
    parser.add_argument("--groups", type=int, default=2)
    options = parser.parse_args()
    import_tensorflow()
    workplace = open_workplace()
    run = workplace.tracker.runs.find(options.run)
    registry = workplace.tracker.registry
    data = workplace.dataset(run.trained_on)
    found: dict[str, Any] = {**stamp(), "run": run.run_name}
    if options.held_out:
        found["held_out"] = [of_held_out(data, options.held_out, seed) for seed in range(options.groups)]
    else:
        classifier = registry.load(registry.logged_model(run.run_id))
        found |= of_run(classifier, data.at(classifier.side, classifier.framing), options.others)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
