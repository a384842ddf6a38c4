"""What registered versions answer, each loaded from the registry in one fresh process:
`python -m vgg16.steps.fresh_process`.

What a training process holds in memory proves nothing of what was kept; so the challenger and what it is measured
against are read back and asked there, in the same way, on the same images.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from vgg16.config.types import Framing, Frozen
from vgg16.data.images import Images, ImageSet, Pixels
from vgg16.errors import Vgg16Error
from vgg16.network.classifier import Classifier
from vgg16.promotion.shared_classes import LEAST, SharedClasses
from vgg16.records import DatasetRef, Speed
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace, open_workplace


class VersionAnswers(Frozen):
    """What a version answered, in files of a folder: `probabilities.npy` float32 [n, k] on the gate images, and
    `corrupted.npy` float32 [kinds, m, k] on corrupted ones, of the k classes that it knows; the `digest` of the model
    that was asked. `unusable` says why there are none."""

    folder: Path
    class_names: tuple[str, ...] = ()
    digest: str = ""
    unusable: str = ""
    speed: Speed | None = None
    megabytes: float = 0.0

    def load(self, name: str) -> NDArray[np.float32]:
        """One of the two arrays."""
        array: NDArray[np.float32] = np.load(self.folder / f"{name}.npy")
        return array


class Question(Frozen):
    """Which versions of a registered model, the challenger first, answer on the gate images of its dataset, into which
    folder."""

    name: str
    versions: tuple[str, ...]
    dataset: DatasetRef
    folder: Path


_ANSWERS = TypeAdapter(dict[str, VersionAnswers])


class FreshProcess:
    """One process, started at the first `start` or `ask`; one that nobody asked is ended with the context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unasked, self._process = self._process, None
        if unasked:
            unasked.kill()
            unasked.communicate()

    def start(self) -> None:
        """Start it where it does not run: it imports what it needs, five seconds, while this process goes on."""
        self._process = self._process or _started()

    def ask(self, name: str, versions: tuple[str, ...], dataset: DatasetRef, folder: Path) -> dict[str, VersionAnswers]:
        """The answers of each version, the challenger first, on the gate images of its published dataset, which the
        process writes to a folder and then ends.

        A version that cannot be used says so; Vgg16Error is raised where it was not the version that failed.
        """
        question = Question(name=name, versions=versions, dataset=dataset, folder=folder)
        process, self._process = self._process or _started(), None
        with process:
            try:
                _, errors = process.communicate(question.model_dump_json())
            except BaseException:  # whoever interrupts this one does not wait for its answers
                process.kill()
                raise
        if process.returncode:
            last = (errors.strip() or "no word").splitlines()[-1]
            raise Vgg16Error(
                f"The process that asks {name} {', '.join(versions)} ended with {process.returncode}: {last}"
            )
        return _ANSWERS.validate_json((folder / "answers.json").read_bytes())


def _started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vgg16.steps.fresh_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"VGG16_HOME": str(settings.load().home)},
        text=True,
    )


def _main() -> None:
    import_tensorflow()
    # TensorFlow comes first, with its settings. What takes seconds is done before it is known what will be asked, or
    # whether anything.
    import vgg16.evaluation.speed  # noqa: F401

    workplace = open_workplace()
    _ = workplace.tracker
    if text := sys.stdin.read():
        question = Question.model_validate_json(text)
        (question.folder / "answers.json").write_bytes(_ANSWERS.dump_json(answer(question, workplace)))


def answer(question: Question, workplace: Workplace) -> dict[str, VersionAnswers]:
    """What each version answers, by its number; one that cannot be used says why."""
    from vgg16.evaluation import corruptions, predict, speed

    registry, data = workplace.tracker.registry, workplace.dataset(question.dataset)
    corrupted: dict[tuple[int, Framing], list[Images]] = {}
    answers = {}
    for version in question.versions:
        folder = question.folder / version
        folder.mkdir()
        uri = f"models:/{question.name}/{version}"
        try:
            classifier = registry.load(uri)
            _check_classes(uri, classifier.class_names, question.dataset, challenger=version == question.versions[0])
            images = images_for(classifier, data)
        except Vgg16Error as error:
            answers[version] = VersionAnswers(folder=folder, unusable=f"it cannot be used: {error.message}")
            continue
        model, shown = classifier.model, (images.shape[1], classifier.framing)
        if shown not in corrupted:
            sample = images[corruptions.sample(len(images))]
            corrupted[shown] = [corruptions.corrupt(kind, sample) for kind in corruptions.KINDS]
        np.save(folder / "probabilities.npy", predict.predict(model, images))
        np.save(folder / "corrupted.npy", np.stack([predict.predict(model, pictures) for pictures in corrupted[shown]]))
        answers[version] = VersionAnswers(
            folder=folder,
            class_names=classifier.class_names,
            digest=classifier.digest,
            speed=speed.measure_speed(model, images),
            megabytes=registry.megabytes(uri),
        )
    return answers


def _check_classes(uri: str, class_names: tuple[str, ...], dataset: DatasetRef, *, challenger: bool) -> None:
    """Raises Vgg16Error for a challenger that knows other classes than its dataset has, and for an opponent with which
    it shares too few to be compared."""
    if challenger and class_names != dataset.class_names:
        raise Vgg16Error(f"{uri} knows other classes than the dataset, or in another order.")
    shared = SharedClasses.of(dataset.class_names, class_names).names
    if len(shared) < LEAST:
        known = f"only {shared[0]}" if shared else "none"
        raise Vgg16Error(f"of the dataset's classes {uri} knows {known}; at least {LEAST} are needed to compare.")


def images_for(classifier: Classifier, data: ImageSet) -> Pixels:
    """The gate images at the side that a model takes, framed as those that it learned from: pictures of files are
    decoded so, arrays are as they are. Raises Vgg16Error for arrays of another side."""
    images, _ = data.at(classifier.side, classifier.framing).part("gate")
    taken, found = classifier.model.input_shape[1:], tuple(images.shape[1:])
    if taken != found:
        raise Vgg16Error(f"it takes images of {taken}, those of the dataset are {found}.")
    return images


if __name__ == "__main__":
    try:
        _main()
    except Vgg16Error as refused:
        sys.exit(refused.message)
