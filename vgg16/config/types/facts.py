"""What is known of each image of a dataset, and what may be expected of it."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from vgg16.config.types.frozen import Frozen

# What is measured in each image's pixels, 0 to 255, and averaged over stretches of the dataset.
MEASURES = {
    "mean_intensity": "intensity",
    "red_over_green": "red less green",
    "green_over_blue": "green less blue",
    "channel_difference": "difference between the channels of a pixel",
    "horizontal_gradient": "difference between horizontal neighbours",
    "vertical_gradient": "difference between vertical neighbours",
    "label_signal": "share of a thumbnail's variance that the labels explain",
}

TEXTS = ("split", "label", "shape", "dtype", "digest", "cell")

# Of an image and its near-duplicates; known where those were sought.
NEAR = ("near_copies", "near_splits", "near_labels")

FACTS = (
    *("split", "label", "shape", "dtype", "min", "max", "mean", "std"),
    *("digest", "cell", "copies", "splits", "labels", "imbalance"),
    *NEAR,
    *MEASURES,
)

# The mean over all images and the standard deviation among them.
Typical = tuple[float, Annotated[float, Field(ge=0)]]


class Profile(Frozen):
    """What the images of a dataset are like: of each measure the mean over all images and the standard deviation among
    them. A measure that it leaves out is not held against it."""

    images: int = Field(default=0, ge=0)
    """How many images it was measured on; the fewer, the wider is what later versions may have."""
    mean_intensity: Typical | None = None
    """Intensity of the pixels, 0 to 255."""
    red_over_green: Typical | None = None
    """Red less green, in the same levels."""
    green_over_blue: Typical | None = None
    """Green less blue, in the same levels."""
    channel_difference: Typical | None = None
    """Difference between the channels of a pixel, in the same levels."""
    horizontal_gradient: Typical | None = None
    """Difference between horizontal neighbours, in the same levels."""
    vertical_gradient: Typical | None = None
    """Difference between vertical neighbours, in the same levels."""
    label_signal: Typical | None = None
    """Share of a thumbnail's variance that the labels explain, at most 1."""

    @model_validator(mode="after")
    def _says_on_how_many(self) -> Profile:
        if self.measures and not self.images:
            raise ValueError("expected images, the number that it was measured on, beside the measures")
        return self

    @property
    def measures(self) -> dict[str, tuple[float, float]]:
        """The measures that it has, in the order of MEASURES."""
        values: dict[str, Any] = self.model_dump()
        return {name: values[name] for name in MEASURES if values[name] is not None}


class ExpectationKind(NamedTuple):
    """A type of Great Expectations: what it takes beside a column, whether of numbers alone, and its sentence."""

    takes: tuple[str, ...]
    numbers: bool
    sentence: str


_RANGE, _SET = ("min_value", "max_value"), ("value_set",)
EXPECTATIONS = {
    "ExpectColumnValuesToBeBetween": ExpectationKind((*_RANGE, "mostly"), True, "each {column}"),
    "ExpectColumnValuesToBeInSet": ExpectationKind((*_SET, "mostly"), False, "each {column} one of"),
    "ExpectColumnValuesToNotBeInSet": ExpectationKind((*_SET, "mostly"), False, "no {column} one of"),
    "ExpectColumnMeanToBeBetween": ExpectationKind(_RANGE, True, "mean of {column}"),
    "ExpectColumnMedianToBeBetween": ExpectationKind(_RANGE, True, "median of {column}"),
    "ExpectColumnStdevToBeBetween": ExpectationKind(_RANGE, True, "standard deviation of {column}"),
    "ExpectColumnMinToBeBetween": ExpectationKind(_RANGE, True, "least {column}"),
    "ExpectColumnMaxToBeBetween": ExpectationKind(_RANGE, True, "largest {column}"),
    "ExpectColumnUniqueValueCountToBeBetween": ExpectationKind(_RANGE, False, "different values of {column}"),
    "ExpectColumnDistinctValuesToContainSet": ExpectationKind(_SET, False, "{column} has all of"),
    "ExpectColumnDistinctValuesToBeInSet": ExpectationKind(_SET, False, "{column} has none but"),
    "ExpectTableRowCountToBeBetween": ExpectationKind(_RANGE, False, "images"),
}


class Expectation(Frozen):
    """An expectation of a user's own, in Great Expectations' own words; `config.expectation_entries` checks one."""

    type: str = Field(json_schema_extra={"enum": list(EXPECTATIONS)})
    """The class of Great Expectations, such as ExpectColumnMeanToBeBetween."""
    column: str = Field(default="", json_schema_extra={"enum": list(FACTS)})
    """The fact that it is about, such as mean, std, copies or horizontal_gradient; none for those of the table."""
    min_value: float | None = None
    """The least value, or none."""
    max_value: float | None = None
    """The largest value, or none."""
    value_set: tuple[str | float, ...] | None = None
    """The values of a set."""
    mostly: float = Field(default=1, gt=0, le=1)
    """The share of the images that must meet it."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What Great Expectations' class takes."""
        return self.model_dump(mode="json", exclude={"type"}, exclude_defaults=True)

    @property
    def sentence(self) -> str:
        """What it expects, in words."""
        subject = EXPECTATIONS[self.type].sentence.format(column=self.column)
        if self.value_set is not None:
            return f"{subject} {', '.join(map(_text, self.value_set))}{self._share()}"
        ends = ((self.min_value, "at least"), (self.max_value, "at most"))
        bounds = " and ".join(f"{words} {value:g}" for value, words in ends if value is not None)
        return f"{subject} {bounds}{self._share()}"

    def _share(self) -> str:
        return f", in {100 * self.mostly:g} % of the images" if self.mostly < 1 else ""


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
