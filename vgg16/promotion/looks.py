"""Looks at gate pictures: each is stored before its verdict exists, and counted together with those before it that
showed any of the same pictures.

A look names its pictures by their content: `gates/NAME/DIGEST` in the store lists the digest of each, once for all
looks at the same ones. So a dataset's next version, which has most of the pictures of the one before, goes on counting,
and so does another size of the same files. One picture that two looks share is enough: the alpha of a look is then
rather too small than too large, and nobody has to say how many shared pictures would be few.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from vgg16.promotion.ledger import numbered
from vgg16.promotion.records import Judgement
from vgg16.storage.store import ExistsError, Store

# Bytes of a sha256.
_DIGEST = 32
# A look whose file is damaged may have shown any picture, and counts.
_UNREADABLE = Judgement(images_digest="", version="", opponents=(), reference="")


def keep_gate(store: Store, name: str, pictures: Iterable[bytes]) -> str:
    """List the gate's pictures in the store, each by the sha256 of its content, 32 bytes; what a look calls them,
    whatever their order. Before the look: one that was cut off here has shown nothing yet."""
    listing = b"".join(sorted(set(pictures)))
    gate = hashlib.sha256(listing).hexdigest()
    with suppress(ExistsError):
        store.create(_key(name, gate), listing)
    return gate


def count(store: Store, name: str, look: Judgement, part: frozenset[bytes] | None = None) -> int:
    """How often versions of a registered model have been judged on any of these gate pictures, or against this
    reference, this look included. `part`: on any of these of them, each the sha256 of its content.

    Every look is stored before its verdict exists. The same look again, after a kill, by another person or because the
    two have changed places, shows nothing new and counts once. A look of an earlier version of this code does not list
    its pictures, and counts where they are the very same, at the same size and with the same labels.
    """
    looks = [_read(content) for content in numbered(store, f"judgements/{name}")]
    while (place := _place(look, looks)) is None:
        key = f"judgements/{name}/{len(looks) + 1:06d}.json"
        with suppress(ExistsError):
            store.create(key, look.model_dump_json(indent=1).encode())
        # Ours, or that of another process which was first.
        looks.append(_read(store.read(key) or b""))

    pictures = functools.cache(functools.partial(_pictures, store, name))

    @functools.cache
    def shares(gate: str) -> bool:
        # A listing that somebody has removed from the store may have held any picture.
        shown = pictures(look.gate) if part is None else part
        return not pictures(gate) or not shown.isdisjoint(pictures(gate))

    def counts(other: Judgement) -> bool:
        if other == _UNREADABLE or (look.reference and other.reference == look.reference):
            return True
        return _same_pictures(other, look) or bool(other.gate and look.gate and shares(other.gate))

    return 1 + sum(counts(other) for other in looks[:place])


def _read(content: bytes) -> Judgement:
    try:
        return Judgement.model_validate_json(content)
    except ValidationError:
        return _UNREADABLE


def _place(look: Judgement, looks: Sequence[Judgement]) -> int | None:
    """Where the same look is among these, None where it is not."""
    return next((place for place, other in enumerate(looks) if _same(look, other)), None)


def _same(one: Judgement, other: Judgement) -> bool:
    # Whichever of them is the challenger: the same images show the same of the same versions.
    versions, others = ({look.version, *look.opponents} for look in (one, other))
    return (versions, one.reference) == (others, other.reference) and _same_pictures(one, other)


def _same_pictures(one: Judgement, other: Judgement) -> bool:
    return one.images_digest == other.images_digest or bool(one.gate and one.gate == other.gate)


def _pictures(store: Store, name: str, gate: str) -> frozenset[bytes]:
    listing = store.read(_key(name, gate)) or b""
    return frozenset(listing[start : start + _DIGEST] for start in range(0, len(listing), _DIGEST))


def _key(name: str, gate: str) -> str:
    return f"gates/{name}/{gate}"
