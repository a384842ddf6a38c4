"""Entries of a user's own datasets become rows, and each has the recipes' experiments."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from vgg16.config import expectation_entries
from vgg16.config.entries import Mistake, MistakesError, row, table
from vgg16.config.lines import KeyPath
from vgg16.config.types import Dataset, Expectation, Fit, Framing, Frozen, NearDuplicatesIn, Profile, SmallClasses

# The names of registered models, of folders in the store and of objects in S3 are made of them.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# Night photographs are dark, and a few stand twice.
TOLERATED = {"exposure": 0.05, "few_copies": 0.02, "contrast": 0.01, "no_blank_image": 0.01}


class DatasetEntry(Frozen):
    """A dataset of picture files in a file."""

    source: Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)]
    """A folder of class folders, a zip or tar archive of one, s3://bucket/prefix, a table (CSV or Parquet) of path and
    label, or a list of them; a relative path starts at the file."""
    description: str = ""
    """One line for people."""
    image_size: int = Field(default=128, ge=16, le=512)
    """Pixels of the side of the square that models see, unless an experiment asks for another."""
    fit: Fit = "crop"
    """How a picture becomes a square: its middle is cut out, or all of it is shown between black bars (pad)."""
    largest_side: int | None = Field(default=None, ge=64, le=16384)
    """A picture with a longer side, in pixels, is reduced to it and kept so; without it files are kept as they are."""
    floor: float = Field(default=0.5, ge=0, le=1)
    """Top-1 that the first version must surely reach: more than the share of the largest class."""
    classes: dict[str, str] = Field(default_factory=dict)
    """Class folders by another name; two of one name are merged, "" leaves one out."""
    small_classes: SmallClasses = "refuse"
    """A class with fewer than 7 pictures: refuse the dataset, or let it learn from them and not be judged on them."""
    near_duplicates: NearDuplicatesIn = "together"
    """Resaved, mirrored, shifted or cropped copies of a picture: in its split, or divided over splits as all are."""
    unreadable: float = Field(default=0.05, ge=0, le=1)
    """The share of the picture files that may be broken, and are left out; with more of them nothing is trained."""
    typical: Profile | None = None
    """What the images are like: measured on the first version that meets its expectations, and written here; later
    versions are held against it. Without the table the next version is measured; an empty one holds none against it."""
    expectations: tuple[Expectation, ...] = ()
    """Expectations of your own, in Great Expectations' words, beside those that every dataset has."""


def dataset(name: str, entry: Any, recipes: tuple[str, ...]) -> Dataset:
    """The row of an entry; its classes are known when its pictures are read. Raises MistakesError."""
    path: KeyPath = ("datasets", name)
    if not NAME.fullmatch(name):
        hint = "Names are up to 63 of a to z, 0 to 9, _ and -, and begin with a letter or digit."
        raise MistakesError([Mistake(path=path, text=f"{name!r} cannot be a dataset's name.", suggestion=hint)])
    fields = row(DatasetEntry, table(entry, path), path)
    sources = (fields.source,) if isinstance(fields.source, str) else fields.source
    expectation_entries.check(fields.expectations, (*path, "expectations"))
    profile = fields.typical or Profile()
    return Dataset(
        name=name,
        description=fields.description or f"pictures of {', '.join(sources)}",
        image_size=fields.image_size,
        framing=Framing(fit=fields.fit, largest_side=fields.largest_side),
        source=sources,
        classes=fields.classes,
        small_classes=fields.small_classes,
        near_duplicates=fields.near_duplicates,
        floors=dict.fromkeys(recipes, fields.floor),
        typical=profile.measures,
        measured_on=profile.images,
        tolerated=TOLERATED | {"readable_files": fields.unreadable},
        imbalance=None,
        expectations=fields.expectations,
    )
