"""Model + data become predictions, and predictions an Evaluation. Predicting and judging are apart."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgg16 import corruptions
from vgg16.config import Split
from vgg16.datasets import Images, Labels
from vgg16.errors import RequestError
from vgg16.input_pipeline import for_inference
from vgg16.pictures import read_picture
from vgg16.records import Bin, ClassScore, Evaluation, Guess, Prediction, Source, Speed, UnreadPicture
from vgg16.statistics import calibration, calibration_error, calibration_interval, share_interval

if TYPE_CHECKING:
    import keras

Probabilities = NDArray[np.float32]

# Of single calls; their median is steady to a few per cent.
CALLS = 20
# Of the images that are answered in batches: four batches, or 15 seconds of VGG-16 at 64 pixels on two cores.
TIMED_IMAGES = 1000


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


def corrupted_top1(model: keras.Model, images: Images, labels: Labels) -> dict[str, float]:
    """Top-1 on a fixed sample of these images, at most 1,000 of them, under each kind of corruption."""
    chosen = corruptions.sample(len(images))
    few, wanted = images[chosen], labels[chosen]

    def top1(kind: str) -> float:
        return float((predict(model, corruptions.corrupt(kind, few)).argmax(axis=1) == wanted).mean())

    return {kind: top1(kind) for kind in corruptions.KINDS}


def speed(model: keras.Model, images: Images) -> Speed:
    """How fast the model answers these uint8 images [n, h, w, 3], n at least 1, on this machine."""
    one, many = images[:1], images[:TIMED_IMAGES]
    # The first call of each kind compiles.
    for _ in range(3):
        model.predict_on_batch(one)
    predict(model, many[:256])
    latencies = [_seconds(lambda: model.predict_on_batch(one)) for _ in range(CALLS)]
    return Speed(
        latency_ms=1000 * float(np.median(latencies)),
        images_per_s=len(many) / _seconds(lambda: predict(model, many)),
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _prediction(path: str, source: Source, answer: Probabilities, class_names: tuple[str, ...]) -> Prediction:
    top5 = tuple(Guess(label=class_names[i], probability=float(answer[i])) for i in (-answer).argsort()[:5])
    return Prediction(image=path, label=top5[0].label, probability=top5[0].probability, top5=top5, source=source)


def evaluate(  # noqa: PLR0917  # what is judged: a split's images, and the answers to them
    split: Split,
    images: Images,
    probabilities: Probabilities,
    labels: Labels,
    class_names: tuple[str, ...],
    superclasses: Mapping[str, tuple[str, ...]] | None = None,
) -> Evaluation:
    """Score the probabilities [n, k] of these images against labels int64 [n]; `superclasses` are groups of classes."""
    n, k = probabilities.shape
    answers = probabilities.argmax(axis=1)
    best5 = np.argsort(-probabilities, axis=1)[:, :5]
    confusion = np.bincount(labels * k + answers, minlength=k * k).reshape(k, k)
    groups = {name: group for group, names in (superclasses or {}).items() for name in names}
    group = np.array([groups.get(name, name) for name in class_names])
    likelihood = probabilities[np.arange(n), labels].astype(np.float64)
    right = answers == labels
    right5 = (best5 == labels[:, None]).any(axis=1)
    squares = np.square(probabilities.astype(np.float64)).sum(axis=1)
    finite = bool(np.isfinite(probabilities).all())
    table = calibration(probabilities.max(axis=1) if finite else np.zeros(n), right)
    return Evaluation(
        split=split,
        images=n,
        images_digest=hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest(),
        top1=float(right.mean()),
        top1_interval=share_interval(int(right.sum()), n),
        top5=float(right5.mean()),
        top5_interval=share_interval(int(right5.sum()), n),
        superclass_top1=float(confusion[group[:, None] == group].sum() / n) if groups else None,
        # A probability of zero in float32 stands for at most the smallest number above it.
        loss=float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()),
        brier=float((squares - 2 * likelihood + 1).mean()),
        ece=calibration_error(table) if finite else float("nan"),
        ece_interval=calibration_interval(table) if finite else (0.0, 1.0),
        reliability=tuple(
            Bin(images=int(count), confidence=confidence / max(count, 1), accuracy=hits / max(count, 1))
            for count, confidence, hits in table.tolist()
        ),
        classes=_class_scores(class_names, confusion),
        superclasses=_superclass_scores(superclasses or {}, group, confusion),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _superclass_scores(
    superclasses: Mapping[str, tuple[str, ...]], group: NDArray[np.str_], confusion: NDArray[np.int64]
) -> tuple[ClassScore, ...]:
    member = np.array([group == name for name in superclasses], dtype=np.int64).reshape(len(superclasses), len(group))
    return _class_scores(tuple(superclasses), member @ confusion @ member.T)


def _class_scores(names: tuple[str, ...], confusion: NDArray[np.int64]) -> tuple[ClassScore, ...]:
    right, asked, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassScore(
            name=name,
            images=int(asked[index]),
            precision=float(right[index] / max(answered[index], 1)),
            recall=float(right[index] / max(asked[index], 1)),
            recall_interval=share_interval(int(right[index]), int(asked[index])),
        )
        for index, name in enumerate(names)
    )


def confident_mistakes(probabilities: Probabilities, labels: Labels, most: int = 24) -> NDArray[np.int64]:
    """Indices of the wrongly answered images, the most confident first, `most` of them at the most."""
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    return wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:most]
