"""Of each picture the facts say what changed, and what did not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vgg16.checks.drift import facts as drift_facts
from vgg16.checks.drift.facts import Facts, of_pixels, shared
from vgg16.data.images import Images


@pytest.fixture(scope="module")
def scenes() -> Images:
    """100 scenes of colours without a cast, with a bright surface that has the colour of the light."""
    random = np.random.default_rng(0)
    images = gaussian_filter(random.normal(110, 160, (100, 32, 32, 3)), (0, 1, 1, 0))
    images = np.clip(images, 0, 220)
    images[:, 4:13, 4:13] = random.normal(232, 3, (100, 1, 1, 3))
    return images.astype(np.uint8)


def moved(before: Images, now: Images) -> dict[str, float]:
    """Of each fact how far its median moved, in standard deviations before."""
    one, other = of_pixels(before), of_pixels(now)
    return {name: float(np.median(other[name] - one[name]) / one[name].std()) for name in one}


def test_a_warmer_light_moves_the_highlights_most_and_no_detail(scenes: Images) -> None:
    found = moved(scenes, np.rint(scenes * np.array([1, 1, 0.93])).astype(np.uint8))
    assert max(found, key=lambda name: found[name]) == "highlights_green_over_blue"
    assert found["highlights_green_over_blue"] > 2 * found["green_over_blue"] > 0
    assert found["highlights_red_over_green"] == 0
    assert abs(found["fine_detail"]) < 0.2


def test_a_softer_lens_moves_fine_detail_and_sharpness_and_no_colour_of_the_light(scenes: Images) -> None:
    found = moved(scenes, gaussian_filter(scenes, (0, 0.6, 0.6, 0)))
    assert found["fine_detail"] < -2
    assert found["sharpness"] < -2
    assert all(abs(value) < 0.5 for name, value in found.items() if "highlights" in name)


def test_contrast_moves_sharpness_and_hardly_fine_detail(scenes: Images) -> None:
    found = moved(scenes, np.rint(127 + (scenes - 127.0) * 0.7).astype(np.uint8))
    assert found["sharpness"] < -2
    assert abs(found["fine_detail"]) < -found["sharpness"] / 3


def test_of_an_even_picture_only_its_brightness_is_not_0() -> None:
    even = of_pixels(np.full((2, 4, 4, 3), 90, np.uint8))
    assert {name: value.tolist() for name, value in even.items() if value.any()} == {"brightness": [90, 90]}


def test_the_highlights_are_the_brightest_twentieth() -> None:
    image = np.full((1, 20, 20, 3), 10, np.uint8)
    image[0, 3, :] = (200, 150, 120)
    measured = of_pixels(image)
    assert measured["highlights_red_over_green"] == [50]
    assert measured["highlights_green_over_blue"] == [30]


def test_parts_have_the_facts_of_the_whole(scenes: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_pixels(scenes)
    monkeypatch.setattr(drift_facts, "MOST_VALUES", 7 * scenes[0].size)
    for name, values in of_pixels(scenes).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-6, err_msg=name)
        assert values.dtype == np.float32


def test_facts_are_compared_by_those_that_all_have() -> None:
    old, new = (
        Facts(("a", "c"), np.array([[1, 3]], np.float32)),
        Facts(("a", "b", "c"), np.array([[4, 5, 6]], np.float32)),
    )
    assert shared([new, old]) == shared([old, new]) == ("a", "c")
    np.testing.assert_array_equal(new.only(("a", "c")).values, [[4, 6]])
    with pytest.raises(ValueError, match="not in tuple"):
        old.only(("b",))
