"""Pictures that are read from disk while a network learns give the very network that pictures in memory give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.test_folder import at_home, classes, row
from tests.training.test_train import changed
from vgg16.config.types import Augmentation, Experiment
from vgg16.data import chunks
from vgg16.data.images import ImageSet
from vgg16.steps.data.add import add

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    classes(folder, 20)
    return folder


def added(folder: Path, home: Path, files: int) -> ImageSet:
    """The folder as a dataset whose shards hold so many pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_FILES", files)
        workplace = at_home(home)
        return workplace.dataset(add(row(source=str(folder)), workplace).dataset)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image fits into memory."""
    monkeypatch.setattr("vgg16.data.batches.MOST_BYTES", 0)


GROWING: dict[str, Any] = {
    "reproducible": True,
    "augmentation": {"flip": True, "shift": 2},
    "phases": [{"epochs": 2, "image_size": 12}, {"epochs": 2, "image_size": 24}],
}


def weights(model: Any) -> list[bytes]:
    return [weight.tobytes() for weight in model.get_weights()]


def test_every_picture_is_met_once_an_epoch_for_any_size_of_shard(folder: Path, tmp_path: Path, on_disk: None) -> None:
    from vgg16.data.batches import for_training

    met = []
    for files in (3, 7, 1000):
        data = added(folder, tmp_path / str(files), files)
        images, labels = data.part("train")
        batches = for_training(images, labels, 7, Augmentation(), 1, epochs=range(2))
        shown = np.concatenate([batch for batch, _ in batches.as_numpy_iterator()])
        for epoch in np.split(shown, 2):
            assert sorted(image.tobytes() for image in epoch) == sorted(image.tobytes() for image in images[:])
        met.append(shown.tobytes())
    assert len(set(met)) == 1


def test_a_model_of_pictures_takes_them_at_the_side_it_sees(tiny: Experiment, folder: Path, tmp_path: Path) -> None:
    from vgg16.training.train import train

    data = added(folder, tmp_path, 1000)
    model, result = train(changed(tiny, **GROWING), data)
    assert model.input_shape == (None, 24, 24, 3)
    assert "resize" not in {type(operation).__name__.lower() for operation in model.operations}
    assert result.best_epoch > 2


def test_pictures_on_disk_train_the_network_that_pictures_in_memory_train_wherever_it_is_cut_off(
    tiny: Experiment, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.training import loop
    from vgg16.training.phases import Reports
    from vgg16.training.train import train

    experiment = changed(tiny, **GROWING)
    expected = weights(train(experiment, added(folder, tmp_path / "one", 1000))[0])
    monkeypatch.setattr("vgg16.data.batches.MOST_BYTES", 0)
    # A state after each step.
    monkeypatch.setattr(loop, "CALL_SECONDS", 0.0)
    states: list[Any] = []
    small = added(folder, tmp_path / "many", 5)
    model, _ = train(experiment, small, reports=Reports(state=lambda make, _: states.append(make())))
    assert weights(model) == expected
    middle = [state for state in states if state.progress.tally.steps]
    for phase in (0, 1):
        state = next(state for state in middle if state.progress.phase == phase)
        assert weights(train(experiment, small, resume=state)[0]) == expected


def test_what_is_lost_at_a_small_side_is_learned_at_the_side_that_shows_it(tiny: Experiment, tmp_path: Path) -> None:
    from vgg16.training.train import train

    # A chessboard of single pixels, or gray: of 8 pixels a side both are gray.
    board = 50 * (1 - 2 * (np.indices((48, 48)).sum(axis=0) % 2))[..., None]
    random = np.random.default_rng(0)
    for name, pattern in (("board", board), ("plain", 0 * board)):
        for number in range(40):
            noisy = 128 + pattern + random.integers(-40, 40, (48, 48, 3))
            file = tmp_path / "photos" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy.astype(np.uint8)).save(file)
    data = added(tmp_path / "photos", tmp_path / "home", 1000)
    learning = {"phases": [{"epochs": 12, "optimizer": {"learning_rate": 0.01}}], "batch_size": 8}
    best = [train(changed(tiny, image_size=side, **learning), data)[1].best_val_top1 for side in (8, 48)]
    assert best[0] < 0.85, best
    assert best[1] == 1, best
