"""A person decides on what was found in a dataset: kept in the store, for its next version to honour."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgg16.config.catalog import SHIPPED
from vgg16.data import published
from vgg16.data.images import ImageSet
from vgg16.data.reviews import kept
from vgg16.data.reviews.decisions import Decision, Made, Reviews, parse_action
from vgg16.data.reviews.names import Names
from vgg16.errors import RequestError
from vgg16.records import DatasetRef
from vgg16.steps.data.fetch import ADD
from vgg16.steps.data.reviewed import new_decisions
from vgg16.suggestions import nearest
from vgg16.workplace.account import account
from vgg16.workplace.workplace import Workplace

# Names that a message lists.
_LISTED = 3


@dataclass(frozen=True)
class Decided:
    """The decisions that were asked for; of them the `stored` ones are new, the others stood already. `taken_back` are
    earlier ones that they overtake. `next_step` is the command that makes the version that honours them, "" where
    that which is there does."""

    decisions: tuple[Decision, ...]
    stored: int
    taken_back: tuple[Made, ...]
    next_step: str


def check_request(name: str, action: str) -> None:
    """Raises RequestError for what can be told to be wrong before anything is read."""
    kind, _ = parse_action(action)
    if name in SHIPPED.datasets and kind != "keep":
        raise RequestError(
            f"{name} is a shipped dataset, whose images and labels do not change: figures on it stay comparable.",
            "--as keep ends a finding. To leave images out or relabel them, make a dataset of your own of their files: "
            "vgg16 data add NAME FOLDER",
        )


def review(ref: DatasetRef, findings: Sequence[str], action: str, workplace: Workplace) -> Decided:
    """Decide on images of a dataset's present version, and on those that were decided on before; all or nothing.

    Raises RequestError for what is no image, for a class that is none, and for a pair that is not to be kept.
    """
    check_request(ref.name, action)
    kind, label = parse_action(action)
    images, known = workplace.dataset(ref), kept.load(workplace.store, ref.name)
    digests = _digests(images)
    path_of = _paths(images, digests, known)
    gone = path_of.keys() - {*digests}
    names = Names([*digests, *gone], {path: image for image, path in path_of.items() if path})
    if kind == "label" and label not in images.class_names:
        raise RequestError(f"{ref.name} has no class {label!r}.", nearest(label, images.class_names))
    meant = {finding: names.images(finding) for finding in dict.fromkeys(findings)}
    if unknown := [finding for finding, found in meant.items() if not found]:
        raise _unknown(unknown, names, ref)
    if pairs := [finding for finding, found in meant.items() if len(found) == 2 and kind != "keep"]:
        raise _of_two(pairs[0], meant[pairs[0]], action, ref)
    asked = {
        found: Decision(images=found, names=tuple(path_of[one] for one in found), action=kind, label=label)
        for found in meant.values()
    }

    def new(before: Reviews) -> list[Decision]:
        return [one for one in asked.values() if not _stands(one, before)]

    stored, before = kept.append(workplace.store, ref.name, account(), new)
    taken_back = [before.latest[one.images] for one in stored if one.images in before.latest]
    changing = kind != "keep" or any(one.decision.action != "keep" for one in taken_back)
    next_step = _next_step(ref, workplace) if changing else ""
    return Decided(tuple(asked.values()), len(stored), tuple(taken_back), next_step)


def _next_step(ref: DatasetRef, workplace: Workplace) -> str:
    row = workplace.dataset_row(ref)
    return f"vgg16 data add {ref.name} {shlex.join(row.source)}" if new_decisions(row, workplace) else ""


def decisions(name: str, workplace: Workplace) -> list[dict[str, object]]:
    """All that was decided on a dataset's images, the first one first: the finding and its images, what, by whom, when,
    and whether it counts or was overtaken. Raises RequestError for a dataset that is none."""
    reviews = kept.load(workplace.store, name)
    if not reviews.parts and name not in SHIPPED.datasets and published.recall(workplace.store, name) is None:
        hint = f"{nearest(name, SHIPPED.datasets)} {ADD}"
        raise RequestError(f"There is no dataset {name!r} in {workplace.store.address}.", hint)
    return [
        {
            "finding": one.decision.finding,
            "images": one.decision.images,
            "as": one.decision.text,
            "by": one.by,
            "at": one.at,
            "counts": reviews.latest[one.decision.images] == one,
        }
        for one in reviews.made
    ]


def _stands(decision: Decision, reviews: Reviews) -> bool:
    made = reviews.latest.get(decision.images)
    return made is not None and made.decision.text == decision.text


def _paths(images: ImageSet, digests: Sequence[str], known: Reviews) -> dict[str, str]:
    """Where each image lay, by its sha256: those that were decided on before, then those of the present version, whose
    paths are theirs by now; "" for what is no file."""
    made = [one.decision for one in known.made]
    decided = {image: name for one in made for image, name in zip(one.images, one.names, strict=True)}
    paths = images.paths(np.arange(len(digests))) or [""] * len(digests)
    return decided | dict(zip(digests, paths, strict=True))


def _digests(images: ImageSet) -> list[str]:
    whole = images.content.tobytes().hex()
    return [whole[start : start + 64] for start in range(0, len(whole), 64)]


def _unknown(findings: Sequence[str], names: Names, ref: DatasetRef) -> RequestError:
    listed = ", ".join(findings[:_LISTED]) + (f" and {len(findings) - _LISTED} more" if len(findings) > _LISTED else "")
    # Of a pair each half may be misspelt.
    near = names.near(findings[0]) or [path for part in findings[0].split("+") for path in names.near(part)][:_LISTED]
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return RequestError(
        f"{ref.name} {ref.digest[:8]} has no image {listed}; nothing was decided.",
        f"{meant}An image is named by its path in the source, or by the first 8 or more digits of its sha256, a pair "
        f"as A+B: vgg16 data check {ref.name} names what it finds.",
    )


def _of_two(finding: str, images: tuple[str, ...], action: str, ref: DatasetRef) -> RequestError:
    question = "which of the two is to go" if action == "drop" else "which of the two has the wrong label"
    commands = " or ".join(f"vgg16 data review {ref.name} {image[:12]} --as {action}" for image in images)
    return RequestError(f"{finding} is a pair: {question}? Nothing was decided.", commands)
