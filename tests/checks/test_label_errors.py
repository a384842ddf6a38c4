"""Planted wrong labels are found, by classifiers that have not learned from the image, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vgg16.checks.label_errors import gaussian, rank
from vgg16.checks.label_errors.gaussian import leave_one_out, softmax
from vgg16.checks.label_errors.head import out_of_fold
from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import SPLITS
from vgg16.network.normalization import RAW


def clouds(
    images: int, classes: int, seed: int, size: int = 24, apart: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features of classes that are Gaussian clouds, and the labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = random.normal(0, apart, (classes, size))
    return (centres[labels] + random.normal(0, 1, (images, size))).astype(np.float32), labels


def planted(labels: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The labels with this share of them another one, and which."""
    random = np.random.default_rng(seed)
    wrong = random.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    classes = int(labels.max()) + 1
    changed[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
    return changed, wrong


def test_planted_wrong_labels_come_first_and_what_is_suggested_is_right() -> None:
    features, labels = clouds(600, 6, seed=1)
    given, wrong = planted(labels, 0.05, seed=2)
    ranking = rank.rank(features, given, np.arange(600))
    assert set(ranking.rows[:15].tolist()) <= set(wrong.tolist())
    assert len(set(ranking.rows.tolist()) & set(wrong.tolist())) >= 0.9 * len(wrong)
    assert len(ranking.rows) <= rank.MOST_SHARE * 600
    assert (ranking.scores[:-1] <= ranking.scores[1:]).all()
    hits = np.isin(ranking.rows, wrong)
    assert (ranking.suggested[hits] == labels[ranking.rows[hits]]).mean() > 0.95
    assert (ranking.suggested != given[ranking.rows]).all()


def test_of_right_labels_that_are_easy_none_is_shown() -> None:
    features, labels = clouds(300, 3, seed=3, apart=4.0)
    ranking = rank.rank(features, labels, np.arange(300))
    assert len(ranking.rows) == 0
    assert ranking.top1 == 1.0


def test_an_image_is_judged_by_a_cloud_that_it_was_left_out_of() -> None:
    features, labels = clouds(40, 2, seed=4, size=6)
    expected = []
    for row in range(40):
        others = np.arange(40) != row
        means = np.stack([features[others & (labels == name)].mean(axis=0) for name in (0, 1)]).astype(np.float64)
        whole = np.stack([features[labels == name].mean(axis=0) for name in (0, 1)])
        left = features[others] - means[labels[others]]
        # The round part is that of all images.
        spread = ((features - whole[labels]) ** 2).sum() / 40 / 6
        covariance = (1 - gaussian.ROUND) * left.T @ left / 40 + gaussian.ROUND * spread * np.eye(6)
        away = features[row] - means
        expected.append(-gaussian.WEIGHT / 2 * np.einsum("ci,ij,cj->c", away, np.linalg.inv(covariance), away))
    np.testing.assert_allclose(leave_one_out(features, labels), softmax(np.array(expected)), atol=1e-4)


def test_a_head_that_has_not_learned_from_an_image_cannot_know_its_label() -> None:
    random = np.random.default_rng(5)
    labels = np.arange(200) % 2
    # So many numbers of noise that a head learns any label by heart.
    features = random.normal(0, 1, (200, 400)).astype(np.float32)
    told = (out_of_fold(features, labels).argmax(axis=1) == labels).mean()
    assert 0.35 < told < 0.65
    assert 0.35 < (leave_one_out(features, labels).argmax(axis=1) == labels).mean() < 0.65


def test_images_of_the_same_class_and_numbers_that_never_change_are_no_trouble() -> None:
    features, labels = clouds(50, 2, seed=6)
    features[:, :12] = 0
    assert rank.rank(features, labels, np.arange(50)).top1 > 0.5
    assert np.isfinite(rank.believed(np.zeros_like(features), labels)).all()
    for few in (np.zeros(50, np.int64), np.arange(50)):
        ranking = rank.rank(features, few, np.arange(50))
        assert len(ranking.rows) == 0
    # A class of three images is not judged, and the others are, by their rows in the dataset.
    labels[:3] = 7
    given, _ = planted(labels[3:], 0.04, seed=1)
    given = np.concatenate([labels[:3], np.minimum(given, 1)])
    ranking = rank.rank(features, given, 100 + np.arange(50))
    assert ranking.judged.tolist() == (100 + np.flatnonzero(given < 2)).tolist()
    none = rank.rank(features[:0], labels[:0], np.arange(0))
    assert len(none.judged) == len(none.rows) == 0


def test_neighbours_are_the_nearest_of_a_class_without_the_image_itself() -> None:
    features, labels = clouds(60, 3, seed=7, apart=3.0)
    near = rank.neighbours(features, labels, 0, 0)
    assert len(near) == rank.NEIGHBOURS
    assert 0 not in near
    assert (labels[near] == 0).all()
    features[9] = features[0] * 2
    assert rank.neighbours(features, labels, 0, 0)[0] == 9


def pictures(folder: Path, of_each: int, wrong: int) -> set[str]:
    """Reddish and bluish pictures in two class folders; the names of those in the other one's."""
    random = np.random.default_rng(8)
    names = set()
    for at in range(2 * of_each):
        kind = at % 2
        colour = np.array([(200, 60, 50), (50, 80, 210)][kind])
        picture = np.clip(colour + random.normal(0, 30, (64, 64, 3)) + random.normal(0, 15, 3), 0, 255)
        name = f"{at:02d}.png"
        if at < wrong:
            names.add(name)
        place = folder / ("ant", "wood bee")[kind if at >= wrong else 1 - kind]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.astype(np.uint8)).save(place / name)
    return names


