"""How usual an image is for a model: what its last feature maps and its logits say, beside the images that it learned
from, as a share of the held-out images of `val` that are at least as unusual.

A probability says which class is likeliest among those that the model knows, and is high for a dog that a model of
digits sees. Typicality says whether the image is like what it knows at all: a p-value of conformal prediction
(Laxhammar 2014; Bates et al., arXiv 2104.08279), uniform in 0 to 1 for images like those of `val`. Small is unusual.

An image is as unusual as the sum of the exponentials of two terms, each in units of its spread over `val`, so that one
large term is enough:
- how far it lies from the nearest image of `train` (Sun et al., arXiv 2204.06507), by the mean size over all places of
  the last feature maps of three sizes, each of length 1: that sees other kinds of pictures;
- how little the largest logit stands out among all of them, (max - mean) / std, which sees classes that are none of
  the model's, as far as the model tells classes apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
# The exponential of a little more is infinite in float32.
_MOST_SPREADS = 80.0
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
    features = _ask(model, lambda seen: _features(seen.maps), images[spread(labels, MOST_NEIGHBOURS)])
    if not np.isfinite(features).all():
        return None
    mean = features.mean(axis=0)
    projection = _directions(features - mean)
    neighbours = (features - mean) @ projection
    space = FeatureSpace(mean, projection, neighbours, np.zeros(2, np.float32), np.ones(2, np.float32))
    terms = _ask(model, lambda seen: ops.stack(_terms(seen, space), axis=1), val)
    if not np.isfinite(terms).all():
        return None
    centre = np.median(terms, axis=0)
    # Where the rarest hundredth begins, both terms are 1: neither alone decides what is flagged.
    scale = np.maximum(np.quantile(terms, 0.99, axis=0).astype(np.float32) - centre, _TINY)
    space = FeatureSpace(mean, projection, neighbours, centre, scale)
    return Reference(space, np.sort(np.exp(np.minimum((terms - centre) / scale, _MOST_SPREADS)).sum(axis=1)))


def spread(labels: Labels, most: int) -> NDArray[np.intp]:
    """At most so many rows, ascending, spread evenly over the classes and over each class."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(len(order), most)).astype(np.intp)])


def with_unusualness(model: keras.Model, space: FeatureSpace) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the unusualness of each image float32 [b], which
    is above 0."""
    unusualness = _layer(model, lambda seen: _unusualness(seen, space), "unusualness")
    return keras.Model(model.input, [model.output, unusualness])


def with_typicality(model: keras.Model, reference: Reference) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the typicality of each image float32 [b], in
    [1 / (n + 1), 1] for n images of `val`."""

    def typicality(seen: _Seen) -> Any:
        unusualness = ops.expand_dims(_unusualness(seen, reference.space), 1)
        as_unusual = ops.cast(unusualness <= reference.scores[None, :], "float32")
        return (1.0 + ops.sum(as_unusual, axis=1)) / (len(reference.scores) + 1.0)

    return keras.Model(model.input, [model.output, _layer(model, typicality, "typicality")])


def with_components(model: keras.Model, space: FeatureSpace, count: int) -> keras.Model:
    """The model with three outputs: its probabilities float32 [b, k], the unusualness of each image float32 [b], which
    is above 0, and where it lies in the `count` directions in which images of `train` differ most, float32
    [b, count]; fewer where there are not so many."""
    projection = space.projection[:, :count]
    components = _layer(model, lambda seen: ops.matmul(_features(seen.maps) - space.mean, projection), "components")
    return keras.Model(model.input, [*with_unusualness(model, space).outputs, components])


@dataclass(frozen=True)
class _Seen:
    """What a model sees of a batch: feature maps, and logits [b, k]."""

    maps: list[Any]
    logits: Any


def _ask(model: keras.Model, asked: Callable[[_Seen], Any], images: Pixels) -> Floats:
    answering = keras.Model(model.input, _layer(model, asked, "asked"))
    return np.asarray(answering.predict(for_inference(images, None, 256), verbose=0), np.float32)


def _layer(model: keras.Model, asked: Callable[[_Seen], Any], name: str) -> Any:
    """What is asked of all that a model sees, as the output of one layer. Single operations would get names from Keras
    by what this process has built before, which a loaded model may have too."""
    last = model.get_layer("predictions")
    kernel, bias = (np.asarray(weight, np.float32) for weight in last.get_weights())

    def call(tensors: list[Any]) -> Any:
        *maps, features = tensors
        # Probabilities near 1 would be equal to each other up to rounding. A network without maps has its features.
        return asked(_Seen(maps or [features], ops.matmul(features, kernel) + bias))

    return layers.Lambda(call, name=name, dtype="float32")([*_maps(model), last.input])


def _unusualness(seen: _Seen, space: FeatureSpace) -> Any:
    terms = zip(_terms(seen, space), space.centre, space.scale, strict=True)
    # Positive, so that an error of it can be told in parts of it.
    return sum(
        ops.exp(ops.minimum((term - float(centre)) / float(scale), _MOST_SPREADS)) for term, centre, scale in terms
    )


def _terms(seen: _Seen, space: FeatureSpace) -> tuple[Any, Any]:
    """The squared distance to the nearest neighbour [b], and how little the largest logit stands out [b]."""
    place = ops.matmul(_features(seen.maps) - space.mean, space.projection)
    # |a - b|^2 of all pairs at once would take [b, m, r].
    squares = (space.neighbours**2).sum(axis=1)[None, :]
    to_neighbours = ops.min(ops.matmul(place, -2.0 * space.neighbours.T) + squares, axis=1)
    return to_neighbours + ops.sum(ops.square(place), axis=1), -_prominence(seen.logits)


def _prominence(logits: Any) -> Any:
    """How far the largest of the logits [b, k] stands out among them all, [b]."""
    centred = logits - ops.mean(logits, axis=1, keepdims=True)
    largest = ops.max(centred, axis=1)
    # Of two logits it is the same whatever they are.
    if logits.shape[1] == 2:
        return largest
    return largest / (ops.sqrt(ops.mean(ops.square(centred), axis=1)) + _TINY)


def _features(maps: list[Any]) -> Any:
    """What the images of a batch are compared by, float32 [b, d]."""
    parts = [ops.mean(ops.abs(one), axis=(1, 2)) if len(one.shape) == 4 else one for one in maps]
    lengths = [ops.sqrt(ops.sum(ops.square(part), axis=1, keepdims=True)) + _TINY for part in parts]
    return ops.concatenate([part / length for part, length in zip(parts, lengths, strict=True)], axis=1)


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
