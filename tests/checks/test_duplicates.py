"""Planted near-duplicates are found at any size of picture, and what is none is not invented."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.planted import CHANGES, copies
from vgg16.checks.duplicates import file, search
from vgg16.checks.duplicates.search import NearDuplicates, choose_threshold
from vgg16.checks.review_commands import pair_choices
from vgg16.config.catalog import SHIPPED
from vgg16.data.images import Images
from vgg16.data.sources import cifar


def scenes(count: int, side: int, seed: int) -> Images:
    """Pictures that have nothing in common: a ground and a dozen shapes of random colours and places."""
    random = np.random.default_rng(seed)

    def colour() -> tuple[int, ...]:
        return tuple(random.integers(0, 256, 3).tolist())

    drawn = []
    for _ in range(count):
        picture = Image.new("RGB", (side, side), colour())
        pen = ImageDraw.Draw(picture)
        for shape in range(12):
            places = random.uniform(-0.2, 1.2, (2, 2)) * side
            box = [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]
            (pen.ellipse if shape % 2 else pen.rectangle)(box, fill=colour())
        drawn.append(np.asarray(picture))
    return np.stack(drawn)


def pairs_of(near: NearDuplicates) -> set[tuple[int, int]]:
    return {(first, second) for first, second in near.pairs.tolist()}


@pytest.mark.parametrize("side", [32, 48, 160])
def test_planted_copies_are_found_and_hardly_anything_else(side: int) -> None:
    images = scenes(240, side, seed=1)
    planted = copies(images[:160], list(CHANGES), np.random.default_rng(2))
    near = search.find(np.concatenate([images, planted]))
    true = {(row, 240 + row) for row in range(160)}
    hits = true & pairs_of(near)
    for at, name in enumerate(CHANGES):
        of_kind = {(row, 240 + row) for row in range(at, 160, len(CHANGES))}
        assert len(hits & of_kind) >= 0.85 * len(of_kind), name
    assert len(hits) >= 0.95 * len(true)
    assert len(pairs_of(near) - true) <= 0.02 * len(true)
    assert near.measured


def test_pictures_without_copies_have_none_and_cannot_tell_the_threshold() -> None:
    near = search.find(scenes(200, 32, seed=3))
    assert (len(near.pairs), near.measured, near.threshold) == (0, False, search.MEASURED)


def test_the_threshold_holds_the_share_of_false_pairs() -> None:
    # Ten images with a true copy, thirty others, and decoys like those others but one.
    best = np.array([0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90] + [0.5] * 30, np.float32)
    by_chance = np.array([0.905] + [0.5] * 39, np.float32)
    assert choose_threshold(best, by_chance, 0.1) == np.float32(0.90)  # one of ten false
    assert choose_threshold(best, by_chance, 0.12) == np.float32(0.90)
    # At a twentieth twenty images with a copy would be needed.
    assert choose_threshold(best, by_chance, 0.05) is None
    # Of many copies no more are false than of few: one image of a thousand, one at least.
    many = np.concatenate([np.linspace(0.91, 0.99, 20, dtype=np.float32), best[10:]])
    two = np.array([0.92, 0.915, *[0.5] * 48], np.float32)
    assert choose_threshold(many, two, 0.1) == many[many > np.float32(0.915)].min()
    assert choose_threshold(many, np.array([0.915, *[0.5] * 49], np.float32), 0.1) == many[0]
    # Of half as many decoys each stands for two images.
    assert choose_threshold(best, by_chance[:20], 0.2) == np.float32(0.91)


def test_groups_are_copies_of_their_first_member_and_chains_join_nothing() -> None:
    pairs = np.array([[0, 1], [1, 2], [2, 3], [4, 5], [4, 6], [5, 6], [7, 8], [8, 9]])
    first_equal = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])
    near = NearDuplicates(pairs, np.ones(len(pairs), np.float32), first_equal, 0.9, True, 100, 0)
    # 9 equals 8, which is a copy of 7.
    assert [group.tolist() for group in near.groups()] == [[0, 1], [2, 3], [4, 5, 6], [7, 8, 9]]


def test_of_a_part_of_the_images_the_pairs_among_them_are_left() -> None:
    pairs = np.array([[0, 1], [0, 3], [1, 2], [1, 6], [4, 5]])
    first_equal = np.array([0, 1, 2, 0, 4, 4, 1])
    near = NearDuplicates(pairs, np.array([0.9, 1, 0.95, 1, 1], np.float32), first_equal, 0.9, True, 100, 0)
    whole = near.rows(np.arange(7))
    assert (whole.pairs.tolist(), whole.first_equal.tolist()) == (pairs.tolist(), first_equal.tolist())
    # Without 0 and 1 those that equal them stand for them: 3 for 0, and 6 for 1.
    part = near.rows(np.array([2, 3, 5, 6]))
    assert part.pairs.tolist() == [[0, 3], [1, 3]]
    assert part.similarities.tolist() == np.array([0.95, 0.9], np.float32).tolist()
    assert part.first_equal.tolist() == [0, 1, 2, 3]


def gray(count: int) -> Images:
    return np.full((count, 32, 32, 3), 128, np.uint8)


FEW: dict[str, tuple[Images, list[list[int]]]] = {
    "none": (gray(0), []),
    "one": (gray(1), []),
    "blank ones": (gray(3), [[0, 1], [0, 2]]),
    "two": (scenes(2, 32, seed=4), []),
    "two and a blank one": (np.concatenate([scenes(2, 32, seed=4), gray(1)]), []),
    "two equal ones": (np.repeat(scenes(1, 32, seed=5), 2, axis=0), [[0, 1]]),
    "many equal ones": (np.repeat(scenes(1, 33, seed=6), 12, axis=0), [[0, row] for row in range(1, 12)]),
}


@pytest.mark.parametrize("name", FEW)
def test_few_or_equal_or_blank_images_are_no_trouble(name: str) -> None:
    images, pairs = FEW[name]
    near = search.find(images)
    assert near.pairs.tolist() == pairs
    assert (near.similarities == 1).all()


def test_what_was_found_comes_back_from_its_file_and_what_is_damaged_does_not(tmp_path: Path) -> None:
    scene = scenes(12, 32, seed=7)
    near = search.find(np.concatenate([scene, scene[:3], copies(scene[4:8], ["shift"], np.random.default_rng(0))]))
    assert len(near.pairs) > 3
    path = tmp_path / "near-duplicates.parquet"
    file.write(near, path)
    content = path.read_bytes()
    back = file.read(content)
    assert back is not None
    for name, value in vars(near).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    assert file.read(content[:-8]) is None
    assert file.read(b"") is None


def test_a_dataset_is_checked_by_its_name_and_each_pair_shown_on_a_page(
    vgg16: Callable[..., Any], tmp_path: Path
) -> None:
    images = scenes(60, 64, seed=7)
    planted = copies(images[:8], ["shift", "flip"], np.random.default_rng(8))
    for name, picture in [*((f"{at:02d}.png", image) for at, image in enumerate(images))]:
        folder = tmp_path / "photos" / ("ant", "bee")[int(name[:2]) % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name)
    for at, picture in enumerate(planted):
        Image.fromarray(picture).save(tmp_path / "photos" / ("ant", "bee")[at % 2] / f"copy-{at:02d}.png")
    added = vgg16("data", "add", "pets", "photos", "--image-size", "64", "--json", cwd=tmp_path)
    assert added.status == 0, added.stderr
    assert added.json["copies"] == {"pictures": 16, "pairs": 8, "groups": 8, "left_out": 0, "across": 0}
    assert "each compared with all others" in added.stderr
    checked = vgg16("data", "check", "pets", "--for", "duplicates", "--json", cwd=tmp_path)
    assert checked.status == 0, checked.stderr
    near = checked.json["duplicates"]
    names = {tuple(sorted(Path(pair[side]).name for side in ("first", "second"))) for pair in near}
    assert names == {(f"{at:02d}.png", f"copy-{at:02d}.png") for at in range(8)}
    assert all(pair["labels"][0] == pair["labels"][1] for pair in near)
    page = Path(checked.json["page"]).read_text()
    assert page.count('alt="a pair"') == 8
    assert "copy-03.png" in page
    said = vgg16("data", "check", "pets", "--for", "duplicates", cwd=tmp_path)
    assert "each compared with all others" not in checked.stderr + said.stderr + said.stdout  # kept
    assert "8 pairs of near-duplicates, 0 in two splits" in said.stdout
    again = vgg16("data", "add", "pets", "photos", cwd=tmp_path)
    assert "each compared with all others" not in again.stderr + again.stdout
    assert "16 pictures are copies of others, in 8 groups: no pair in two splits" in " ".join(again.stdout.split())
    assert "it is the one of CIFAR-100" in said.stdout
    assert page.count("--as keep</code>") == page.count("<details>") == 8
    assert page.count("--as drop</code>") == 16
    # The first pair stays, by the command that the page and the terminal show for it.
    command = f"data review pets {'+'.join(digest[:12] for digest in near[0]['digests'])} --as keep"
    assert f"<code>vgg16 {command}</code>" in page
    assert command in said.stdout
    kept = vgg16(*command.split(), cwd=tmp_path)
    assert "There is nothing else to do" in kept.stdout, kept.stderr
    dropped = vgg16(
        "data", "review", "pets", near[1]["first"], near[2]["first"], "--as", "drop", "--json", cwd=tmp_path
    )
    assert (dropped.json["dataset"], dropped.json["reviewed"]) == ("pets", 2)
    assert dropped.json["next"] == f"vgg16 data add pets {tmp_path / 'photos'}"
    again = vgg16("data", "check", "pets", "--for", "duplicates", "--json", cwd=tmp_path).json
    assert (len(again["duplicates"]), again["reviewed"]) == (5, 3)
    assert "3 pairs were reviewed and are not shown." in Path(again["page"]).read_text()


def test_the_commands_of_a_page_mean_what_they_say_whatever_classes_and_files_are_called() -> None:
    names, classes = ("ant/a'b $(x).png", "f" * 64), ("it's <b>", 'say "x"')
    choices = pair_choices("pets", ("e" * 64, "f" * 64), names, classes)
    assert [choice.words for choice in choices] == [
        *("Both may stay", f"Leave out {names[0]}", "Leave out ffffffffffff"),
        *(f"{names[0]} is {classes[1]}", f"ffffffffffff is {classes[0]}"),
    ]
    asked = [shlex.split(choice.command)[4:] for choice in choices]
    assert asked == [
        ["eeeeeeeeeeee+ffffffffffff", "--as", "keep"],
        *[[digits, "--as", "drop"] for digits in ("eeeeeeeeeeee", "ffffffffffff")],
        ["eeeeeeeeeeee", "--as", f"label={classes[1]}"],
        ["ffffffffffff", "--as", f"label={classes[0]}"],
    ]
    # The content of a shipped dataset does not change.
    assert [choice.words for choice in pair_choices("cifar100", names, names, classes)] == ["Both may stay"]


@pytest.mark.real
def test_planted_copies_of_real_photographs_are_found(real_data: Path) -> None:
    images = cifar.read_archive(SHIPPED.datasets["cifar100"], real_data / "cifar-100-binary.tar.xz", "").images[:4000]
    planted = copies(images[2000:2400], list(CHANGES), np.random.default_rng(9))
    near = search.find(np.concatenate([images, planted]))
    hits = pairs_of(near) & {(2000 + at, 4000 + at) for at in range(400)}
    for at, name in enumerate(CHANGES):
        assert sum(second % len(CHANGES) == at for _, second in hits) >= 0.85 * 400 / len(CHANGES), name
    assert len(hits) >= 0.95 * 400
    assert near.false <= 0.001 * near.decoys
