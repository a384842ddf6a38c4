"""What is done to images: the same each time, of one strength at any size, and nothing else."""

import numpy as np
import pytest

from vgg16.evaluation import corruptions
from vgg16.evaluation.corruptions import KINDS, corrupt, sample


def pictures(size: int = 32, images: int = 4) -> np.ndarray:
    """Smooth coloured pictures."""
    across = np.linspace(0, 3, size)
    waves = np.sin(across[:, None] + across[None, :])[None, :, :, None] * np.array([1.0, 0.5, -0.7])
    phases = np.arange(images)[:, None, None, None] * 10
    return np.clip(120 + 60 * waves + phases, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, 32, 65])
def test_each_answers_changed_images_of_the_same_kind_and_the_same_ones_again(kind: str, size: int) -> None:
    images = pictures(size)
    before = images.copy()
    worse = corrupt(kind, images)
    assert (worse.dtype, worse.shape) == (np.uint8, images.shape)
    # A blur of 8 pixels' proportion does not reach the next one.
    assert (worse != images).any(axis=(1, 2, 3)).all() or (kind, size) == ("blur", 8)
    assert (corrupt(kind, images) == worse).all()
    assert (images == before).all()


def test_noise_alone_is_drawn_from_the_seed() -> None:
    differ = {kind: (corrupt(kind, pictures(), 1) != corrupt(kind, pictures(), 2)).any() for kind in KINDS}
    assert [kind for kind in KINDS if differ[kind]] == ["noise"]


def test_each_has_the_strength_that_it_names() -> None:
    grey = np.full((50, 32, 32, 3), 128, np.uint8)
    assert (corrupt("noise", grey) / 255).std() == pytest.approx(corruptions.NOISE, rel=0.01)
    assert corrupt("brightness", grey).mean() == pytest.approx(128 + 255 * corruptions.BRIGHTNESS, abs=0.5)
    kept = corrupt("contrast", pictures()).std(axis=(1, 2)) / pictures().std(axis=(1, 2))
    assert kept == pytest.approx(corruptions.CONTRAST, rel=0.02)
    for kind in ("blur", "brightness", "contrast", "jpeg"):
        flat = corrupt(kind, grey)
        assert (flat == flat[0, 0, 0]).all()


def test_light_leaves_the_hue_and_black_becomes_grey() -> None:
    pixels = np.array([[200, 100, 50], [0, 0, 0], [255, 51, 0], [0, 0, 90]], np.uint8).reshape(4, 1, 1, 3)
    brighter = corrupt("brightness", pixels).reshape(4, 3)
    # By colorsys: to HSV, V + 0.15, at most 1, and back.
    assert brighter.tolist() == [[238, 119, 60], [38, 38, 38], [255, 51, 0], [0, 0, 128]]


def test_larger_images_are_blurred_as_much_for_their_size() -> None:
    large = np.zeros((1, 128, 128, 3), np.uint8)
    large[:, :, 64:] = 255
    small = large[:, ::4, ::4]

    def width(images: np.ndarray) -> float:
        """The share of a row that is neither black nor white any more."""
        return float(((images[0, 0, :, 0] > 12) & (images[0, 0, :, 0] < 243)).mean())

    assert width(corrupt("blur", large)) == pytest.approx(width(corrupt("blur", small)), abs=2 / 32)
    assert width(corrupt("blur", large)) > 2 / 32


def test_the_sample_is_fixed_and_whole_where_there_are_few() -> None:
    assert sample(359).tolist() == list(range(359))
    chosen = sample(10_000)
    assert len(set(chosen.tolist())) == 1000
    assert chosen.tolist() == sample(10_000).tolist()
    assert abs(chosen.mean() - 5000) < 300  # three and a bit standard errors: from the whole, not from its beginning


def test_another_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        corrupt("rain", pictures())
