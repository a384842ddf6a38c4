"""What a person calls an image: its path in the source, or how its digest begins; of two images `A+B`."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from vgg16.errors import RequestError

_DIGITS = re.compile(r"[0-9a-f]{8,64}")
# Among more paths than these the nearest are not looked for: it takes seconds.
_FEW = 20_000


class Names:
    """The images of a dataset: their sha256, an image as often as it is there, and by its path each that has one."""

    def __init__(self, digests: Iterable[str], paths: Mapping[str, str]) -> None:
        self._digests = sorted(digests)
        self._paths = paths

    def images(self, finding: str) -> tuple[str, ...]:
        """The sha256 of the image that is meant, or of the two in ascending order; none where nothing is known of it.
        Raises RequestError where several may be."""
        if image := self._image(finding):
            return (image,)
        pairs: set[tuple[str, ...]] = set()
        # A path may have a + too.
        for at in (match.start() for match in re.finditer(r"\+", finding)):
            pair = self._image(finding[:at]), self._image(finding[at + 1 :])
            if all(pair):
                pairs.add(tuple(sorted(pair)))
        if len(pairs) > 1:
            raise RequestError(f"{finding} may be {len(pairs)} pairs.", "Name both images by their digests.")
        found = pairs.pop() if pairs else ()
        if len(set(found)) == 1 and self._count(found[0]) == 1:
            raise RequestError(f"{finding} is one image twice.", "A pair is two images: A+B.")
        return found

    def _image(self, name: str) -> str:
        """The sha256 of an image, "" for none."""
        if name in self._paths:
            return self._paths[name]
        begins = name.lower()
        if not _DIGITS.fullmatch(begins):
            return ""
        start = bisect_left(self._digests, begins)
        meant = sorted({*self._digests[start : bisect_right(self._digests, f"{begins}g")]})
        if len(meant) > 1:
            listed = ", ".join(digest[: len(begins) + 4] for digest in meant[:3])
            raise RequestError(f"{name} is how {len(meant)} images begin: {listed}.", "Give more of the digits.")
        return meant[0] if meant else ""

    def _count(self, image: str) -> int:
        return bisect_right(self._digests, image) - bisect_left(self._digests, image)

    def near(self, finding: str) -> list[str]:
        """The paths that a finding may mean, at most three: those that are the end of it, or that it is the end of."""
        alike = [path for path in self._paths if finding.endswith(f"/{path}") or path.endswith(f"/{finding}")]
        if not alike and len(self._paths) <= _FEW:
            alike = difflib.get_close_matches(finding, self._paths, n=3)
        return alike[:3]
