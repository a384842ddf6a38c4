"""What follows a drift once people have labelled: enough gate images that are newer than the model in production ask
for its experiment to be trained again. Pictures that nobody labelled never do."""

from __future__ import annotations

import numpy as np

from vgg16.config.types import SPLITS
from vgg16.data import published
from vgg16.reports.text import plural
from vgg16.steps.data.seen import newer_than
from vgg16.steps.watch.records import Kept
from vgg16.steps.watch.result import Watched
from vgg16.workplace.workplace import Workplace


def count_labels(result: Watched, least: int, workplace: Workplace) -> Watched:
    """The result of a look with what was labelled since its model learned; from `least` such gate images on with the
    message that asks for a retraining, once for each version of the dataset. As it is where no drift stands, or `least`
    is 0."""
    current = published.recall(workplace.store, result.dataset)
    if not result.alarm or not least or not current:
        return result
    champion = workplace.tracker.registry.version_at(result.model)
    data = workplace.dataset(current.dataset)
    gate = data.rows(np.flatnonzero(data.splits == SPLITS.index("gate"))).content
    newer = newer_than(champion.name, champion.version, current.dataset, gate, workplace)
    images = 0 if newer is None else int(newer.sum())
    if images < least:
        return result.labelled(f"a retraining waits for {least:,} newly labelled gate images, of which {images:,} came")
    results = workplace.tracker.results
    experiment, bases = results.experiment(champion.run_id), results.bases(champion.run_id)
    payload = {
        "experiments": [experiment.model_dump(mode="json")],
        "bases": {name: base.model_dump(mode="json") for name, base in bases.items()},
    }
    kept = Kept(workplace.store, result.dataset, result.digest)
    message = kept.labels_came(result.alarm, current.dataset.digest, payload)
    follows = (
        "a retraining was asked for" if kept.is_told(message) else f"{experiment.name} is trained on them and judged"
    )
    return result.labelled(f"{plural(images, 'newly labelled gate image')} came: {follows}").to_tell(message, kept)