def test_a_dataset_is_checked_by_its_name_and_each_finding_shown_on_a_page(
    vgg16: Callable[..., Any], tmp_path: Path, tensorflow: Any
) -> None:
    wrong = pictures(tmp_path / "photos", 40, 4)
    added = vgg16("data", "add", "bugs", "photos", "--image-size", "32", "--json", cwd=tmp_path)
    assert added.status == 0, added.stderr
    # Without weights the copies are shown, and it is said why the labels are not.
    nowhere = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    without = vgg16("data", "check", "bugs", cwd=tmp_path, **nowhere)
    assert without.status == 0, without.stderr
    assert "0 pairs of near-duplicates" in without.stdout
    said = " ".join(without.stdout.split())
    assert "Labels were not looked at: The ImageNet weights of vgg16 could not be downloaded" in said
    assert "--set base=PATH" in said

    from vgg16.network.build import build

    tensorflow.keras.utils.set_random_seed(1)
    recipe = SHIPPED.experiments["cifar10-finetune-fast"]
    small = recipe.backbone.model_copy(update={"width": 0.05})
    row = catalog.backbone("vgg16")
    model = build(row, small, recipe.head, input_size=32, classes=2, image_size=32, normalization=RAW)
    model.save(tmp_path / "base.keras")
    asked = ("--for", "labels", "--set", "base=base.keras", "--set", "backbone.width=0.05")
    checked = vgg16("data", "check", "bugs", *asked, "--json", cwd=tmp_path)
    assert checked.status == 0, checked.stderr
    errors = checked.json["label_errors"]
    assert 3 <= len(errors) <= 4
    assert {Path(one["image"]).name for one in errors} <= wrong
    assert checked.json["duplicates"] == []
    assert checked.json["labels"]["images"] == 80
    assert checked.json["labels"]["seen_by"] == "bugs-finetune-fast"
    for one in errors:
        assert {one["label"], one["suggested"]} == {"ant", "wood bee"}
        assert one["image"].split("/")[-2] == one["label"]
        assert one["split"] in SPLITS
    page = Path(checked.json["page"]).read_text()
    assert page.count('alt="an image"') == len(errors)
    first = next(one for one in errors if one["suggested"] == "wood bee")
    assert f"vgg16 data review bugs {first['digest'][:12]} --as &#39;label=wood bee&#39;" in page
    assert "http" not in page
    # Its features are kept, and no image goes through the base again.
    # What somebody has decided on is not shown again.
    kept = vgg16("data", "review", "bugs", first["digest"][:12], "--as", "keep", cwd=tmp_path)
    assert kept.status == 0, kept.stderr
    again = vgg16("data", "check", "bugs", *asked, cwd=tmp_path)
    assert checked.stderr.count("computed once") == 2
    assert again.stderr.count("kept in the store") == 2
    assert "computed" not in again.stderr
    assert f"of 80 labels {len(errors) - 1} are likely label errors, by bugs-finetune-fast, which tells" in again.stdout
    assert "1 finding was reviewed and is not shown" in again.stdout


def test_what_is_no_check_is_refused_and_digits_are_judged_by_their_pixels(
    vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    refused = vgg16("data", "check", "digits", "--for", "label", "--json", cwd=tmp_path)
    assert refused.status == 2
    assert "duplicates or labels" in refused.json["error"]["message"]
    checked = vgg16("data", "check", "digits", "--for", "labels", "--json", cwd=tmp_path)
    assert checked.status == 0, checked.stderr
    assert checked.json["labels"]["seen_by"] == "pixels"
    assert checked.json["labels"]["top1"] > 0.9
    assert "--as keep" in Path(checked.json["page"]).read_text()
    assert "label=" not in Path(checked.json["page"]).read_text()


@pytest.mark.parametrize("seed", range(2))
def test_a_tenth_of_wrong_labels_spoils_neither_classifier(seed: int) -> None:
    features, labels = clouds(800, 8, seed=10 + seed)
    given, wrong = planted(labels, 0.1, seed)
    order = np.argsort(rank.believed(features, given)[np.arange(800), given])
    assert np.isin(order[: len(wrong) // 2], wrong).mean() >= 0.95
