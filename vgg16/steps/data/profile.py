"""What a version of an own dataset is like, for later versions to be held against."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.checks.profile import measured
from vgg16.config.types import Profile
from vgg16.records import DatasetRef
from vgg16.workplace.workplace import Workplace


def profile(ref: DatasetRef, workplace: Workplace) -> Profile:
    """Of a dataset that was validated: from the facts that are kept of it."""
    kept = workplace.store.local_path(ref.facts_key)
    if kept:
        return measured(kept)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        copy = Path(folder, "facts.parquet")
        workplace.store.download(ref.facts_key, copy)
        return measured(copy)
