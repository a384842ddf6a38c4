"""Decisions in the store: a series of files that only grows, each whole or absent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import ValidationError

from vgg16.data.reviews.decisions import Decision, Review, Reviews
from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, Store

# So many reads at a time: boto3 holds ten connections open.
_READERS = 10


def load(store: Store, name: str, first: int | None = None, *, least: int = 0) -> Reviews:
    """All decisions on a dataset's images, or those of the `first` so many files. Raises Vgg16Error for a file that is
    missing or damaged; of at least `least` it is known that they were there."""
    pattern = re.compile(rf"{re.escape(_folder(name))}/(\d{{6,}})\.json")
    numbers = [int(match[1]) for key in store.keys(f"{_folder(name)}/") if (match := pattern.fullmatch(key))]
    count = max([*numbers, least]) if first is None else first
    keys = [_key(name, number) for number in range(1, count + 1)]
    parts, whole = [], hashlib.sha256()
    with ThreadPoolExecutor(_READERS) as readers:
        for number, content in enumerate(readers.map(store.read, keys), 1):
            parts.append(_read(content, name, number, f"{store.address}/{_key(name, number)}"))
            whole.update(content or b"")
    return Reviews(tuple(parts), whole.hexdigest() if parts else "")


def append(
    store: Store, name: str, by: str, decide: Callable[[Reviews], Sequence[Decision]]
) -> tuple[Sequence[Decision], Reviews]:
    """Store what is to `decide` on, knowing all that was decided before, in one file, and no file for nothing: those
    decisions, and what was before. Of two processes at once the second decides again, knowing what the first has."""
    while True:
        before = load(store, name)
        decisions = decide(before)
        if not decisions:
            return decisions, before
        number, at = len(before.parts) + 1, datetime.now(UTC).isoformat(timespec="seconds")
        review = Review(number=number, dataset=name, by=by, at=at, decisions=tuple(decisions))
        content = review.model_dump_json(indent=1).encode()
        try:
            store.create(_key(name, number), content)
        except ExistsError:
            # A client whose request succeeded but whose response was lost repeats it, and meets its own file.
            if store.read(_key(name, number)) != content:
                continue
        return decisions, before


def _folder(name: str) -> str:
    return f"datasets/{name}/reviews"


def _key(name: str, number: int) -> str:
    return f"{_folder(name)}/{number:06d}.json"


def _read(content: bytes | None, name: str, number: int, address: str) -> Review:
    hint = (
        "Bring it back from a copy: without it pictures that people dropped would come back. Until then "
        f"{name} gets no next version and no decision."
    )
    if content is None:
        raise Vgg16Error(f"{address} is missing: it says what people decided on images of {name}.", hint)
    try:
        review = Review.model_validate_json(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise Vgg16Error(f"{address} holds no decisions that can be read: {reason}.", hint) from None
    if (review.dataset, review.number) != (name, number):
        raise Vgg16Error(f"{address} is number {review.number} of {review.dataset} by what it says.", hint)
    return review
