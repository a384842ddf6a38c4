"""Gate images that are newer than the champion, judged apart: pure functions of counts.

Where the world has moved, most gate images still show how it was, and a gain on the few new ones drowns in the luck of
all others. So alpha is shared: half of it asks for a challenger that is better on all images, half for one that is
better on the newer ones. The second must not have paid for that: on all images together it is proven to be at most the
accepted loss worse, and on the older ones it is not shown to be worse. That on the older ones alone no more than half a
point is lost, tens of thousands of them could prove of two equally good models, and a thousand cannot.

Either half is a test of its own, so both together err no oftener than alpha says. The two conditions can only turn a
challenger away, and so each of them has all of its level, however often a split has judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vgg16.config.types import GateRules
from vgg16.statistics import PairedComparison, mcnemar_p

# Of alpha, what is spent on all images where newer ones are judged apart; the rest is theirs.
WHOLE_SHARE = 0.5
# The chance that a loss of all that is accepted passes, and that of calling an equal challenger worse on older images.
OLDER_ALPHA = 0.05


def least_images(alpha: float) -> int:
    """So many images at least can show anything at this alpha: the p-value of as many wins and no loss is a half to
    their power."""
    return math.ceil(-math.log2(alpha))


@dataclass(frozen=True)
class Apart:
    """A challenger beside the champion on all gate images, and on the `newer` of them."""

    whole: PairedComparison
    newer: PairedComparison

    @property
    def older(self) -> PairedComparison:
        """On all others."""
        return PairedComparison(
            wins=self.whole.wins - self.newer.wins,
            losses=self.whole.losses - self.newer.losses,
            images=self.whole.images - self.newer.images,
        )

    @property
    def older_p(self) -> float:
        """The chance of at least so many losses on older images, were both equally good."""
        older = self.older
        return mcnemar_p(older.losses, older.wins)

    @property
    def least(self) -> float:
        """What the challenger gains on all images at the least, -1 to 1."""
        return self.whole.interval_at(1 - 2 * OLDER_ALPHA)[0]

    def passed(self, alpha: float, rules: GateRules) -> bool | None:
        """Whether it is better on the newer images, and on all and on the older ones not too much worse; None where
        more images could show it."""
        margin = rules.noninferiority_margin
        worse = self.older_p <= OLDER_ALPHA or self.whole.interval[1] < -margin
        if worse or self.newer.interval[1] < rules.min_gain:
            return False
        return True if self.newer.mcnemar_p <= alpha and self.least >= -margin else None
