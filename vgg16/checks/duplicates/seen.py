"""Which images a network has seen without having learned them: near-duplicates of those that it has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.duplicates.search import NearDuplicates


def copies_of(duplicates: NearDuplicates, learned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each image, bool [n], is equal to one that was learned, bool [n], or a near-duplicate of it; those that
    were learned are, too. Pairs are of the first of equal images, so what holds for it holds for all of them. A copy of
    a copy is none: it may be as far from the image as any other."""
    first = duplicates.first_equal
    of_first = np.zeros(len(first), bool)
    of_first[first[learned]] = True
    ours, theirs = first[duplicates.pairs].T
    seen = of_first.copy()
    seen[ours[of_first[theirs]]] = True
    seen[theirs[of_first[ours]]] = True
    copies: NDArray[np.bool_] = seen[first]
    return copies
