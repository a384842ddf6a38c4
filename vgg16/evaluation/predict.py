"""A model's probabilities for images, and its answers to picture files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16.data.batches import for_inference
from vgg16.data.images import Images
from vgg16.data.pictures import read_picture
from vgg16.data.records import Source
from vgg16.errors import RequestError
from vgg16.evaluation.records import Guess, Prediction, UnreadPicture

if TYPE_CHECKING:
    import keras


Probabilities = NDArray[np.float32]


def predict(model: keras.Model, images: Images, batch_size: int = 256) -> Probabilities:
    """Probabilities float32 [n, classes] of uint8 images [n, h, w, 3], in their order."""
    answers: Probabilities = model.predict(for_inference(images, None, batch_size), verbose=0)
    return answers


def predict_pictures(
    model: keras.Model,
    class_names: tuple[str, ...],
    paths: list[str],
    on_step: Callable[[int, int], None],
    batch_size: int = 256,
) -> tuple[list[Prediction], list[UnreadPicture]]:
    """The answers to picture files, in their order, and the files that cannot be read.

    `on_step` is told of each file: how many are read, of how many. No more than a batch of images and the one being
    decoded are in memory. Raises RequestError where no file can be read; the fact is `failed`.
    """
    predictions: list[Prediction] = []
    failed: list[UnreadPicture] = []
    for start in range(0, len(paths), batch_size):
        read: list[tuple[str, Images, Source]] = []
        for done, path in enumerate(paths[start : start + batch_size], start + 1):
            try:
                read.append((path, *read_picture(path, model.input_shape[1])))
            except RequestError as error:
                failed.append(UnreadPicture(image=path, reason=error.message))
            on_step(done, len(paths))
        if read:
            answers = predict(model, np.stack([image for _, image, _ in read]), batch_size)
            predictions += [
                _prediction(path, source, answer, class_names)
                for (path, _, source), answer in zip(read, answers, strict=True)
            ]
    if not predictions:
        reasons = "; ".join(f"{each.image!r}: {each.reason}" for each in failed)
        facts = {"failed": [each.model_dump(mode="json") for each in failed]}
        raise RequestError(f"No picture could be read: {reasons}.", facts=facts)
    return predictions, failed


def _prediction(path: str, source: Source, answer: Probabilities, class_names: tuple[str, ...]) -> Prediction:
    top5 = tuple(Guess(label=class_names[i], probability=float(answer[i])) for i in (-answer).argsort()[:5])
    return Prediction(image=path, label=top5[0].label, probability=top5[0].probability, top5=top5, source=source)
