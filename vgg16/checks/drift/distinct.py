"""Near-equal pictures, such as a burst of one camera, count once: three equal ones for each scene would be taken for
three times the evidence."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vgg16.checks.drift.facts import Rows
from vgg16.checks.duplicates.describe import Descriptions
from vgg16.checks.duplicates.search import MEASURED, Index


def distinct(images: Descriptions) -> Rows:
    """The rows, ascending, of the first image of each group of near-equal ones, by the search for near-duplicates of
    `vgg16 data check`. What is near-equal by a chain of others is of one group: a burst's last frame may be far from
    its first."""
    count = len(images.gray)
    if count < 2:
        return np.arange(count)
    pairs, alike = Index(images).pairs()
    first, second = pairs[alike >= MEASURED].T
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), (count, count))
    _, group = connected_components(graph, directed=False)
    _, rows = np.unique(group, return_index=True)
    return np.sort(rows)
