"""A model's probabilities and typicality for images, clean and corrupted, and its answers to picture files."""

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
from vgg16.evaluation import corruptions, typicality
from vgg16.evaluation.typicality import Floats, Reference
from vgg16.network.classifier import Classifier
from vgg16.statistics import Probabilities

Answering = Callable[[Pixels], tuple[Probabilities, Floats | None]]


class Guess(Frozen):
    """One class and its probability, 0 to 1."""

    label: str
    probability: float


class Prediction(Frozen):
    """A model's answer to one picture file, and its best five, or all where it has fewer classes. `typicality` is 0 to
    1, small is unusual; None where the model has no reference."""

    image: str
    label: str
    probability: float
    typicality: float | None
    top5: tuple[Guess, ...]
    source: Source


def predict(model: keras.Model, images: Pixels, batch_size: int = 256) -> Probabilities:
    """Probabilities float32 [n, classes] of uint8 images [n, h, w, 3], in their order."""
    probabilities: Probabilities = model.predict(for_inference(images, None, batch_size), verbose=0)
    return probabilities


def answering(model: keras.Model, reference: Reference | None, batch_size: int = 256) -> Answering:
    """What answers uint8 images [n, h, w, 3] in one pass: probabilities float32 [n, classes] and typicality float32
    [n], in their order; None for the latter where there is no reference."""
    if reference is None:
        return lambda images: (predict(model, images, batch_size), None)
    both = typicality.with_typicality(model, reference)

    def answer(images: Pixels) -> tuple[Probabilities, Floats | None]:
        probabilities, usual = both.predict(for_inference(images, None, batch_size), verbose=0)
        return probabilities, usual

    return answer


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
    reference: Reference | None = None,
) -> tuple[list[Prediction], list[UnreadPicture]]:
    """The answers to picture files, in their order, and the files that cannot be read; typicality by the model's
    `reference`.

    `on_step` is called after each file with how many are read, of how many. No more than a batch of images and the one
    being decoded are in memory. Raises RequestError where no file can be read; its fact `failed` lists the files.
    """
    answer = answering(classifier.model, reference, batch_size)
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
            rows, usual = answer(np.stack([image for _, image, _ in pictures]))
            predictions += [
                _prediction(path, source, row, None if usual is None else usual[place], classifier.class_names)
                for place, ((path, _, source), row) in enumerate(zip(pictures, rows, strict=True))
            ]
    if not predictions:
        reasons = "; ".join(f"{picture.image!r}: {picture.reason}" for picture in failed)
        facts = {"failed": [picture.model_dump(mode="json") for picture in failed]}
        raise RequestError(f"No picture could be read: {reasons}.", facts=facts)
    return predictions, failed


def _prediction(
    path: str, source: Source, probabilities: Probabilities, usual: np.float32 | None, class_names: tuple[str, ...]
) -> Prediction:
    top5 = tuple(
        Guess(label=class_names[index], probability=float(probabilities[index]))
        for index in (-probabilities).argsort()[:5]
    )
    return Prediction(
        image=path,
        label=top5[0].label,
        probability=top5[0].probability,
        typicality=None if usual is None else float(usual),
        top5=top5,
        source=source,
    )
