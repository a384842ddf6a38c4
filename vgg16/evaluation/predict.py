"""A model's probabilities for images, clean and corrupted, and its answers to picture files."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from vgg16.config.types import Frozen
from vgg16.data.batches import for_inference
from vgg16.data.decode import read_picture
from vgg16.data.images import Images, Labels, Pixels
from vgg16.data.records import Source, UnreadPicture
from vgg16.errors import RequestError
from vgg16.evaluation import corruptions
from vgg16.network.classifier import Classifier
from vgg16.statistics import Probabilities


class Guess(Frozen):
    """One class and its probability, 0 to 1."""

    label: str
    probability: float


class Prediction(Frozen):
    """A model's answer to one picture file, and its best five, or all where it has fewer classes."""

    image: str
    label: str
    probability: float
    top5: tuple[Guess, ...]
    source: Source


def predict(model: keras.Model, images: Pixels, batch_size: int = 256) -> Probabilities:
    """Probabilities float32 [n, classes] of uint8 images [n, h, w, 3], in their order."""
    probabilities: Probabilities = model.predict(for_inference(images, None, batch_size), verbose=0)
    return probabilities


def corrupted_top1(model: keras.Model, images: Pixels, labels: Labels) -> dict[str, float]:
    """Top-1 on a fixed sample of these images, at most 1,000 of them, under each kind of corruption."""
    chosen = corruptions.sample(len(images))
    sample, sample_labels = images[chosen], labels[chosen]

    def top1(kind: str) -> float:
        answers = predict(model, corruptions.corrupt(kind, sample)).argmax(axis=1)
        return float((answers == sample_labels).mean())

    return {kind: top1(kind) for kind in corruptions.KINDS}


def predict_pictures(
    classifier: Classifier,
    paths: list[str],
    on_step: Callable[[int, int], None],
    batch_size: int = 256,
) -> tuple[list[Prediction], list[UnreadPicture]]:
    """The answers to picture files, in their order, and the files that cannot be read.

    `on_step` is called after each file with how many are read, of how many. No more than a batch of images and the one
    being decoded are in memory. Raises RequestError where no file can be read; its fact `failed` lists the files.
    """
    predictions: list[Prediction] = []
    failed: list[UnreadPicture] = []
    for start in range(0, len(paths), batch_size):
        pictures: list[tuple[str, Images, Source]] = []
        for done, path in enumerate(paths[start : start + batch_size], start + 1):
            try:
                pictures.append((path, *read_picture(path, classifier.side, classifier.framing)))
            except RequestError as error:
                failed.append(UnreadPicture(image=path, reason=error.message))
            on_step(done, len(paths))
        if pictures:
            rows = predict(classifier.model, np.stack([image for _, image, _ in pictures]), batch_size)
            predictions += [
                _prediction(path, source, probabilities, classifier.class_names)
                for (path, _, source), probabilities in zip(pictures, rows, strict=True)
            ]
    if not predictions:
        reasons = "; ".join(f"{picture.image!r}: {picture.reason}" for picture in failed)
        facts = {"failed": [picture.model_dump(mode="json") for picture in failed]}
        raise RequestError(f"No picture could be read: {reasons}.", facts=facts)
    return predictions, failed


def _prediction(path: str, source: Source, probabilities: Probabilities, class_names: tuple[str, ...]) -> Prediction:
    top5 = tuple(
        Guess(label=class_names[index], probability=float(probabilities[index]))
        for index in (-probabilities).argsort()[:5]
    )
    return Prediction(image=path, label=top5[0].label, probability=top5[0].probability, top5=top5, source=source)
