"""What a person should look at in a source, though nothing is wrong with it: a word on each."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator

from vgg16.data.sources.places.place import File

# In one folder; file managers and backups become slow before.
CROWDED = 100_000
_JOINERS = "\u200c\u200d"
# As `shown` shows a byte that is no UTF-8.
_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")


def twins(labels: Iterable[str]) -> Iterator[str]:
    """A word on classes that look alike, and on those with signs that nobody sees."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        seen = "".join(sign for sign in unicodedata.normalize("NFKC", label) if not _is_unseen(sign))
        alike[" ".join(seen.casefold().split())].append(label)
        # Some scripts, and pictures of several signs, are written with the two joiners.
        if label != label.strip() or any(_is_unseen(sign) for sign in label if sign not in _JOINERS):
            yield f"the name of the class {json.dumps(label)} has signs that nobody sees"
    for same in alike.values():
        if len(same) > 1:
            one, other = map(json.dumps, (same[0], same[-1]))
            yield (
                f"{' and '.join(same)} are {len(same)} classes whose names hardly differ: if they are one, write "
                f"{other} = {one} below the entry's classes"
            )


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf")


def unmatched(wanted: Iterable[str], names: Collection[str]) -> Iterator[str]:
    """A word on each class that the entry wants to rename or leave out, and that has none of the source's names."""
    for name in wanted:
        if name not in names:
            yield f"the entry's classes name {name}, and the source has no class of that name"


def names(files: Iterable[File]) -> Iterator[str]:
    """A word on names that are shown otherwise than they are stored."""
    odd = [file.path for file in files if _BYTE.search(file.path)]
    if odd:
        yield f"{len(odd)} names are not in UTF-8, and are shown by their bytes, as in {odd[0]}"


def crowds(files: Iterable[File]) -> Iterator[str]:
    """A word on each folder with very many files."""
    counts = Counter(file.path.rpartition("/")[0] for file in files)
    for folder, count in counts.items():
        if count > CROWDED:
            yield f"{folder or 'the source'} holds {count:,} files in one folder, which many tools are slow with"
