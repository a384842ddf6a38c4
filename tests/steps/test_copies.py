"""Of a user's own pictures copies come into one split: in a first version, in later ones, and after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.planted import copies
from tests.checks.test_duplicates import scenes
from tests.data.test_folder import Heard, at_home, row
from tests.killed import is_killed
from tests.steps.test_add import dying
from vgg16.checks.duplicates import search
from vgg16.config.types import SPLITS
from vgg16.data import chunks
from vgg16.data.images import Images
from vgg16.steps.data import duplicates
from vgg16.steps.data.add import Added, add
from vgg16.workplace.workplace import Workplace

SIDE = 48
FOUND = ["jpeg", "brightness", "noise", "resize"]  # every one of these is


@pytest.fixture(scope="module")
def drawn() -> Images:
    return scenes(60, SIDE, seed=11)


def write(folder: Path, images: Images, name: str = "", first: int = 0) -> None:
    """Picture files of two classes in turns."""
    for at, image in enumerate(images):
        file = folder / ("ant", "bee")[at % 2] / f"{name}{first + at:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def copied(image: Images, seed: int, kind: str = "jpeg") -> Images:
    return copies(image[None], [kind], np.random.default_rng(seed))[0]


def splits_of(added: Added, workplace: Workplace) -> dict[str, str]:
    data = workplace.dataset(added.dataset)
    paths = data.index.paths.to_pylist()  # type: ignore[attr-defined]
    return dict(zip(paths, (SPLITS[split] for split in data.splits), strict=True))


def across(added: Added, workplace: Workplace) -> int:
    """The pairs in two splits that `data check` reports."""
    near, splits = duplicates.near_duplicates(added.dataset, workplace), workplace.dataset(added.dataset).splits
    assert near is not None
    assert len(near.first_equal) == len(splits)
    return int((splits[near.pairs[:, 0]] != splits[near.pairs[:, 1]]).sum())


def test_of_a_first_version_no_copies_lie_across_and_apart_they_do(tmp_path: Path, drawn: Images) -> None:
    write(tmp_path / "photos", drawn)
    write(tmp_path / "photos", copies(drawn[:24], FOUND, np.random.default_rng(1)), "copy-")
    workplace = at_home(tmp_path / "home")
    added = add(row(source=str(tmp_path / "photos"), image_size=SIDE), workplace)
    assert added.copies is not None
    assert (added.copies.pairs, added.copies.left_out, across(added, workplace)) == (24, 0, 0)
    splits = splits_of(added, workplace)
    assert all(splits[path] == splits[path.replace("copy-", "")] for path in splits if "copy-" in path)
    apart = add(row(name="apart", source=str(tmp_path / "photos"), image_size=SIDE, near_duplicates="apart"), workplace)
    assert (apart.copies, apart.dataset.splits) == (None, added.dataset.splits)
    assert across(apart, workplace) > 5


def test_later_copies_join_the_ones_that_were_there(
    tmp_path: Path, drawn: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "photos", drawn)
    heard = Heard()
    workplace, dataset = (
        at_home(tmp_path / "home", display=heard),
        row(source=str(tmp_path / "photos"), image_size=SIDE),
    )
    first = splits_of(add(dataset, workplace), workplace)
    chosen = [path for split in SPLITS for path in sorted(path for path in first if first[path] == split)[:3]]
    new = {}
    for at, path in enumerate(chosen):
        file = (tmp_path / "photos" / path).with_name(f"new-{at:02d}.png")
        image = np.asarray(Image.open(tmp_path / "photos" / path))
        Image.fromarray(copied(image, at, FOUND[at % len(FOUND)])).save(file)
        new[file.relative_to(tmp_path / "photos").as_posix()] = first[path]
    added = add(dataset, workplace)
    second = splits_of(added, workplace)
    assert {path: second[path] for path in new} == new
    assert {path: second[path] for path in first} == first
    assert across(added, workplace) == 0
    # The same pictures are not searched again.
    monkeypatch.setattr(search, "find", lambda *_: pytest.fail("searched again"))
    assert add(dataset, workplace).dataset == added.dataset
    assert len(workplace.store.keys("datasets/own/copies")) == 1


def test_an_old_copy_of_a_new_test_picture_is_left_out_and_told_and_later_learns_no_more(
    tmp_path: Path, drawn: Images
) -> None:
    write(tmp_path / "photos" / "train", drawn[:48])
    write(tmp_path / "photos" / "test", drawn[48:], first=48)
    heard = Heard()
    workplace, dataset = (
        at_home(tmp_path / "home", display=heard),
        row(source=str(tmp_path / "photos"), image_size=SIDE),
    )
    before = splits_of(add(dataset, workplace), workplace)
    old = next(path for path in sorted(before) if before[path] == "train" and "/ant/" in path)
    image = np.asarray(Image.open(tmp_path / "photos" / old))
    Image.fromarray(copied(image, 5)).save(tmp_path / "photos" / "test" / "ant" / "new.png")
    # A new one in the folder of train, of which a new one in that of test is a copy, is test.
    write(tmp_path / "photos" / "train", scenes(1, SIDE, seed=77), "late-")
    late = np.asarray(Image.open(tmp_path / "photos" / "train" / "ant" / "late-00.png"))
    Image.fromarray(copied(late, 6)).save(tmp_path / "photos" / "test" / "ant" / "late-too.png")
    added = add(dataset, workplace)
    after = splits_of(added, workplace)
    reason = "a copy of test/ant/new.png, which is held out in test"
    assert [(one.image, one.reason) for one in added.left_out] == [(old, reason)]
    assert added.copies is not None
    assert (added.copies.left_out, across(added, workplace)) == (1, 0)
    assert old not in after
    assert {after["test/ant/new.png"], after["train/ant/late-00.png"], after["test/ant/late-too.png"]} == {"test"}
    said = "\n".join(heard.lines)
    assert f"1 pictures of train are left out, because copies of them are held out: {old} is {reason}" in said
    assert "train/ant/late-00.png is in test" in said
    assert [(one.image, one.split, one.folder) for one in added.moved] == [("train/ant/late-00.png", "test", "train")]
    # It was train, and is again where its copy has gone.
    assert add(dataset, workplace).dataset == added.dataset
    (tmp_path / "photos" / "test" / "ant" / "new.png").unlink()
    assert splits_of(add(dataset, workplace), workplace)[old] == "train"


def test_an_addition_with_copies_that_is_killed_is_completed_by_the_next(tmp_path: Path, drawn: Images) -> None:
    write(tmp_path / "photos", drawn[:30])
    write(tmp_path / "photos", copies(drawn[:10], FOUND, np.random.default_rng(1)), "copy-")
    fields = {"source": str(tmp_path / "photos"), "image_size": SIDE}
    whole = add(row(**fields), at_home(tmp_path / "whole"))
    kills = 0
    for write_ in range(1, 30):
        workplace, dataset = at_home(tmp_path / "home"), row(**fields, name=f"own-{write_}")
        hit = is_killed(dying, dataset, workplace.home, "", write_, write_ % 2 == 1, chunks.CHUNK_FILES)
        kills += hit
        again = add(dataset, at_home(tmp_path / "home"))
        assert (again.dataset.digest, again.copies) == (whole.dataset.digest, whole.copies)
        assert across(again, workplace) == 0
        if not hit:
            break
    assert kills >= 8


def test_a_class_of_alike_pictures_says_how_to_go_on(tmp_path: Path, drawn: Images) -> None:
    write(tmp_path / "photos", drawn)
    (scene,) = scenes(1, SIDE, seed=12)
    frames = np.stack([np.clip(scene.astype(int) + by, 0, 255).astype(np.uint8) for by in range(12)])
    (tmp_path / "photos" / "film").mkdir()
    for at, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "photos" / "film" / f"{at}.png")
    heard = Heard()
    fields = {"source": str(tmp_path / "photos"), "image_size": SIDE}
    add(row(**fields), at_home(tmp_path / "home", display=heard))
    assert any("film has 12 pictures" in line and 'near_duplicates = "apart"' in line for line in heard.lines)
    apart = add(row(**fields, near_duplicates="apart"), at_home(tmp_path / "home", display=heard))
    data = at_home(tmp_path / "home").dataset(apart.dataset)
    assert len(np.unique(data.splits[data.labels == data.class_names.index("film")])) == len(SPLITS)
