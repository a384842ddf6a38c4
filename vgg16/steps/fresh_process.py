"""What registered versions answer, each loaded from the registry in one fresh process:
`python -m vgg16.steps.fresh_process`.

What a training process holds in memory proves nothing of what was kept; so the challenger and what it is measured
against are read back and asked here, in the same way, on the same images.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from vgg16.config.types import Frozen
from vgg16.data.images import Images
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, Speed
from vgg16.workplace import settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import load_dataset, open_registry


class Answers(Frozen):
    """What a version answered, in files of a folder: `probabilities.npy` float32 [n, k] on the gate images, and
    `corrupted.npy` float32 [kinds, m, k] on corrupted ones. `unusable` says why there are none."""

    folder: Path
    unusable: str = ""
    speed: Speed | None = None
    megabytes: float = 0.0

    def load(self, name: str) -> NDArray[np.float32]:
        """One of the two arrays."""
        found: NDArray[np.float32] = np.load(self.folder / f"{name}.npy")
        return found


class _Ahead:
    """The process that a chain is about to ask: None outside of a chain, and while there is none yet."""

    expected = False
    process: subprocess.Popen[str] | None = None


@contextmanager
def expected() -> Iterator[None]:
    """While this lasts, `prepare` starts the process that `ask` will need; at the end, one that nobody asked goes."""
    _Ahead.expected = True
    try:
        yield
    finally:
        _Ahead.expected = False
        unasked, _Ahead.process = _Ahead.process, None
        if unasked:
            unasked.kill()
            unasked.communicate()


def prepare() -> None:
    """Where a process will be asked, start it: it imports what it needs, five seconds, while this one goes on."""
    if _Ahead.expected and not _Ahead.process:
        _Ahead.process = _start()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vgg16.steps.fresh_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"VGG16_HOME": str(settings.load().home)},
        text=True,
    )


def ask(name: str, versions: list[str], ref: DatasetRef, folder: Path) -> dict[str, Answers]:
    """The answers of each version on the gate images of a published dataset, which a fresh process writes to a folder.

    A version that cannot be used says so; Vgg16Error is raised where it was not the version that failed.
    """
    request = {"name": name, "versions": versions, "ref": ref.model_dump(mode="json"), "folder": str(folder)}
    ready, _Ahead.process = _Ahead.process, None
    with ready or _start() as process:
        try:
            _, said = process.communicate(json.dumps(request))
        except BaseException:  # whoever interrupts this one does not wait for its answers
            process.kill()
            raise
    if process.returncode:
        told = (said.strip() or "no word").splitlines()[-1]
        raise Vgg16Error(f"The process that asks {name} {', '.join(versions)} ended with {process.returncode}: {told}")
    return TypeAdapter(dict[str, Answers]).validate_json((folder / "answers.json").read_bytes())


def _main() -> None:
    import_tensorflow()
    from vgg16.evaluation import corruptions, predict, speed

    registry = open_registry()

    # Only now, for it is started before it is known what it will be asked, or whether.
    asked = sys.stdin.read()
    if not asked:
        return
    request = json.loads(asked)
    ref, folder = DatasetRef.model_validate(request["ref"]), Path(request["folder"])
    images, _ = load_dataset(ref).part("gate")
    chosen = images[corruptions.sample(len(images))]
    corrupted = [corruptions.corrupt(kind, chosen) for kind in corruptions.KINDS]
    found = {}
    for version in request["versions"]:
        own = folder / version
        own.mkdir()
        uri = f"models:/{request['name']}/{version}"
        try:
            model = _load(registry, uri, ref, images)
        except Vgg16Error as error:
            found[version] = Answers(folder=own, unusable=f"it cannot be used: {error.message}")
            continue
        np.save(own / "probabilities.npy", predict.predict(model, images))
        np.save(own / "corrupted.npy", np.stack([predict.predict(model, each) for each in corrupted]))
        found[version] = Answers(
            folder=own, speed=speed.measure_speed(model, images), megabytes=registry.megabytes(uri)
        )
    (folder / "answers.json").write_bytes(TypeAdapter(dict[str, Answers]).dump_json(found))


def _load(registry: Any, uri: str, ref: DatasetRef, images: Images) -> Any:
    model, class_names = registry.load(uri)
    if class_names != ref.class_names:
        raise Vgg16Error(f"{uri} knows other classes than the dataset, or in another order.")
    if model.input_shape[1:] != images.shape[1:]:
        raise Vgg16Error(f"{uri} takes images of {model.input_shape[1:]}, those of the dataset are {images.shape[1:]}.")
    return model


if __name__ == "__main__":
    try:
        _main()
    except Vgg16Error as refused:
        sys.exit(refused.message)
