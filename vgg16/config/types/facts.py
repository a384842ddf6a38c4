"""What is known of each image of a dataset: the columns that expectations are about."""

from __future__ import annotations

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

FACTS = (
    *("split", "label", "shape", "dtype", "min", "max", "mean", "std"),
    *("digest", "cell", "copies", "splits", "labels", "imbalance"),
    *MEASURES,
)
