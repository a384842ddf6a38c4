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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from vgg16.config.types import Frozen
from vgg16.data.images import Images
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, Speed
from vgg16.tracking.protocol import Registry
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import open_workplace

if TYPE_CHECKING:
    import keras


class VersionAnswers(Frozen):
    """What a version answered, in files of a folder: `probabilities.npy` float32 [n, k] on the gate images, and
    `corrupted.npy` float32 [kinds, m, k] on corrupted ones. `unusable` says why there are none."""

    folder: Path
    unusable: str = ""
    speed: Speed | None = None
    megabytes: float = 0.0

    def load(self, name: str) -> NDArray[np.float32]:
        """One of the two arrays."""
        array: NDArray[np.float32] = np.load(self.folder / f"{name}.npy")
        return array


class _Question(Frozen):
    """Which versions of a registered model answer on the gate images of a dataset, into which folder."""

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
        """The answers of each version on the gate images of a published dataset, which the process writes to a folder
        and then ends.

        A version that cannot be used says so; Vgg16Error is raised where it was not the version that failed.
        """
        question = _Question(name=name, versions=versions, dataset=dataset, folder=folder)
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
    # TensorFlow comes first, with its settings.
    from vgg16.evaluation import corruptions
    from vgg16.evaluation.predict import predict
    from vgg16.evaluation.speed import measure_speed

    workplace = open_workplace()
    registry = workplace.tracker.registry
    # Only now, for it is started before it is known what it will be asked, or whether.
    text = sys.stdin.read()
    if not text:
        return
    question = _Question.model_validate_json(text)
    images, _ = workplace.dataset(question.dataset).part("gate")
    sample = images[corruptions.sample(len(images))]
    corrupted = [corruptions.corrupt(kind, sample) for kind in corruptions.KINDS]
    answers = {}
    for version in question.versions:
        folder = question.folder / version
        folder.mkdir()
        uri = f"models:/{question.name}/{version}"
        try:
            model = _load(registry, uri, question.dataset, images)
        except Vgg16Error as error:
            answers[version] = VersionAnswers(folder=folder, unusable=f"it cannot be used: {error.message}")
            continue
        np.save(folder / "probabilities.npy", predict(model, images))
        np.save(folder / "corrupted.npy", np.stack([predict(model, pictures) for pictures in corrupted]))
        speed = measure_speed(model, images)
        answers[version] = VersionAnswers(folder=folder, speed=speed, megabytes=registry.megabytes(uri))
    (question.folder / "answers.json").write_bytes(_ANSWERS.dump_json(answers))


def _load(registry: Registry, uri: str, dataset: DatasetRef, images: Images) -> keras.Model:
    model, class_names = registry.load(uri)
    if class_names != dataset.class_names:
        raise Vgg16Error(f"{uri} knows other classes than the dataset, or in another order.")
    if model.input_shape[1:] != images.shape[1:]:
        raise Vgg16Error(f"{uri} takes images of {model.input_shape[1:]}, those of the dataset are {images.shape[1:]}.")
    return model


if __name__ == "__main__":
    try:
        _main()
    except Vgg16Error as refused:
        sys.exit(refused.message)
