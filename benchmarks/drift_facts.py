"""The facts of real images, once: as they are, and as worse light, optics or other classes change them.

`.venv/bin/python -m benchmarks.drift_facts FILE ARCHIVE` (a minute): of CIFAR-100's test images of 80 classes, seen by
principal components of thumbnails and edges with a logistic regression that learned from 8,000 of train; the images of
the other 20 are new classes. With WEIGHTS behind (ten minutes on two cores): as the product sees them, by the frozen
base of these weights with a head of its own, fewer of each; when it is cut off, what was measured is kept. `python -m
benchmarks.drift_facts FILE` alone: of the digits, the nines being a new class. `benchmarks.drift` draws its years from
the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.machine import stamp
from vgg16.checks.drift.facts import CONFIDENCE, UNUSUALNESS, Facts, of_pixels
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import BackboneChoice, Head, Split
from vgg16.data.images import Images
from vgg16.data.sources.cifar import read_archive
from vgg16.data.sources.generated import make
from vgg16.evaluation.corruptions import KINDS, corrupt

# Images of each drift, and of train that the head learns from.
DRIFTED, LEARNED, NEW = 2_000, 8_000, 20
LEARNED_BY_NETWORK = 3_000
Labelled = tuple[Images, NDArray[np.int64]]
Measure = Callable[[Images], tuple[Facts, NDArray[np.int64]]]


@dataclass(frozen=True)
class Pool:
    """The facts of images float32 [n, f], and whether each answer is right, bool [n]."""

    facts: Facts
    correct: NDArray[np.bool_]


def camera(images: Images) -> Images:
    """Another camera: darker middle tones, a warmer white, a softer lens."""
    light = 255 * (images / 255.0) ** 1.2 * [1.05, 1.0, 0.93]
    soft = gaussian_filter(light, (0, 0.4, 0.4, 0), mode="nearest")
    return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def phone(images: Images) -> Images:
    """Another camera that errs the other way: lighter middle tones, a cooler white, edges sharpened."""
    light = 255 * (images / 255.0) ** 0.85 * [0.95, 1.0, 1.06]
    soft = gaussian_filter(light, (0, 1, 1, 0), mode="nearest")
    return np.clip(np.rint(light + 0.4 * (light - soft)), 0, 255).astype(np.uint8)


def drifts(images: Images) -> dict[str, Images]:
    """The images under each drift; mild ones are a third of the way there."""
    changed = {kind: corrupt(kind, images) for kind in KINDS} | {"camera": camera(images), "phone": phone(images)}
    third = {
        f"mild {kind}": np.rint(images + (other.astype(np.float32) - images) / 3).astype(np.uint8)
        for kind, other in changed.items()
        if kind != "jpeg"
    }
    return changed | third


def parts_of_cifar(archive: Path, learned: int) -> tuple[Labelled, Labelled, Labelled, Images]:
    """Images and labels of train, val and test of the classes that are known, and images of test of those that are
    not."""
    data = read_archive(SHIPPED.datasets["cifar100"], archive, str(archive))
    order = np.random.default_rng(0).permutation(len(data.class_names))
    known, new = np.sort(order[NEW:]), order[:NEW]

    def part(split: Split, most: int, classes: NDArray[np.intp] = known) -> Labelled:
        images, labels = data.part(split)
        rows = np.flatnonzero(np.isin(labels, classes))[:most]
        return images[rows], np.searchsorted(known, labels[rows])

    return part("train", learned), part("val", 500), part("test", 10_000), part("test", 10_000, new)[0]


def by_regression(train: Labelled, see: Callable[[Images], NDArray[np.float32]]) -> Measure:
    """A logistic regression of what is seen of images, float32 [n, d], with the distance to the nearest of train."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestNeighbors

    components = PCA(40, random_state=0).fit(see(train[0]))
    places = components.transform(see(train[0]))
    model = LogisticRegression(max_iter=300, C=0.01).fit(places / places.std(), train[1])
    neighbours = NearestNeighbors(n_neighbors=1).fit(places[:LEARNED_BY_NETWORK])

    def measure(images: Images) -> tuple[Facts, NDArray[np.int64]]:
        here = components.transform(see(images))
        probabilities = model.predict_proba(here / places.std())
        columns = of_pixels(images) | {CONFIDENCE: probabilities.max(axis=1)}
        columns[UNUSUALNESS] = neighbours.kneighbors(here)[0][:, 0]
        columns |= {f"feature_{number}": one for number, one in enumerate(here.T[:10], 1)}
        return Facts.of(columns), model.classes_[probabilities.argmax(axis=1)]

    return measure


