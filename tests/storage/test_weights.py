"""Weights files in the store, named by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgg16.errors import Vgg16Error
from vgg16.storage import weights
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
    kept = weights.kept(store, address, tmp_path / "cache")
    assert kept.suffix == ".h5"
    assert kept.read_bytes() == b"weights"
    assert not kept.is_symlink()


def test_weights_that_the_store_does_not_have_are_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Vgg16Error, match="is not whole"):
        weights.kept(store, f"weights:{'0' * 64}.h5", tmp_path / "cache")
