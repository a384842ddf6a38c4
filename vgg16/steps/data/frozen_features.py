"""What a frozen network sees in each image of a dataset: the features that its trainings keep, or else the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vgg16.config.types import SPLITS, Experiment, Split
from vgg16.data.images import ImageSet
from vgg16.errors import RequestError, Vgg16Error
from vgg16.network.blocks import split
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.steps.fit import keep_features, load_base
from vgg16.training import features
from vgg16.training.devices import computing_in
from vgg16.training.prepare import build_for, precision_of, side_of
from vgg16.workplace.workplace import Workplace

Floats = NDArray[np.float32]

HELD_OUT: tuple[Split, ...] = ("gate", "test")
# Drawings and digits have no network's features: gray squares of so many pixels tell them apart.
PIXELS_SIDE = 12
# Images that are pooled at once.
BLOCK = 4096


@dataclass(frozen=True)
class FrozenFeatures:
    """Features float32 [n, d] of the images of a dataset, in its order; `of` says whose they are."""

    features: Floats
    of: str


def frozen_features(
    ref: DatasetRef, recipe: Experiment | None, workplace: Workplace, *, asked: bool = False
) -> FrozenFeatures:
    """The features of all images by the base that the dataset's last training froze, or, where there is none or the
    recipe's is `asked` for, by that of the `recipe`; those of pixels where it has neither. Raises Vgg16Error where the
    weights cannot be had, a WeightsError where they were to be downloaded."""
    images = workplace.dataset(ref)
    request = None if asked else _last(ref, workplace)
    if request is None and recipe is not None:
        request = TrainingRequest(experiment=recipe, dataset=ref, base=recipe.base or "")
    if request is None:
        return FrozenFeatures(_pixels(images), "pixels")
    return _frozen(request, images, workplace)


def _last(ref: DatasetRef, workplace: Workplace) -> TrainingRequest | None:
    """The dataset's last training that began with a frozen base, None where there was none."""
    for run in workplace.tracker.runs.search(most=200):
        if run.dataset is None or run.dataset.name != ref.name or not run.base:
            continue
        try:
            experiment = workplace.tracker.results.experiment(run.run_id)
        except Vgg16Error:  # what an earlier version logged
            continue
        if experiment.phases[0].trains == "head":
            return TrainingRequest(experiment=experiment, dataset=ref, base=run.base)
    return None


def _frozen(request: TrainingRequest, images: ImageSet, workplace: Workplace) -> FrozenFeatures:
    """The features by the base of a training, those of train and val as it keeps them."""
    experiment = request.experiment
    augmentation = experiment.phases[0].augmentation or experiment.augmentation
    augmentation = augmentation.model_copy(update={"shift": 0})
    weights, _ = load_base(request, workplace)
    found: dict[str, Floats] = {}
    with computing_in(precision_of(experiment)):
        # As training builds it, whose features are of the same digest.
        parts = split(build_for(experiment, images, weights, 0, for_training=True), "head")
        if parts is None:
            raise RequestError(f"{experiment.name} has no base that could be frozen.")
        base, data = parts[0], images.at(side_of(experiment, images, 0))
        digest = features.digest(base, data, augmentation)
        worth = features.worth_keeping(base, data, augmentation)
        if not worth:
            augmentation = augmentation.model_copy(update={"flip": False})
        for splits in (features.LEARNED, HELD_OUT):
            with workplace.display.counting("features") as on_images:
                compute = partial(features.compute, base, data, augmentation, on_images, splits)
                keep = keep_features(request.dataset, workplace, splits) if worth else features.once
                found |= {one: pooled(array[0]) for one, array in keep(digest, compute).items()}
    whole = np.empty((len(images.labels), found["train"].shape[1]), np.float32)
    for number, name in enumerate(SPLITS):
        whole[images.splits == number] = found[name]
    return FrozenFeatures(whole, experiment.name)


def pooled(stored: NDArray[Any]) -> Floats:
    """The mean over all places of an image's features, float32 [n, d], of stored ones [n, ..., d]."""
    means = [
        features.floats(stored[start : start + BLOCK]).astype(np.float32).mean(axis=tuple(range(1, stored.ndim - 1)))
        for start in range(0, max(len(stored), 1), BLOCK)
    ]
    return np.concatenate(means)


def _pixels(images: ImageSet) -> Floats:
    """Gray squares of PIXELS_SIDE pixels, float32 [n, d]."""
    size = (PIXELS_SIDE, PIXELS_SIDE)
    squares = [
        Image.fromarray(images.images[row]).convert("L").resize(size, Image.Resampling.BOX)
        for row in range(len(images.labels))
    ]
    return np.stack([np.asarray(square, np.float32).reshape(-1) for square in squares])
