"""Datasets: where images come from, what they are like, and how much of them is asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vgg16.config.types.facts import Expectation
from vgg16.config.types.frozen import Frozen, OrNone, Setting

Split = Literal["train", "val", "gate", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "gate", "test")

SmallClasses = Literal["refuse", "learn"]

NearDuplicatesIn = Literal["together", "apart"]

Fit = Literal["crop", "pad"]


class Archive(Frozen):
    """A dataset's official archive: a tar file of records, each its label bytes, then the planes R, G and B row by row.

    `addresses` are tried in their order; `bytes` and `sha256` are those of the official file. A copy of it may hold
    fewer than `records`, not more. `train` and `test` are the files of the official parts inside `folder`; `names`
    lists for each label byte of a record, in their order, the file of its names; the last byte is the class.
    """

    addresses: tuple[str, ...]
    bytes: int
    sha256: str
    records: int
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: tuple[str, ...]


class Framing(Frozen):
    """How a picture file becomes the square that a model sees: `crop` cuts out the middle square, `pad` shows the whole
    picture between black bars. A picture with a longer side than `largest_side` in pixels is first reduced to it."""

    fit: Fit = "crop"
    largest_side: int | None = None


class Reviewed(Frozen):
    """How many images of a version people have dropped and given another class. Honoured were the decisions of the
    first `files` files of them in the store, whose `sha256`, one after the other, that is; "" for none."""

    dropped: int = 0
    relabelled: int = 0
    files: int = 0
    sha256: str = ""


class Dataset(Frozen):
    """A named source of images: an `archive` of records, or a user's own `source` of picture files: folders, archives,
    tables or S3 prefixes, whose class folders `classes` renames, merges or, by "", leaves out; without both they are
    made by this machine.

    `superclasses` are groups of the classes, each by its name; `class_names` may be left out beside them, and are then
    theirs, sorted. A dataset with `floors` is one of photographs, which has the experiments `<dataset>-<recipe>`: by
    the recipe's name the top-1 that the first version of it must reach. `split_seed` belongs to the dataset, so that no
    experiment can move an image from `test` to `train`; where the archive has an official test part, that is `test`,
    whatever `test_fraction` says.

    What its images are like: `typical` holds for each of MEASURES the mean over all images and the
    standard deviation among them, from which follows how far chance moves the mean of fewer (a larger one where
    neighbours in the source resemble each other); `measured_on` is how many images they come from. `tolerated` names
    expectations that a share of the untouched images breaks; what it does not name allows none. `imbalance`: how far a
    class may be from its even share of a split, as a part of that; None for anything. `expectations` are a user's own,
    beside ours. Of an own dataset's `files` those of pictures were `unread_files` broken, and left out.

    Of classes with too few images for every split `small_classes` says whether the dataset is refused for them, or they
    learn and do not judge; `small` are those of this version that so need not be in every split. `near_duplicates` says
    whether copies of a picture are put into its split, or divided as all pictures are. `reviewed` is what people
    changed in this version.
    """

    name: str
    description: str
    class_names: tuple[str, ...] = ()
    superclasses: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    image_size: int = 128
    framing: Framing = Framing()
    typical: dict[str, tuple[float, float]] = Field(default_factory=dict)
    measured_on: int = 0
    tolerated: dict[str, float] = Field(default_factory=dict)
    imbalance: float | None = 0.0
    expectations: tuple[Expectation, ...] = ()
    files: int = 0
    unread_files: int = 0
    floors: dict[str, float] = Field(default_factory=dict)
    archive: Archive | None = None
    source: tuple[str, ...] = ()
    classes: dict[str, str] = Field(default_factory=dict)
    small_classes: SmallClasses = "refuse"
    small: tuple[str, ...] = ()
    near_duplicates: NearDuplicatesIn = "together"
    reviewed: Reviewed = Reviewed()
    split_seed: int = 0
    val_fraction: float = 0.2
    gate_fraction: float = 0.1
    test_fraction: float = 0.2

    def input_side(self, image_size: int | None) -> int:
        """Pixels of the side that a model takes whose network sees `image_size`, None for the dataset's own: picture
        files are decoded as it sees them, other images are resized inside the model."""
        return (image_size or self.image_size) if self.source else self.image_size

    @property
    def place(self) -> str:
        """Where a user's own pictures come from, for people and to tell one source from another."""
        return ", ".join(self.source)

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, value: Any) -> Any:
        # Earlier versions wrote one, or "" for none.
        return tuple(filter(None, (value,))) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _classes_of_superclasses(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("class_names") or not values.get("superclasses"):
            return values
        return values | {"class_names": sorted(name for names in values["superclasses"].values() for name in names)}


class DatasetChoice(Setting):
    """Which dataset, and how much of it."""

    name: str
    """The dataset: one that `vgg16 list datasets` shows."""
    limit: Annotated[int | None, OrNone] = Field(default=None, ge=10, le=10**9)
    """So many images of train and val together and a fifth as many of gate and test together, stratified, with at least
    one of every class in each split; none for all."""
    per_class: Annotated[int | None, OrNone] = Field(default=None, ge=1, le=10**9)
    """So many training images of each class; val, gate and test stay whole; none for all."""