def thumbnails_and_edges(images: Images) -> NDArray[np.float32]:
    """An 8x8 thumbnail of each image, and how strong its edges are in four by four places, float32 [n, 224]."""
    pixels = images.astype(np.float32) / 255
    count, side = len(pixels), pixels.shape[1]
    small = pixels.reshape(count, 8, side // 8, 8, side // 8, 3).mean(axis=(2, 4)).reshape(count, -1)
    gray = pixels.mean(axis=-1)
    edges = [np.abs(np.diff(gray, axis=axis, append=0)) for axis in (1, 2)]
    strong = [edge.reshape(count, 4, side // 4, 4, side // 4).mean(axis=(2, 4)).reshape(count, -1) for edge in edges]
    return np.concatenate([small, *(4 * one for one in strong)], axis=1)


def by_network(train: Labelled, val: Labelled, weights: str) -> Measure:
    """The product's network with a frozen base, its facts as `vgg16 data drift` measures them."""
    import keras

    from vgg16.evaluation import typicality
    from vgg16.network.build import build
    from vgg16.network.classifier import Classifier
    from vgg16.network.weights import read_weights, take_base
    from vgg16.steps.drift.facts import Measuring
    from vgg16.steps.scoring.engines.in_keras import KerasEngine

    keras.utils.set_random_seed(0)
    base = read_weights(SHIPPED.backbones["vgg16"], weights)
    head = Head(units=(), pooling="average", batch_norm=True, dropout=0.5)
    options = {"input_size": train[0].shape[1], "normalization": base.normalization}
    classes = int(train[1].max()) + 1
    model = build(SHIPPED.backbones["vgg16"], BackboneChoice(name="vgg16"), head, classes=classes, **options)
    take_base(model, base)
    pooled = keras.Model(model.input, model.get_layer("average").output).predict(train[0], batch_size=256, verbose=0)
    layers = model.layers[model.layers.index(model.get_layer("average")) + 1 :]
    small = keras.Sequential([keras.Input(pooled.shape[1:]), *layers])
    small.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    small.fit(pooled, train[1], batch_size=128, epochs=20, verbose=0)
    reference = typicality.fit(model, train, val[0])
    assert reference is not None
    measuring = Measuring(KerasEngine(Classifier(model, tuple(map(str, range(classes)))), reference))

    def measure(images: Images) -> tuple[Facts, NDArray[np.int64]]:
        parts = [measuring.measure(images[start : start + 256]) for start in range(0, len(images), 256)]
        facts = Facts(parts[0][0].names, np.concatenate([one.values for one, _ in parts]))
        return facts, np.concatenate([probabilities.argmax(axis=1) for _, probabilities in parts])

    return measure


def of_digits() -> tuple[Measure, Labelled, Images]:
    """What measures digits, those to measure with labels, and nines, which it has not learned."""
    data = make(SHIPPED.datasets["digits"])
    known = data.labels < 9
    train = known & (np.arange(len(data.labels)) % 3 == 0)

    def see(images: Images) -> NDArray[np.float32]:
        return images.mean(axis=-1, dtype=np.float32).reshape(len(images), 8, 4, 8, 4).mean(axis=(2, 4)).reshape(
            len(images), -1
        ) / np.float32(255)

    rest = known & ~train
    measure = by_regression((data.images[train], data.labels[train]), see)
    return measure, (data.images[rest], data.labels[rest]), data.images[~known]


def save(path: Path, pools: dict[str, Pool]) -> None:
    columns = {f"{name}/{part}": getattr(pool, part) for name, pool in pools.items() for part in ("correct",)}
    values = {f"{name}/values": pool.facts.values for name, pool in pools.items()}
    np.savez_compressed(path, names=np.array(pools[""].facts.names), **columns, **values)


def load(path: Path) -> dict[str, Pool]:
    """The pools by the drift's name, "" for the images as they are and "new" for those of new classes."""
    with np.load(path) as file:
        names = tuple(map(str, file["names"]))
        kinds = [key.removesuffix("/values") for key in file.files if key.endswith("/values")]
        return {kind: Pool(Facts(names, file[f"{kind}/values"]), file[f"{kind}/correct"]) for kind in kinds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("archive", type=Path, nargs="?")
    parser.add_argument("weights", nargs="?", default="")
    options = parser.parse_args()
    start = time.process_time()
    drifted, most = DRIFTED, None
    if options.archive:
        train, val, shown, new = parts_of_cifar(options.archive, LEARNED)
        measure = by_regression(train, thumbnails_and_edges)
        if options.weights:
            from vgg16.workplace.tensorflow import import_tensorflow

            import_tensorflow()
            few = LEARNED_BY_NETWORK
            measure = by_network((train[0][:few], train[1][:few]), val, options.weights)
            drifted, most = 1_000, 4_000
    else:
        measure, shown, new = of_digits()
    images, labels = shown[0][:most], shown[1][:most]
    chosen = np.sort(np.random.default_rng(1).permutation(len(images))[:drifted])
    pools = {}
    for kind, (pictures, truth) in {
        "": (images, labels),
        "new": (new[:drifted], np.full(len(new[:drifted]), -1)),
        **{kind: (changed, labels[chosen]) for kind, changed in drifts(images[chosen]).items()},
    }.items():
        facts, answers = measure(pictures)
        pools[kind] = Pool(facts, answers == truth)
        told = {"kind": kind, "images": len(facts), "top1": round(float(pools[kind].correct.mean()), 3)}
        print(json.dumps(told), flush=True)
        # What is there of use when it is cut off.
        save(options.file, pools)
    print(json.dumps(stamp() | {"processor_seconds": round(time.process_time() - start)}))


if __name__ == "__main__":
    main()
