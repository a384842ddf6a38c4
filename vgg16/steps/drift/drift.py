"""New, unlabelled pictures against the gate's that a model was judged on: a verdict, what moved, and a page."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vgg16.checks.drift.accuracy import Estimate, estimated_top1
from vgg16.checks.drift.facts import CONFIDENCE
from vgg16.checks.drift.label_first import label_first
from vgg16.checks.drift.look import Look, Moved, look
from vgg16.checks.drift.reference import Reference
from vgg16.checks.drift.watch import DAILY
from vgg16.data.images import Images
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef
from vgg16.reports.drift.page import DriftFacts, report
from vgg16.steps.drift.facts import Measuring
from vgg16.steps.drift.reference import reference_of
from vgg16.steps.drift.window import Window, read_window
from vgg16.steps.scoring.engines.engine import open_in_keras
from vgg16.steps.scoring.model import Model, find_model
from vgg16.steps.scoring.records import ScoreRequest
from vgg16.steps.scoring.sources import Pictures, open_source
from vgg16.storage.store import Store
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Drift:
    """The result: of the source's `pictures` so many were `measured`, and `unreadable` ones have path and reason;
    of each moved fact the paths of the `farthest` pictures; `label_first` are paths, and `page` an address. `estimate`
    is None unless nothing moved and that could be seen."""

    model: str
    look: Look
    gate_top1: float
    estimate: Estimate | None
    pictures: int
    measured: int
    unreadable: tuple[tuple[str, str], ...]
    farthest: Mapping[str, tuple[str, ...]]
    label_first: tuple[str, ...]
    page: str


def drift(dataset: str, source: str, model_uri: str, workplace: Workplace) -> Drift:
    """Pictures of a folder, archive, table, prefix of S3 or dataset, against what the model at an address was judged
    on; `dataset` is what it learned from. Of near-equal pictures one counts.

    The level is what a day's looks may use together. Raises RequestError for a source or a model that is none, and for
    a model of another dataset; RefusedError where no picture can be read; Vgg16Error where a place or a server fails.
    """
    request = ScoreRequest(source=source, output="", model=model_uri)
    with open_source(request, workplace) as opened:
        workplace.say(f"drift       {len(opened):,} pictures in {request.place}")
        model = find_model(model_uri, workplace)
        measuring, reference = judged_on(model, dataset, workplace)
        pictures = opened.pictures(measuring.class_names, {}, measuring.side, measuring.framing)
        window = read_window(pictures, measuring, workplace)
        return _Looked(request, dataset, model, pictures, window, reference).drift(workplace)


def judged_on(model: Model, dataset: str, workplace: Workplace) -> tuple[Measuring, Reference]:
    """What measures pictures as the model sees them, and what it was judged on."""
    ref = _learned_from(model, dataset)
    measuring = Measuring(open_in_keras(model, workplace))
    return measuring, reference_of(measuring, ref, workplace)


def _learned_from(model: Model, dataset: str) -> DatasetRef:
    if model.dataset is None:
        raise Vgg16Error(f"Nobody knows what {model.requested} learned from, so there is no gate to hold pictures to.")
    if model.dataset.name != dataset:
        raise RequestError(
            f"{model.requested} learned from {model.dataset.name}, not from {dataset}.",
            f"vgg16 data drift {model.dataset.name} SOURCE --model {model.requested}",
        )
    return model.dataset


@dataclass(frozen=True)
class _Looked:
    """A request with all that it names measured."""

    request: ScoreRequest
    dataset: str
    model: Model
    pictures: Pictures
    window: Window
    reference: Reference

    def drift(self, workplace: Workplace) -> Drift:
        """The result, with its page in the store."""
        before, now = self.reference.facts, self.window.facts
        result = look(before, now, DAILY)
        estimate = None
        if result.verdict == "steady":
            estimate = estimated_top1(before.column(CONFIDENCE), self.reference.correct, now.column(CONFIDENCE))
        first = label_first(before, now).tolist()
        paths = {place: self._path(int(self.window.rows[place])) for place in shown_places(result.moved, first)}
        facts = DriftFacts(
            source=self.request.place,
            model=self.model.address,
            name=self.dataset,
            look=result,
            reference=before,
            window=now,
            gate_top1=self.reference.top1,
            estimate=estimate,
            pictures=len(self.pictures),
            measured=self.window.measured,
            unreadable=len(self.window.unreadable),
            label_first=first,
            paths=paths,
            at=datetime.now(UTC),
            images=self._read_again(paths),
        )
        # One for each model and source: another look at it has a new page in its place.
        named = f"{self.model.address} {self.request.source}"
        where = hashlib.sha256(named.encode(errors="surrogateescape")).hexdigest()[:12]
        return Drift(
            model=self.model.address,
            look=result,
            gate_top1=self.reference.top1,
            estimate=estimate,
            pictures=len(self.pictures),
            measured=self.window.measured,
            unreadable=tuple((self._path(row), why) for row, why in self.window.unreadable),
            farthest={one.fact: tuple(paths[place] for place in one.most.tolist()) for one in result.moved},
            label_first=tuple(paths[place] for place in first),
            page=keep_page(report(facts), f"docs/drift-{where}.html", workplace.store),
        )

    def _path(self, row: int) -> str:
        return self.pictures.names(range(row, row + 1))[0][0]

    def _read_again(self, places: Iterable[int]) -> dict[int, Images]:
        rows = {place: int(self.window.rows[place]) for place in places}
        read = {place: self.pictures.read(range(row, row + 1))[0] for place, row in rows.items()}
        return {place: image for place, image in read.items() if not isinstance(image, str)}


def shown_places(moved: Sequence[Moved], first: Sequence[int]) -> list[int]:
    """All that a page shows, each once."""
    return sorted({*first, *(place for one in moved for place in one.most.tolist())})


def keep_page(content: str, key: str, store: Store) -> str:
    """Put a page into the store, in the place of an earlier one; its address. What of a path is no text becomes `?`."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        file = Path(folder) / Path(key).name
        file.write_text(content, encoding="utf-8", errors="replace", newline="")
        store.upload(file, key)
    return f"{store.address}/{key}"
