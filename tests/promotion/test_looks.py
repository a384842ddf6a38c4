"""Looks at gate pictures: what counts together, what counts once, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest

from vgg16.promotion import looks
from vgg16.promotion.records import Judgement
from vgg16.storage.store import FolderStore, Store

NAME = "vgg16-x"


def old_look(version: str, digest: str = "images", opponents: tuple[str, ...] = ("1",), reference: str = "") -> Any:
    """As earlier versions wrote them: without the pictures."""
    return Judgement(images_digest=digest, version=version, opponents=opponents, reference=reference)


def look_at(store: Store, version: str, pictures: Sequence[int], digest: str = "", **other: Any) -> int:
    """The number of a look at these pictures, whose digest at their size is the pictures' own unless another is
    given."""
    gate = looks.keep_gate(store, NAME, [sha256(b"%d" % picture).digest() for picture in pictures])
    look = old_look(version, digest or f"pixels of {sorted(pictures)}", **other).model_copy(update={"gate": gate})
    return looks.count(store, NAME, look)


def test_looks_at_the_same_images_are_counted_and_the_same_look_once(store: Store) -> None:
    assert [looks.count(store, NAME, old_look(version)) for version in "2334"] == [1, 2, 2, 3]
    assert looks.count(store, NAME, old_look("3")) == 2
    assert looks.count(store, NAME, old_look("3", opponents=("2",))) == 4
    assert looks.count(store, NAME, old_look("5", "fresh images")) == 1
    assert looks.count(store, "vgg16-other", old_look("2")) == 1


def test_the_same_two_versions_on_the_same_images_are_no_new_look_whichever_is_in_production(store: Store) -> None:
    assert [look_at(store, version, range(50)) for version in "23"] == [1, 2]
    # Version 3 went into production, and then a person asks for 1 and for 2 again.
    assert look_at(store, "1", range(50), opponents=("3",)) == 2
    assert look_at(store, "1", range(50), opponents=("2",)) == 1
    assert look_at(store, "2", range(50), opponents=("3",)) == 3
    assert look_at(store, "3", range(50), opponents=("2",)) == 3
    # On other images, or against another reference, it is one.
    assert look_at(store, "1", range(60), opponents=("3",)) == 4
    assert look_at(store, "1", range(50), opponents=("3",), reference="3") == 5
    assert len(store.keys(f"judgements/{NAME}/")) == 5


def test_under_non_inferior_looks_at_fresh_images_against_one_reference_are_counted(store: Store) -> None:
    counted = [looks.count(store, NAME, old_look(v, f"week {v}", reference="1")) for v in "234"]
    assert counted == [1, 2, 3]
    assert looks.count(store, NAME, old_look("5", "week 5", reference="4")) == 1


def test_looks_of_many_at_once_get_a_number_each(store: Store) -> None:
    with ThreadPoolExecutor(5) as several:
        counted = list(several.map(lambda version: look_at(store, str(version), range(20)), range(10)))
    assert sorted(counted) == list(range(1, 11))


# Each the pictures of one look after the other, with the number that the last one gets.
HISTORIES: dict[str, tuple[list[Sequence[int]], int]] = {
    "the very same": ([range(50), range(50), range(50)], 3),
    "in another order": ([range(50), range(49, -1, -1)], 2),
    "a version that grew by a tenth": ([range(50), range(55)], 2),
    "versions that grew each time": ([range(size) for size in range(50, 100, 5)], 10),
    "one picture deleted": ([range(50), range(1, 50)], 2),
    "the deleted one back": ([range(50), range(1, 50), range(50)], 3),
    "one picture in common": ([range(50), range(49, 99)], 2),
    "a part of it": ([range(10), range(50)], 2),
    "fresh pictures": ([range(50), range(50, 100)], 1),
    "fresh ones between": ([range(50), range(50, 100), range(50)], 2),
    "what only the one between has in common": ([range(50), range(40, 90), range(60, 110)], 2),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_looks_are_counted_where_they_share_a_picture(tmp_path, case: str) -> None:
    history, number = HISTORIES[case]
    store = FolderStore(tmp_path)
    counted = [look_at(store, str(version), pictures) for version, pictures in enumerate(history, 2)]
    assert counted[-1] == number, counted


def test_looks_at_a_part_of_the_pictures_are_those_that_showed_any_of_it(tmp_path) -> None:
    store = FolderStore(tmp_path)
    for version, pictures in (("2", range(50)), ("3", range(50)), ("4", range(55))):
        look_at(store, version, pictures)
    part = frozenset(sha256(b"%d" % picture).digest() for picture in range(50, 60))
    pictures = [sha256(b"%d" % picture).digest() for picture in range(60)]
    look = old_look("5", "all").model_copy(update={"gate": looks.keep_gate(store, NAME, pictures)})
    assert [looks.count(store, NAME, look), looks.count(store, NAME, look, part)] == [4, 2]
    assert looks.count(store, NAME, look, part) == 2


def test_the_same_files_at_another_size_go_on_counting(store: Store) -> None:
    assert [look_at(store, v, range(50), f"at {side}") for v, side in (("2", 64), ("3", 128), ("4", 128))] == [1, 2, 3]


def test_a_relabelled_picture_is_the_same_picture(tmp_path) -> None:
    store = FolderStore(tmp_path)
    assert [look_at(store, v, range(50), f"labels {v}") for v in "23"] == [1, 2]


def test_looks_of_an_earlier_version_of_the_code_count_as_they_did_and_with_new_ones_at_the_same_images(store) -> None:
    assert [looks.count(store, NAME, old_look(version, "digits")) for version in "23"] == [1, 2]
    assert look_at(store, "4", range(50), "digits") == 3
    # Asked again by this code: no other look than that of the earlier one.
    assert look_at(store, "3", range(50), "digits") == 2
    assert len(store.keys(f"judgements/{NAME}/")) == 3
    # A version that grew shares pictures with the new look; what the old ones showed, nobody knows.
    assert look_at(store, "5", range(55), "more digits") == 2


def test_looks_at_one_gate_share_one_listing_whatever_the_order_of_its_pictures(store: Store) -> None:
    for version, pictures in (("2", range(50)), ("3", range(49, -1, -1)), ("4", [*range(50), *range(50)])):
        look_at(store, version, pictures)
    (key,) = store.keys(f"gates/{NAME}/")
    assert len(store.read(key) or b"") == 50 * 32


def test_a_listing_that_was_removed_may_have_held_any_picture(tmp_path) -> None:
    store = FolderStore(tmp_path)
    look_at(store, "2", range(50))
    (key,) = store.keys(f"gates/{NAME}/")
    store.delete(key)
    assert look_at(store, "3", range(50, 100)) == 2


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("written", [0, 1, 2])
def test_after_a_kill_between_any_two_writes_the_same_look_gets_the_same_number(tmp_path, written: int) -> None:
    store = FolderStore(tmp_path)
    look_at(store, "2", range(45))
    left = written
    create: Callable[[str, bytes], None] = store.create

    def create_or_die(key: str, content: bytes) -> None:
        nonlocal left
        if not left:
            raise KilledError
        create(key, content)
        left -= 1

    store.create = create_or_die  # type: ignore[method-assign]
    if written < 2:
        with pytest.raises(KilledError):
            look_at(store, "3", range(50))
    else:
        look_at(store, "3", range(50))
    store.create = create  # type: ignore[method-assign]
    # A look whose pictures are not listed is never there.
    judgements = [Judgement.model_validate_json(store.read(key) or b"") for key in store.keys(f"judgements/{NAME}/")]
    assert all(store.read(f"gates/{NAME}/{look.gate}") for look in judgements)
    assert look_at(store, "3", range(50)) == 2
    assert look_at(store, "4", range(50)) == 3
