"""A dataset's archive file becomes its records. Nothing is unpacked to disk: the files that a dataset needs are read
out of the archive as they come by."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgg16.config import Archive, Dataset
from vgg16.errors import Vgg16Error

SIDE = 32
PIXELS = SIDE * SIDE * 3


def read_records(
    dataset: Dataset, archive: Archive, path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Images uint8 [n, 32, 32, 3], labels int64 [n], and which of them are the official test images, bool [n].

    Raises Vgg16Error for an archive that is damaged or lacks a file.
    """
    wanted = [*archive.train, *archive.test]
    found: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.removeprefix(f"{archive.folder}/")
            file = tar.extractfile(member) if name in wanted else None
            if file:
                found[name] = file.read()
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Vgg16Error(f"{path} has no {', '.join(missing)}.", f"It should be {archive.addresses[0]}")
    length = len(archive.names) + PIXELS
    parts = [np.frombuffer(found[name], np.uint8).reshape(-1, length) for name in wanted]
    records = np.concatenate(parts)
    test = np.repeat([name in archive.test for name in wanted], [len(part) for part in parts])
    planes = records[:, len(archive.names) :].reshape(-1, 3, SIDE, SIDE)
    # The class is the last label byte; a superclass comes before it.
    return planes.transpose(0, 2, 3, 1).copy(), records[:, len(archive.names) - 1].astype(np.int64), test
