"""A version's pictures as people decided: dropped ones are left out, others have another class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vgg16.config.types import Reviewed
from vgg16.data.collect import Collected
from vgg16.data.images import find_rows
from vgg16.data.records import UnreadPicture
from vgg16.data.reviews.decisions import Made, Reviews


@dataclass(frozen=True)
class Honoured:
    """The pictures of a version after all decisions, and how many were changed by them. `unheeded`: decisions for a
    class that the source does not have (any more), each with the class that the picture so keeps."""

    collected: Collected
    reviewed: Reviewed
    unheeded: tuple[tuple[Made, str], ...] = ()


def honour(collected: Collected, reviews: Reviews) -> Honoured:
    """Leave out what was dropped, and relabel what was relabelled; a class without pictures then is none."""
    made = list(reviews.changes.items())
    wanted = np.frombuffer(bytes.fromhex("".join(image for image, _ in made)), np.uint8).reshape(-1, 32)
    rows = find_rows(collected.sha256, wanted)
    number = {name: label for label, name in enumerate(collected.class_names)}
    kept, labels = np.ones(len(collected.labels), bool), collected.labels.copy()
    reasons, unheeded = {}, []
    for row, (_, one) in zip(rows.tolist(), made, strict=True):
        if row < 0:  # the source has it no more
            continue
        if one.decision.action == "drop":
            kept[row] = False
            reasons[row] = f"dropped {one.signed}"
        elif one.decision.label in number:
            labels[row] = number[one.decision.label]
        else:
            unheeded.append((one, collected.class_names[labels[row]]))
    dropped = np.array(sorted(reasons), np.intp)
    left_out = [
        UnreadPicture(image=path, reason=reasons[row])
        for path, row in zip(collected.paths(dropped), dropped.tolist(), strict=True)
    ]
    reviewed = Reviewed(
        dropped=len(dropped),
        relabelled=int((labels != collected.labels).sum()),
        files=len(reviews.parts),
        sha256=reviews.sha256,
    )
    there, labels = np.unique(labels[kept], return_inverse=True)
    changed = replace(
        collected,
        class_names=tuple(collected.class_names[label] for label in there),
        sha256=collected.sha256[kept],
        labels=labels.astype(np.int64),
        folders=collected.folders[kept],
        table=collected.table.filter(pa.array(kept)),
        left_out=(*collected.left_out, *left_out),
    )
    return Honoured(changed, reviewed, tuple(unheeded))
