"""How usual an image is for a model: what its last feature maps and its logits say, beside the images that it learned
from, as a share of the held-out images of `val` that are at least as unusual.

A probability says which class is likeliest among those that the model knows, and is high for a dog that a model of
digits sees. Typicality says whether the image is like what it knows at all: a p-value of conformal prediction
(Laxhammar 2014; Bates et al., arXiv 2104.08279), uniform in 0 to 1 for images like those of `val`. Small is unusual.

An image is as unusual as the larger of two terms, each in units of its spread over `val`, and a little more where
both are large:
- how far it lies from the nearest image of `train` (Sun et al., arXiv 2204.06507), by the mean size over all places of
  the last feature maps of three sizes, each of length 1: that sees other kinds of pictures;
- how little the largest logit stands out among all of them, (max - mean) / std, which sees classes that are none of
  the model's, as far as the model tells classes apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from vgg16.data.batches import for_inference
from vgg16.data.images import Labels, Pixels

# With fewer held-out images the smallest typicality would be above 0.01, and nothing could be flagged there.
LEAST = 99
# Images of `train` that an image is compared with: with 4,000 digits among photographs are found a little better, and
# the constants of an export are of twice the size.
MOST_NEIGHBOURS = 2_000
# Directions in which features are compared: with 512 no other dataset was told apart better.
_MOST_DIRECTIONS = 256
# Sizes of feature maps, from the last one backwards, and the places that one has at least: smaller ones know classes,
# and what is unlike all of them falls together there.
_MAPS = 3
_LEAST_PLACES = 16
_TINY = 1e-6

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureSpace:
    """Where images of `train` lie: the `mean` [d] of their features, the `projection` [d, r] to the directions in which
    they differ most, and the `neighbours` [m, r] there; `centre` [2] and `scale` [2] of the two terms over `val`.
    All float32."""

    mean: Floats
    projection: Floats
    neighbours: Floats
    centre: Floats
    scale: Floats


@dataclass(frozen=True)
class Reference:
    """A feature space, and the unusualness of each image of `val` in it, float32 [n], ascending; n >= 99."""

    space: FeatureSpace
    scores: Floats

    @property
    def digest(self) -> str:
        """The sha256 of all numbers that a typicality follows from."""
        whole = hashlib.sha256()
        for array in (*vars(self.space).values(), self.scores):
            whole.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
        return whole.hexdigest()


def fit(model: keras.Model, train: tuple[Pixels, Labels], val: Pixels) -> Reference | None:
    """What typicality follows from, of uint8 images [n, h, w, 3]: of `train` those of MOST_NEIGHBOURS rows are shown to
    the model, evenly of each class, and all of `val`. None where `val` has fewer than 99, or the model answers what is
    no number."""
    if len(val) < LEAST:
        return None
    images, labels = train
    features = _predict(keras.Model(model.input, _features(model)), images[spread(labels, MOST_NEIGHBOURS)])
    if not np.isfinite(features).all():
        return None
    mean = features.mean(axis=0)
    projection = _directions(features - mean)
    neighbours = (features - mean) @ projection
    space = FeatureSpace(mean, projection, neighbours, np.zeros(2, np.float32), np.ones(2, np.float32))
    terms = _predict(keras.Model(model.input, ops.stack(_terms(model, space), axis=1)), val)
    if not np.isfinite(terms).all():
        return None
    centre = np.median(terms, axis=0)
    # Where the rarest hundredth begins, both terms are 1: neither alone decides what is flagged.
    scale = np.maximum(np.quantile(terms, 0.99, axis=0).astype(np.float32) - centre, _TINY)
    space = FeatureSpace(mean, projection, neighbours, centre, scale)
    return Reference(space, np.sort(np.logaddexp(*((terms - centre) / scale).T)))


def spread(labels: Labels, most: int) -> NDArray[np.intp]:
    """At most so many rows, ascending, spread evenly over the classes and over each class."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.intp)])


