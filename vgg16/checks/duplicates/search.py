"""The near-duplicates among images: likely partners by few numbers, each pair verified, and the threshold from the
images themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vgg16.checks.duplicates import verify
from vgg16.checks.duplicates.describe import Descriptions, Floats, describe
from vgg16.data.images import Pixels, image_digests

Rows = NDArray[np.intp]

# Likely partners of an image: by its spectrum, and by its thumbnail as it is and mirrored.
BY_SPECTRUM = 8
BY_THUMBNAIL = 3
# Numbers that a spectrum is reduced to.
COMPONENTS = 28
# Images that are compared with all others at once.
BLOCK = 500
# Images that are turned upside down, at most: what chance finds for them it finds for others.
DECOYS = 10_000
# Of the pairs, those that may be copies by chance alone.
FALSE_SHARE = 0.01
# Of all images these find a partner by chance at most, one at least: many copies do not excuse many false ones.
MOST_FALSE = 0.001
# The threshold where the images are too few to tell: that of CIFAR-100, which 0.1 % of its decoys pass.
MEASURED = 0.876


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of rows, int [p, 2], in ascending order, of which images are copies of one another, and how alike they are
    [p], from `threshold` to 1. Equal images are pairs with the first of them, which stands for all in other pairs:
    `first_equal`, int [n], is its row. Of `decoys`, which are copies of none, `false` have a partner by chance.
    `measured` says whether the threshold comes from these images; else it is that of CIFAR-100."""

    pairs: Rows
    similarities: Floats
    first_equal: Rows
    threshold: float
    measured: bool
    decoys: int
    false: int

    def rows(self, rows: Rows) -> NearDuplicates:
        """Those among a part of the images, of these rows in ascending order, as they were found among all."""
        equal = self.first_equal[self.pairs[:, 1]] == self.pairs[:, 0]
        # Of equal images the first that is left stands for all.
        first = np.full(len(self.first_equal), -1)
        first[self.first_equal[rows[::-1]]] = np.arange(len(rows))[::-1]
        pairs, similarities = np.sort(first[self.pairs[~equal]], axis=1), self.similarities[~equal]
        there = pairs[:, 0] >= 0
        first_equal = first[self.first_equal[rows]]
        seconds = np.flatnonzero(first_equal != np.arange(len(rows)))
        pairs = np.concatenate([pairs[there], np.stack([first_equal[seconds], seconds], axis=1)])
        similarities = np.concatenate([similarities[there], np.ones(len(seconds), np.float32)])
        order = np.lexsort(pairs.T[::-1])
        return replace(self, pairs=pairs[order], similarities=similarities[order], first_equal=first_equal)

    def groups(self) -> list[Rows]:
        """The rows of each group of copies, the first member first: each other one is a copy of it, so that no chain of
        small changes joins what is not alike. An image is in one group."""
        partners: dict[int, list[int]] = {}
        for first, second in self.pairs.tolist():
            partners.setdefault(first, []).append(second)
            if self.first_equal[second] == second:  # for others the first of the equal ones stands
                partners.setdefault(second, []).append(first)
        equal = {row: others for row, others in partners.items() if self.first_equal[row] == row}
        taken: set[int] = set()
        groups = []
        for row in sorted(equal):
            if row in taken:
                continue
            near = [other for other in equal[row] if other not in taken]
            # The equal ones of those that are near.
            near += [copy for other in near for copy in equal.get(other, ()) if self.first_equal[copy] == other]
            members = sorted({*near} - {row})
            taken.update((row, *members))
            if members:
                groups.append(np.array([row, *members]))
        return groups


def find(images: Pixels, false_share: float = FALSE_SHARE) -> NearDuplicates:
    """The near-duplicates among images, uint8 [n, h, w, 3], of which by chance at most that share is none."""
    first_equal = _first_equal(images)
    distinct = np.flatnonzero(first_equal == np.arange(len(images)))
    equal = np.flatnonzero(first_equal != np.arange(len(images)))
    pairs, alike, best = np.empty((0, 2), np.intp), np.empty(0, np.float32), np.zeros(len(images), np.float32)
    by_chance = np.zeros(0, np.float32)
    if len(distinct) > 1:
        described = describe(images)
        if len(equal):  # else it would be a copy of all
            described = described.rows(distinct)
        index = Index(described)
        pairs, alike = index.pairs()
        chosen = np.linspace(0, len(distinct) - 1, min(len(distinct), DECOYS)).astype(np.intp)
        by_chance = index.best(described.rows(chosen).upside_down(), chosen)
        pairs = distinct[pairs]
    pairs = np.concatenate([pairs, np.stack([first_equal[equal], equal], axis=1)])
    alike = np.concatenate([alike, np.ones(len(equal), np.float32)])
    np.maximum.at(best, pairs.reshape(-1), np.repeat(alike, 2))
    threshold = choose_threshold(best, by_chance, false_share) if len(by_chance) else None
    least = MEASURED if threshold is None else threshold
    kept = np.flatnonzero(alike >= least)
    kept = kept[np.lexsort(pairs[kept].T[::-1])]
    false = int((by_chance >= least).sum())
    return NearDuplicates(pairs[kept], alike[kept], first_equal, least, threshold is not None, len(by_chance), false)


