"""Sources, splits and parts of a dataset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import official_files, tar_of
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import SPLITS, Dataset, DatasetChoice
from vgg16.data import images, published, splits
from vgg16.data.records import Fetched
from vgg16.data.sources import cifar, generated
from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage.publishing import fetch
from vgg16.storage.store import Store

PATCHES = Dataset(
    name="patches",
    description="of one colour each",
    class_names=("dark", "light"),
    image_size=8,
    typical={},
    measured_on=1,
)


@pytest.fixture(scope="module", params=SHIPPED.datasets.values(), ids=lambda row: row.name)
def row(request: pytest.FixtureRequest):
    return request.param


@pytest.fixture(scope="module")
def get(row, tmp_path_factory):
    """The whole dataset; of an archive, 3,000 records of noise in train and 500 in test."""
    if not row.archive:
        return lambda: generated.make(row)
    path = tmp_path_factory.mktemp("archive") / "archive.tar"
    classes = len(row.class_names)
    path.write_bytes(tar_of(official_files(row, train=3000 // classes, test=500 // classes)))
    return lambda: cifar.read_archive(row, path, str(path))


@pytest.fixture(scope="module")
def arrays(get):
    return get()


def test_a_source_gives_uint8_rgb_images_of_every_class(row, arrays) -> None:
    assert arrays.images.dtype == np.uint8
    assert arrays.images.shape[1:] == (row.image_size, row.image_size, 3)
    assert set(arrays.labels) == set(range(len(row.class_names)))


def test_a_source_gives_the_same_bytes_again(get, arrays) -> None:
    assert get().digest() == arrays.digest()


def test_splits_are_stratified_and_of_the_declared_sizes(row, arrays) -> None:
    n = len(arrays.labels)
    counts = arrays.counts()
    assert sum(counts.values()) == n
    assert counts["test"] == (500 if row.archive else pytest.approx(n * row.test_fraction, rel=0.02))
    assert counts["val"] == pytest.approx((n - counts["test"]) * row.val_fraction, rel=0.03)
    assert counts["gate"] == pytest.approx((n - counts["test"]) * row.gate_fraction, rel=0.05)
    whole = np.bincount(arrays.labels) / n
    for split in SPLITS:
        of_split = np.bincount(arrays.part(split)[1], minlength=len(whole))
        assert np.abs(of_split - whole * counts[split]).max() <= 1


@pytest.mark.parametrize("split", SPLITS)
def test_a_part_is_a_view_of_what_the_mask_gives(arrays, split) -> None:
    chosen = arrays.splits == SPLITS.index(split)
    part, again = arrays.part(split), arrays.part(split)
    for view, other, whole in zip(part, again, (arrays.images, arrays.labels), strict=True):
        assert np.shares_memory(view, other)
        assert view.dtype == whole.dtype
        assert (view == whole[chosen]).all()
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0


def test_a_split_whose_images_follow_each_other_is_a_slice_of_the_dataset(patches) -> None:
    for index, split in enumerate(SPLITS):
        for view, whole in zip(patches.part(split), (patches.images, patches.labels), strict=True):
            assert np.shares_memory(view, whole)
            assert (view == whole[10 * index : 10 * index + 10]).all()
    assert patches.images.flags.writeable


def test_a_split_of_the_same_images_and_labels_has_one_digest_and_of_others_another(patches) -> None:
    again = images.Arrays(patches.images.copy(), patches.labels, patches.splits, ("a", "b"))
    assert again.digest_of("gate") == patches.digest_of("gate")
    brighter = images.Arrays(patches.images + np.uint8(1), patches.labels, patches.splits, patches.class_names)
    swapped = images.Arrays(patches.images, 1 - patches.labels, patches.splits, patches.class_names)
    digests = [data.digest_of("gate") for data in (patches, brighter, swapped)]
    assert len({*digests, patches.digest_of("test")}) == 4


def test_a_split_without_images_is_empty(patches) -> None:
    learning = images.Arrays(patches.images, patches.labels, patches.splits % 2, patches.class_names)
    pixels, labels = learning.part("gate")
    assert (pixels.shape, labels.shape) == ((0, 32, 32, 3), (0,))
    assert len(learning.part("train")[1]) == 20


def test_parts_change_nothing_of_what_is_published(row, arrays, store: Store, tmp_path) -> None:
    fresh = images.Arrays(arrays.images, arrays.labels, arrays.splits, arrays.class_names)
    before = fresh.digest()
    for split in SPLITS:
        fresh.part(split)
    assert fresh.digest() == before
    loaded = published.load(fetch(store, published.save(store, row, fresh).key, tmp_path / "cache"))
    loaded.part("train")
    assert loaded.digest() == before
    assert (loaded.images == arrays.images).all()


def test_splits_do_not_depend_on_the_order_of_the_source(row, arrays) -> None:
    order = np.random.RandomState(0).permutation(len(arrays.images))
    test = arrays.splits[order] == SPLITS.index("test") if row.archive else None
    shuffled = splits.assign_splits(row, arrays.images[order], arrays.labels[order], test)
    assert (shuffled == arrays.splits[order]).all()


def test_every_image_that_can_be_seen_differs_from_the_others(arrays) -> None:
    assert len(set(images.image_digests(arrays.images))) == len(arrays.images)


def digests(arrays, split) -> set[str]:
    return set(images.image_digests(arrays.part(split)[0]))


def test_a_limit_takes_exactly_that_many_stratified_and_inside_the_larger(row, arrays) -> None:
    small = splits.choose(row, arrays, DatasetChoice(name=row.name, limit=300))
    large = splits.choose(row, arrays, DatasetChoice(name=row.name, limit=600))
    for part, limit in ((small, 300), (large, 600)):
        counts = part.counts()
        assert counts["train"] + counts["val"] == limit
        # A fifth, but never less than one image of a class in gate and in test.
        assert counts["gate"] + counts["test"] == max(limit // 5, 2 * len(row.class_names))
        for split in SPLITS:
            sizes = np.bincount(part.part(split)[1], minlength=len(row.class_names))
            assert sizes.min() >= 1
            whole = np.bincount(arrays.part(split)[1], minlength=len(row.class_names))
            assert np.abs(sizes - whole * counts[split] / whole.sum()).max() <= 1.5
            assert digests(part, split) <= digests(arrays, split)
    assert all(digests(small, split) <= digests(large, split) for split in SPLITS)
    assert len({small.digest(), large.digest(), arrays.digest()}) == 3


def test_per_class_thins_train_alone(row, arrays) -> None:
    part = splits.choose(row, arrays, DatasetChoice(name=row.name, per_class=10))
    assert (np.bincount(part.part("train")[1]) == 10).all()
    assert all(digests(part, split) == digests(arrays, split) for split in SPLITS[1:])


@pytest.mark.parametrize("choice", [{"limit": 10}, {"limit": 100_000}, {"per_class": 5000}], ids=str)
def test_more_than_there_is_or_too_little_is_refused_with_the_bounds(row, arrays, choice) -> None:
    with pytest.raises(RequestError, match="Choose"):
        splits.choose(row, arrays, DatasetChoice(name=row.name, **choice))


def test_saved_is_loaded(row, arrays, store: Store, tmp_path) -> None:
    ref = published.save(store, row, arrays)
    assert published.save(store, row, arrays) == ref
    loaded = published.load(fetch(store, ref.key, tmp_path / "cache"))
    assert loaded.digest() == arrays.digest() == ref.digest
    assert loaded.class_names == arrays.class_names


def test_an_interrupted_publish_is_refused_and_completed_by_the_next(
    patches, store: Store, tmp_path, monkeypatch
) -> None:
    create = type(store).create

    def killed(store: Store, key: str, content: bytes) -> None:
        if key.endswith("manifest.json"):
            raise KeyboardInterrupt
        create(store, key, content)

    monkeypatch.setattr(type(store), "create", killed)
    with pytest.raises(KeyboardInterrupt):
        published.save(store, PATCHES, patches)
    monkeypatch.undo()
    key = f"datasets/patches/{patches.digest()}"
    assert store.keys(key)
    with pytest.raises(Vgg16Error, match="interrupted"):
        fetch(store, key, tmp_path / "cache")
    published.save(store, PATCHES, patches)
    assert published.load(fetch(store, key, tmp_path / "cache")).digest() == patches.digest()


@pytest.mark.parametrize("choice", [{}, {"limit": 300}, {"per_class": 5}], ids=str)
def test_an_image_whose_label_is_no_class_stays_for_validation_to_meet(row, arrays, choice) -> None:
    labels = arrays.labels.copy()
    labels[[3, 70]] = 255, len(row.class_names)
    test = arrays.splits == SPLITS.index("test") if row.archive else None
    broken = images.Arrays(
        arrays.images, labels, splits.assign_splits(row, arrays.images, labels, test), arrays.class_names
    )
    part = splits.choose(row, broken, DatasetChoice(name=row.name, **choice))
    assert sorted(part.labels[part.labels >= len(row.class_names)]) == [len(row.class_names), 255]


def test_a_name_stands_for_what_was_remembered_last_while_it_is_whole(patches, store: Store, tmp_path) -> None:
    assert published.recall(store, "patches") is None
    ref = published.save(store, PATCHES, patches, tmp_path)
    for source in ("first", "second"):
        fetched = Fetched(dataset=ref, source=source, sha256="0" * 64, at="now")
        published.remember(store, fetched, tmp_path)
        assert published.recall(store, "patches") == fetched
    for damage in (b"", b"{", b"[]", b'{"dataset": 1}', b"\xff"):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(damage)
        store.upload(damaged, "datasets/patches/current.json")
        assert published.recall(store, "patches") is None
    published.remember(
        store, Fetched(dataset=ref.model_copy(update={"key": "gone"}), source="", sha256="", at=""), tmp_path
    )
    assert published.recall(store, "patches") is None


@given(st.integers(0, 300), st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_allocation_divides_the_total_within_the_bounds(total: int, sizes: list[int]) -> None:
    array = np.array(sizes)
    counts = splits.allocate(total, array)
    assert (counts <= array).all()
    assert (counts >= np.minimum(array, 1)).all()
    assert counts.sum() == min(max(total, (array > 0).sum()), array.sum())


@given(st.integers(1, 50), st.lists(st.integers(50, 400), min_size=1, max_size=12))
def test_allocation_keeps_the_proportions(share: int, sizes: list[int]) -> None:
    array = np.array(sizes)
    total = max(int(array.sum() * share / 50), len(sizes))
    counts = splits.allocate(total, array)
    assert np.abs(counts - total * array / array.sum()).max() <= 1 + len(sizes)
    assert counts.sum() == total


def test_a_published_dataset_carries_its_row_and_a_shipped_one_is_what_this_version_says(patches, store: Store) -> None:
    ref = published.save(store, PATCHES, patches)
    assert published.row(store, ref) == PATCHES
    digits = SHIPPED.datasets["digits"]
    older = digits.model_copy(update={"description": "as an earlier version had it"})
    assert published.row(store, published.save(store, older, patches)) == digits
    store.delete(f"{ref.key}/dataset.json")
    with pytest.raises(Vgg16Error, match=r"says nothing of patches"):
        published.row(store, ref)
