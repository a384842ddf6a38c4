"""Weights files in the store, named by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgg16.errors import Vgg16Error
from vgg16.storage import publishing, weights
from vgg16.storage.store import Store


def test_a_weights_file_is_the_same_request_wherever_it_lay_and_is_read_where_it_never_was(
    store: Store, tmp_path: Path
) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"{place}.h5").write_bytes(b"weights")
    address = weights.keep(store, tmp_path / "here" / "here.h5")
    assert weights.keep(store, tmp_path / "there" / "there.h5") == address
    assert address.startswith("weights:")
    (tmp_path / "here" / "here.h5").unlink()
    with weights.kept(store, address, tmp_path / "cache") as kept:
        assert kept.suffix == ".h5"
        assert kept.read_bytes() == b"weights"
        assert not kept.is_symlink()
        # Whoever writes to the store, or to what was fetched from it, changes nothing any more.
        for place in (tmp_path / "store", tmp_path / "cache"):
            for file in (path for path in place.rglob("*.h5") if path.is_file()):
                file.write_bytes(b"others")
        assert kept.read_bytes() == b"weights"
        assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert not kept.exists()


def test_weights_under_the_name_of_others_are_refused_whatever_their_manifest_says(
    store: Store, tmp_path: Path
) -> None:
    file, folder = tmp_path / "mine.h5", tmp_path / "others"
    file.write_bytes(b"weights")
    name = weights.keep(store, file).removeprefix("weights:")
    folder.mkdir()
    (folder / name).write_bytes(b"others")
    publishing.publish(store, f"weights/{name}", folder, anew=True)
    with pytest.raises(Vgg16Error, match="holds other weights"), weights.kept(store, f"weights:{name}", tmp_path / "c"):
        pass


def test_weights_that_the_store_does_not_have_are_told(store: Store, tmp_path: Path) -> None:
    for name, told in ((f"{'0' * 64}.h5", "is not whole"), ("../x.h5", "expected bare names"), ("", "bare names")):
        with pytest.raises(Vgg16Error, match=told), weights.kept(store, f"weights:{name}", tmp_path / "cache"):
            pass