def _first_equal(images: Pixels) -> Rows:
    """For each image the row of the first one with the same pixels, int [n]."""
    firsts: dict[str, int] = {}
    rows = (firsts.setdefault(digest, row) for row, digest in enumerate(image_digests(images)))
    return np.fromiter(rows, np.intp, len(images))


def choose_threshold(best: Floats, by_chance: Floats, false_share: float) -> float | None:
    """The least similarity from which on by chance at most that share of the images with a copy have none, and of all
    images at most MOST_FALSE: `best` [n] are the images' own, `by_chance` [m] those of decoys. None where fewer images
    than one over the share have a copy: they cannot tell it.

    Target-decoy estimation, as Elias and Gygi (2007) do for spectra of peptides.
    """
    values = np.unique(best)
    copies = len(best) - np.searchsorted(np.sort(best), values)
    false = (len(by_chance) - np.searchsorted(np.sort(by_chance), values)) * len(best) / len(by_chance)
    few = false <= np.minimum(false_share * copies, max(MOST_FALSE * len(best), 1))
    enough = few & (copies >= 1 / false_share)
    return float(values[enough.argmax()]) if enough.any() else None


class Index:
    """Images in which partners are sought."""

    def __init__(self, images: Descriptions) -> None:
        self._images = images
        self._outlines = verify.outlines(images.gray)
        self._mean, self._whitening = _whitening(images.spectra)
        self._spectra = (images.spectra - self._mean) @ self._whitening
        self._thumbnails = images.thumbnails.reshape(len(images.thumbnails), -1)

    def pairs(self) -> tuple[Rows, Floats]:
        """Every likely pair, int [p, 2] in ascending order, and how alike it is [p]."""
        blocks = []
        for start in range(0, len(self._spectra), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self._spectra)))
            partners, alike = self._compare(self._images.rows(rows), rows)
            own = np.broadcast_to(rows[:, None], partners.shape)
            blocks.append((np.minimum(own, partners).ravel(), np.maximum(own, partners).ravel(), alike.ravel()))
        first, second, alike = (np.concatenate(part) for part in zip(*blocks, strict=True))
        # A pair that both have found is more alike in one direction: a part of the one is looked for in the other.
        order = np.lexsort((-alike, second, first))
        first, second, alike = first[order], second[order], alike[order]
        once = np.ones(len(first), bool)
        once[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        return np.stack([first, second], axis=1)[once], alike[once]

    def best(self, images: Descriptions, itself: Rows) -> Floats:
        """How alike the nearest partner of each image is, other than the row that is the image itself."""
        parts = [slice(start, start + BLOCK) for start in range(0, len(itself), BLOCK)]
        return np.concatenate([self._compare(images.rows(part), itself[part])[1].max(axis=1) for part in parts])

    def _compare(self, images: Descriptions, itself: Rows) -> tuple[Rows, Floats]:
        """Likely partners of some images, int [n, k], and how alike they are [n, k]."""
        partners = self._likely(images, itself)
        sought = verify.templates(images.gray)
        alike = [
            verify.similarities(sought, self._outlines.rows(rows), images.chroma, self._images.chroma[rows])
            for rows in partners.T
        ]
        return partners, np.stack(alike, axis=1)

    def _likely(self, images: Descriptions, itself: Rows) -> Rows:
        spectra = (images.spectra - self._mean) @ self._whitening
        mirrored = images.thumbnails[:, :, ::-1]
        thumbnails = (view.reshape(len(itself), -1) for view in (images.thumbnails, mirrored))
        return np.concatenate(
            [
                _nearest(spectra, self._spectra, itself, BY_SPECTRUM),
                *(_nearest(view, self._thumbnails, itself, BY_THUMBNAIL) for view in thumbnails),
            ],
            axis=1,
        )


def _whitening(spectra: Floats) -> tuple[Floats, Floats]:
    """The mean of spectra [n, d], and the matrix [d, k] to their principal components, each of variance 1."""
    mean = spectra.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(spectra - mean, rowvar=False))
    largest = [at for at in np.argsort(-variances)[:COMPONENTS] if variances[at] > 1e-6 * variances.max() > 0]
    if not largest:  # all images are alike
        return mean, np.zeros((spectra.shape[1], 1), np.float32)
    return mean, (directions[:, largest] / np.sqrt(variances[largest])).astype(np.float32)


def _nearest(sought: Floats, values: Floats, itself: Rows, count: int) -> Rows:
    """The rows of the nearest values [n, d] of each that is sought [m, d], int [m, count], but itself."""
    distances = (values**2).sum(axis=1) - 2 * (sought @ values.T)
    distances[np.arange(len(itself)), itself] = np.inf
    count = min(count, len(values) - 1)
    nearest: Rows = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return nearest
