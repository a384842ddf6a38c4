"""How usual an image is for a model: its features beside those of the images that it learned from, as a share of the
held-out images of `val` that are at least as unusual.

A probability says which class is likeliest among those that the model knows, and is high for a dog that a model of
digits sees. Typicality says whether the image is like what it knows at all: a p-value of conformal prediction
(Laxhammar 2014; Bates et al., arXiv 2104.08279), uniform in 0 to 1 for images like those of `val`. Small is unusual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from vgg16.data.images import Labels, Pixels

# With fewer held-out images the smallest typicality would be above 0.01, and nothing could be flagged there.
LEAST = 99
# Beyond so many directions the covariance of a few thousand images is noise.
_MOST_DIRECTIONS = 128
_BATCH = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureSpace:
    """Where the features of `train` lie: their `mean` [d], the projection [d, r] that whitens them within a class, and
    the means of the classes [k, r] there; float32."""

    mean: Floats
    projection: Floats
    class_means: Floats


@dataclass(frozen=True)
class Reference:
    """A feature space, and the unusualness of each image of `val` in it, float32 [n], ascending; n >= 99."""

    space: FeatureSpace
    scores: Floats


def fit(model: keras.Model, train: tuple[Pixels, Labels], val: Pixels) -> Reference | None:
    """What typicality follows from, of uint8 images [n, h, w, 3]; None where `val` has fewer than 99."""
    if len(val) < LEAST:
        return None
    space = _space(features(model, train[0]), train[1])
    scores = with_unusualness(model, space).predict(val, batch_size=_BATCH, verbose=0)[1]
    return Reference(space, np.sort(scores.astype(np.float32)))


def features(model: keras.Model, images: Pixels) -> Floats:
    """What the last layer of a model sees of each image, float32 [n, d]."""
    seen = keras.Model(model.input, _features(model)).predict(images, batch_size=_BATCH, verbose=0)
    return np.asarray(seen, np.float32)


def with_unusualness(model: keras.Model, space: FeatureSpace) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the unusualness of each image float32 [b], the
    squared Mahalanobis distance to the nearest class."""
    return keras.Model(model.input, [model.output, _unusualness(model, space)])


def with_typicality(model: keras.Model, reference: Reference) -> keras.Model:
    """The model with two outputs: its probabilities float32 [b, k] and the typicality of each image float32 [b], in
    [1 / (n + 1), 1] for n images of `val`."""
    unusualness = _unusualness(model, reference.space)
    as_unusual = ops.cast(ops.expand_dims(unusualness, 1) <= reference.scores[None, :], "float32")
    typicality = (1.0 + ops.sum(as_unusual, axis=1)) / (len(reference.scores) + 1.0)
    return keras.Model(model.input, [model.output, typicality])


def _features(model: keras.Model) -> Any:
    return ops.cast(model.get_layer("predictions").input, "float32")


def _unusualness(model: keras.Model, space: FeatureSpace) -> Any:
    within = ops.matmul(_features(model) - space.mean, space.projection)
    # |a - b|^2 of all pairs at once would take [b, k, r].
    squares = ops.sum(ops.square(space.class_means), axis=1)[None, :]
    to_classes = squares - 2.0 * ops.matmul(within, ops.transpose(space.class_means))
    return ops.min(to_classes, axis=1) + ops.sum(ops.square(within), axis=1)


def _space(seen: Floats, labels: Labels) -> FeatureSpace:
    mean = seen.mean(axis=0)
    centred = seen - mean
    classes = np.unique(labels)
    means = np.stack([centred[labels == label].mean(axis=0) for label in classes])
    residuals = centred - means[np.searchsorted(classes, labels)]
    _, spread, directions = np.linalg.svd(residuals, full_matrices=False)
    kept = min(_MOST_DIRECTIONS, max(1, len(seen) // 8), int((spread > 1e-4 * spread[0]).sum()))
    scale = np.sqrt(max(len(seen) - len(classes), 1)) / spread[:kept]
    projection = (directions[:kept] * scale[:, None]).T.astype(np.float32)
    return FeatureSpace(mean.astype(np.float32), projection, (means @ projection).astype(np.float32))
