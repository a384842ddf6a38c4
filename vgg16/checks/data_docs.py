"""The Data Docs: what was expected of a dataset, what was observed, and what its images look like."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image

from vgg16.checks.expectations import ExpectationResult
from vgg16.config.types import SPLITS, Dataset
from vgg16.data.images import Arrays, Images
from vgg16.records import DatasetRef

# A page with the pictures of more duplicates would take long to load.
COPIES_SHOWN = 100


def data_docs(
    dataset: Dataset, ref: DatasetRef, arrays: Arrays, table: pd.DataFrame, results: tuple[ExpectationResult, ...]
) -> str:
    """One HTML page that fetches nothing: the results, pictures of what broke a rule, the images that occur more than
    once, and samples of every class under its superclass."""
    counts = table.groupby(["label", "split"]).size().unstack(fill_value=0).reindex(columns=list(SPLITS), fill_value=0)
    samples = {
        name: _pictures(arrays.images, np.flatnonzero(arrays.labels == index)[:12])
        for index, name in enumerate(arrays.class_names)
    }
    page = Environment(loader=PackageLoader("vgg16.checks", ""), autoescape=True).get_template("data_docs.html")
    return page.render(
        ref=ref,
        ok=all(result.ok for result in results),
        results=[
            (result, _pictures(arrays.images, result.rows[:10]))
            for result in sorted(results, key=lambda result: result.ok)
        ],
        counts=list(counts.iterrows()),
        splits=SPLITS,
        statistics=table.groupby("split")[["mean", "std", "min", "max"]].mean().round(1).reindex(list(SPLITS)).dropna(),
        samples=samples,
        superclasses=dataset.superclasses or {"": dataset.class_names},
        copies=_copies(arrays.images, table),
        copied=int(table.loc[table["copies"] > 1, "digest"].nunique()),
    )


def _copies(images: Images, table: pd.DataFrame) -> list[tuple[str, list[str], bool, bool]]:
    """For the first COPIES_SHOWN images that occur more than once: their pictures side by side, split/label of each,
    whether they are in two splits, whether they have two labels. What is both comes first."""
    copied = table[table["copies"] > 1].sort_values(["splits", "labels"], ascending=False, kind="stable")
    groups = list(copied.groupby("digest", sort=False))[:COPIES_SHOWN]
    return [
        (
            _pictures(images, group.index[:4]),
            list(group["cell"][:4]),
            bool(group["splits"].iloc[0] > 1),
            bool(group["labels"].iloc[0] > 1),
        )
        for _, group in groups
    ]


def _pictures(images: Images, rows: Iterable[int]) -> str:
    """Some images side by side as a data URI, "" for none."""
    chosen = [images[row] for row in rows]
    if not chosen:
        return ""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(chosen, axis=1)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