def with_unusualness(model: keras.Model, space: FeatureSpace) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the unusualness of each image float32 [b]."""
    return keras.Model(model.input, [model.output, _unusualness(model, space)])


def with_typicality(model: keras.Model, reference: Reference) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the typicality of each image float32 [b], in
    [1 / (n + 1), 1] for n images of `val`."""
    unusualness = _unusualness(model, reference.space)
    as_unusual = ops.cast(ops.expand_dims(unusualness, 1) <= reference.scores[None, :], "float32")
    typicality = (1.0 + ops.sum(as_unusual, axis=1)) / (len(reference.scores) + 1.0)
    return keras.Model(model.input, [model.output, typicality])


def _predict(model: keras.Model, images: Pixels) -> Floats:
    return np.asarray(model.predict(for_inference(images, None, 256), verbose=0), np.float32)


def _unusualness(model: keras.Model, space: FeatureSpace) -> Any:
    terms = zip(_terms(model, space), space.centre, space.scale, strict=True)
    first, second = ((term - float(centre)) / float(scale) for term, centre, scale in terms)
    # The logarithm of the sum of both exponentials, of which a large one would be infinite.
    return ops.maximum(first, second) + ops.log(1.0 + ops.exp(-ops.abs(first - second)))


def _terms(model: keras.Model, space: FeatureSpace) -> tuple[Any, Any]:
    """The squared distance to the nearest neighbour [b], and how little the largest logit stands out [b]."""
    seen = ops.matmul(_features(model) - space.mean, space.projection)
    # |a - b|^2 of all pairs at once would take [b, m, r].
    squares = (space.neighbours**2).sum(axis=1)[None, :]
    to_neighbours = ops.min(ops.matmul(seen, -2.0 * space.neighbours.T) + squares, axis=1)
    return to_neighbours + ops.sum(ops.square(seen), axis=1), -_prominence(model)


def _prominence(model: keras.Model) -> Any:
    last = model.get_layer("predictions")
    # Probabilities near 1 would be equal to each other up to rounding.
    kernel, bias = (np.asarray(weight, np.float32) for weight in last.get_weights())
    logits = ops.matmul(ops.cast(last.input, "float32"), kernel) + bias
    centred = logits - ops.mean(logits, axis=1, keepdims=True)
    largest = ops.max(centred, axis=1)
    # Of two logits it is the same whatever they are.
    if logits.shape[1] == 2:
        return largest
    return largest / (ops.sqrt(ops.mean(ops.square(centred), axis=1)) + _TINY)


def _features(model: keras.Model) -> Any:
    """What the images of a batch are compared by, float32 [b, d]."""
    parts = [ops.mean(ops.abs(ops.cast(one, "float32")), axis=(1, 2)) for one in _maps(model)]
    # A network without maps has what its last layer sees.
    parts = parts or [ops.cast(model.get_layer("predictions").input, "float32")]
    return ops.concatenate(
        [part / (ops.sqrt(ops.sum(ops.square(part), axis=1, keepdims=True)) + _TINY) for part in parts], axis=1
    )


def _maps(model: keras.Model) -> list[Any]:
    """The last feature maps [b, h, w, c] of each of the smallest sizes, the largest first: before they are pooled."""
    last: dict[tuple[int, int], Any] = {}
    for layer in model.layers:
        if layer.name == "normalize":  # the images until here
            last.clear()
        shape = layer.output.shape
        resized = isinstance(layer, layers.InputLayer | layers.MaxPooling2D | layers.ZeroPadding2D)
        if len(shape) == 4 and not resized and shape[1] * shape[2] >= _LEAST_PLACES:
            last[shape[1], shape[2]] = layer.output
    return [last[size] for size in sorted(last, reverse=True)[-_MAPS:]]


def _directions(centred: Floats) -> Floats:
    """The directions [d, r] in which features differ most."""
    _, spreads, directions = np.linalg.svd(centred, full_matrices=False)
    most = min(_MOST_DIRECTIONS, max(1, len(centred) // 4), int((spreads > 1e-4 * spreads[0]).sum()))
    return np.ascontiguousarray(directions[: max(most, 1)].T)
