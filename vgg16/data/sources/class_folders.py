"""The classes of pictures by the folders that they lie in, where a model's class names stand among these: for scoring,
which takes any tree of folders, and need not be told that they are labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from vgg16.data.sources.layout import SPLIT_FOLDERS, nfc


def labels_of(folders: Iterable[str], class_names: Collection[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """The label of what lies in each of these folders, "" for none; nothing where no folder is called like a class.
    `renamed` are the labels of folders of other names, "" for what is left out.

    A folder's label is the name of the highest one above it, or its own, that is a class. The others at the height
    where most classes lie are classes that the model does not know; splits are none.
    """
    parts_of = {folder: [nfc(part) for part in folder.split("/")] if folder else [] for folder in folders}
    heights: Counter[int] = Counter()
    labels: dict[str, str] = {}
    for folder, parts in parts_of.items():
        for height, part in enumerate(parts):
            label = renamed.get(part, part)
            if label in class_names:
                labels[folder] = label
                heights[height] += 1
                break
    if not labels:
        return {}
    height = min(heights, key=lambda one: (-heights[one], one))
    for folder, parts in parts_of.items():
        if folder not in labels:
            name = parts[height] if len(parts) > height else ""
            labels[folder] = "" if name.lower() in SPLIT_FOLDERS else renamed.get(name, name)
    return labels
