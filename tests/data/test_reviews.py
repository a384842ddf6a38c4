"""What people decide is kept whole, by whoever decides at the same time, and damage to it is told."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.killed import is_killed
from vgg16.data.collect import Collected
from vgg16.data.records import UnreadPicture
from vgg16.data.reviews import kept
from vgg16.data.reviews.decisions import Action, Decision, Review, Reviews, parse_action
from vgg16.data.reviews.honour import honour
from vgg16.data.reviews.names import Names
from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage.store import FolderStore, Store

A, B, C = ("a" * 64, "b" * 63 + "0", "b" * 63 + "1")


def on(image: str, action: Action, label: str = "") -> Decision:
    return Decision(images=(image,), names=(f"{image[:2]}.png",), action=action, label=label)


def both(first: str, second: str) -> Decision:
    return Decision(images=(first, second), names=("1.png", "2.png"), action="keep")


def made(*decisions: Decision) -> Reviews:
    at = "2026-11-26T10:00:00+00:00"
    parts = [Review(number=n, dataset="pets", by="ann", at=at, decisions=(one,)) for n, one in enumerate(decisions, 1)]
    return Reviews(tuple(parts), "f" * 64)


def test_the_latest_decision_on_an_image_counts_and_settles_what_it_is_about() -> None:
    dropped = made(both(A, B), on(A, "label", "dog"), on(C, "drop"))
    assert {image: one.decision.text for image, one in dropped.changes.items()} == {A: "label=dog", C: "drop"}
    # A class that it was given leaves an image the copy that it is; a pair of a dropped one is none any more.
    assert [dropped.settles_pair(*pair) for pair in ((A, B), (B, A), (A, C), (A, A))] == [True, True, True, False]
    assert [dropped.settles_label(image) for image in (A, B, C)] == [True, False, True]
    back = made(on(A, "label", "dog"), on(C, "drop"), on(C, "keep"), on(A, "keep"))
    assert back.changes == {}
    assert not back.settles_pair(A, C)
    assert back.settles_label(A)


NAMES = Names([A, B, C, C], {"cat/1.png": A, "cat/1+2.png": B, "a+b": C, "a": A, "b": B})
MEANT = {
    "a path": ("cat/1.png", (A,)),
    "a path with a plus": ("cat/1+2.png", (B,)),
    "a digest": (A, (A,)),
    "how one begins, in capitals": ("A" * 8, (A,)),
    "a path before a pair": ("a+b", (C,)),
    "a pair": (f"{C}+cat/1.png", (A, C)),
    "a pair of paths with a plus": ("cat/1+2.png+cat/1.png", (A, B)),
    "equal images": (f"{C}+{C}", (C, C)),
    "too few digits": ("aaaaaaa", ()),
    "nothing": ("cat/2.png", ()),
    "half a pair": ("cat/1.png+cat/2.png", ()),
}


@pytest.mark.parametrize("name", MEANT)
def test_an_image_is_named_by_its_path_or_the_beginning_of_its_digest(name: str) -> None:
    finding, images = MEANT[name]
    assert NAMES.images(finding) == images


def test_what_may_be_several_images_or_is_one_twice_is_refused() -> None:
    with pytest.raises(RequestError, match="is how 2 images begin"):
        NAMES.images("b" * 10)
    with pytest.raises(RequestError, match="one image twice"):
        NAMES.images(f"{A}+cat/1.png")
    assert NAMES.near("photos/cat/1.png") == ["cat/1.png"]
    assert NAMES.near("cat/l.png")[0] == "cat/1.png"


@pytest.mark.parametrize(("text", "hint"), [("dorp", "drop"), ("label=", "name of a class"), ("label", "label=CLASS")])
def test_another_decision_than_the_three_is_refused(text: str, hint: str) -> None:
    with pytest.raises(RequestError, match=hint):
        parse_action(text)
    assert parse_action("label=a=b") == ("label", "a=b")


def collected() -> Collected:
    sha256 = np.frombuffer(bytes.fromhex(A + B + C), np.uint8).reshape(-1, 32)
    table = pa.table({"path": ["cat/1.png", "dog/1.png", "emu/1.png"]})
    labels, folders = np.arange(3), np.full(3, -1, np.int8)
    left_out = (UnreadPicture(image="x", reason="broken"),)
    return Collected(("cat", "dog", "emu"), sha256, labels, folders, table, left_out, 1)


def test_a_version_is_without_what_was_dropped_and_has_what_was_relabelled() -> None:
    done = honour(collected(), made(on(A, "label", "dog"), on(C, "drop"), on("9" * 64, "drop"), both(A, B)))
    assert done.collected.class_names == ("dog",)
    assert (done.collected.labels.tolist(), done.collected.labels.dtype) == ([0, 0], np.int64)
    assert done.collected.paths(np.arange(2)) == ["cat/1.png", "dog/1.png"]
    assert (len(done.collected.sha256), len(done.collected.folders), done.collected.unreadable) == (2, 2, 1)
    reasons = {one.image: one.reason for one in done.collected.left_out}
    assert reasons == {"x": "broken", "emu/1.png": "dropped by ann on 2026-11-26"}
    # Only what the source has counts.
    assert done.reviewed.model_dump() == {"dropped": 1, "relabelled": 1, "files": 4, "sha256": "f" * 64}
    for reviews in (Reviews(), made(both(A, B)), made(on(A, "label", "cat"))):
        same = honour(collected(), reviews)
        assert same.collected.labels.tolist() == [0, 1, 2]
        assert (same.reviewed.dropped, same.reviewed.relabelled) == (0, 0)


def test_a_class_that_is_gone_is_told_and_the_picture_keeps_that_of_its_folder() -> None:
    done = honour(collected(), made(on(A, "label", "kitten")))
    assert done.collected.labels.tolist() == [0, 1, 2]
    assert [(one.decision.label, label) for one, label in done.unheeded] == [("kitten", "cat")]


def test_of_many_who_decide_at_once_no_decision_is_lost(store: Store) -> None:
    def decide(number: int) -> None:
        kept.append(store, "pets", f"person {number}", lambda _: [on(f"{number:064x}", "drop")])

    with ThreadPoolExecutor(8) as people:
        list(people.map(decide, range(16)))
    reviews = kept.load(store, "pets")
    assert {one.by for one in reviews.parts} == {f"person {number}" for number in range(16)}
    assert len(reviews.changes) == 16
    # What was honoured is known by its files: later ones change nothing of that.
    first = kept.load(store, "pets", 5)
    assert first.parts == reviews.parts[:5]
    kept.append(store, "pets", "late", lambda _: [on(A, "keep")])
    assert kept.load(store, "pets", 5).sha256 == first.sha256 != kept.load(store, "pets").sha256
    assert kept.append(store, "pets", "idle", lambda _: [])[0] == []
    assert len(kept.load(store, "pets").parts) == 17


def test_the_second_decides_again_knowing_what_the_first_decided(tmp_path: Path) -> None:
    class Late(FolderStore):
        """Another process is first, once."""

        rival: Decision | None = on(A, "drop")

        def create(self, key: str, content: bytes) -> None:
            rival, self.rival = self.rival, None
            if rival:
                kept.append(FolderStore(tmp_path), "pets", "rival", lambda _: [rival])
            super().create(key, content)

    knew: list[list[str]] = []

    def decide(before: Reviews) -> list[Decision]:
        knew.append([one.decision.text for one in before.made])
        return [on(A, "keep")]

    kept.append(Late(tmp_path), "pets", "late", decide)
    assert knew == [[], ["drop"]]
    assert kept.load(FolderStore(tmp_path), "pets").changes == {}


class Killing(FolderStore):
    def __init__(self, folder: Path, after: bool) -> None:
        super().__init__(folder)
        self.after = after

    def create(self, key: str, content: bytes) -> None:
        if self.after:
            super().create(key, content)
        os.kill(os.getpid(), signal.SIGKILL)


def decide_on_three(folder: Path, after: bool) -> None:
    kept.append(Killing(folder, after), "pets", "ann", lambda _: [on(image, "drop") for image in (A, B, C)])


@pytest.mark.parametrize("after", [False, True])
def test_decisions_made_together_are_all_there_or_none_after_a_kill(after: bool, tmp_path: Path) -> None:
    assert is_killed(decide_on_three, tmp_path, after)
    assert len(kept.load(FolderStore(tmp_path), "pets").changes) == (3 if after else 0)


DAMAGE = {
    "cut off": (2, lambda content: content[:40], "holds no decisions that can be read"),
    "of another dataset": (2, lambda content: content.replace(b'"pets"', b'"cars"'), "is number 2 of cars"),
    "with a class for a drop": (
        1,
        lambda content: content.replace(b'"label": ""', b'"label": "x"'),
        "expected a class",
    ),
    "gone, and later ones are there": (1, lambda _: None, "000001.json is missing"),
    "gone, and a version has honoured it": (3, lambda _: None, "000003.json is missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_file_that_is_missing_or_damaged_is_named(name: str, tmp_path: Path) -> None:
    number, damage, message = DAMAGE[name]
    store = FolderStore(tmp_path)
    for image in (A, B, C):
        kept.append(store, "pets", "ann", lambda _, image=image: [on(image, "drop")])  # type: ignore[misc]
    file = store.local_path(f"datasets/pets/reviews/{number:06d}.json")
    content = damage(file.read_bytes())
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(Vgg16Error, match=message) as told:
        kept.load(store, "pets", least=3)
    assert "Bring it back from a copy" in told.value.hint
