"""Every picture of a source is answered by a model, into one file. What was cut off goes on where it was, with the same
bytes as unbroken."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version as version_of
from pathlib import Path

from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import UNUSUAL
from vgg16.steps.scoring import elsewhere, formats, parts
from vgg16.steps.scoring.answering import answer_all
from vgg16.steps.scoring.engines.engine import Engine, open_engine
from vgg16.steps.scoring.model import Model, find_model
from vgg16.steps.scoring.parts import Finished, Parts
from vgg16.steps.scoring.records import Observer, ScoredPart, ScoreRequest, ScoreResult
from vgg16.steps.scoring.sources import Pictures, Source, open_source
from vgg16.steps.scoring.target import Target, alone, open_target
from vgg16.storage.files import is_same_file, make_folder, sha256_of
from vgg16.workplace.workplace import Workplace, open_workplace

# Pictures that failed which a result names.
_NAMED = 20


def score(request: ScoreRequest, workplace: Workplace, observer: Observer | None = None) -> ScoreResult:
    """Answer every picture of the request's source, and write the file. A file that is there as asked for is left as it
    is; one that was cut off is finished. `observer` is shown all rows: by default, where the source tells true classes,
    one that says how good the model is there.

    Raises RequestError for a source, a model or an output that is none; Vgg16Error where another process writes the
    same output, and where a place or a server fails: what was done until then is kept.
    """
    if workplace.settings.dask and request.split is None and Path(request.source).exists():
        # The workers' own folder is another one.
        request = request.model_copy(update={"source": str(Path(request.source).absolute())})
    address = open_target(request.output).address
    folder = parts.folder_of(workplace.home, address)
    target = open_target(request.output, folder)
    if request.source == address or is_same_file(Path(request.source), Path(address)):
        raise RequestError(f"--output {request.output} is the source itself.", "Name another file: it would be lost.")
    with alone(target, workplace.home), open_source(request, workplace) as source:
        target.check()
        workplace.say(f"score       {len(source):,} pictures in {request.place}")
        if source.about:
            workplace.say(f"score       {source.about}")
        model = find_model(request.model, workplace)
        with open_engine(request.engine, model, len(source), folder, workplace) as engine:
            return _Scoring(request, workplace, folder, target, source, model, engine).result(observer)


def answer_parts(request: ScoreRequest, digest: str, store: str, numbers: Sequence[int]) -> None:
    """Answer parts of the scoring of this digest, on a machine that keeps nothing of them but what goes into this
    store, whatever its own is. Raises Vgg16Error where the machine has another source, model or engine than who asks,
    so that its answers would be others."""
    here = open_workplace()
    workplace = Workplace(replace(here.settings, store=store), here.display)
    with (
        tempfile.TemporaryDirectory(prefix="vgg16-") as name,
        open_source(request, workplace) as source,
    ):
        folder, model = Path(name), find_model(request.model, workplace)
        with open_engine(request.engine, model, len(source), folder, workplace) as engine:
            scoring = _Scoring(request, workplace, folder, open_target(request.output, folder), source, model, engine)
            if scoring.digest != digest:
                raise Vgg16Error(
                    f"{platform.node()} of the cluster would answer otherwise than the machine that asks it.",
                    "It must see the same source and registry, and have the same versions of vgg16 and of the engine.",
                )
            own = scoring.parts()
            scoring.answer_here(numbers, own, scoring.pictures(), lambda _: None)
            for number in numbers:
                elsewhere.send(own, number, workplace.store)


@dataclass(frozen=True)
class _Scoring:
    """A request with all that it names opened."""

    request: ScoreRequest
    workplace: Workplace
    folder: Path
    target: Target
    source: Source
    model: Model
    engine: Engine

    def result(self, observer: Observer | None) -> ScoreResult:
        """What is there already, else what is scored and written now."""
        facts, digest = self._facts(), self.digest
        if there := self._there_already(digest, observer):
            self.workplace.say(f"score       {self.target.address} is there already, as asked for")
            return there
        if differing := parts.begin(self.folder, digest, facts):
            self.workplace.say(
                f"score       begun anew: of what was begun for {self.target.address}, this differs now: "
                f"{', '.join(differing)}"
            )
        own, pictures = self.parts(), self.pictures()
        start = time.monotonic()
        scored = self._answer(own, pictures)
        seconds = time.monotonic() - start
        if observer is None and pictures.any_truth:
            # It imports Matplotlib and more of SciPy, for a second.
            from vgg16.steps.scoring.labelled import Watch

            observer = Watch.over(self.request, self.model, self.engine.class_names, pictures, self.workplace)
        tally = self._assemble(own, observer)
        result = ScoreResult(
            rows=len(self.source),
            failed=tally.failed,
            flagged=tally.flagged if self.engine.has_typicality else None,
            left_out=self.source.left_out,
            output=self.target.address,
            bytes=self.target.draft.stat().st_size,
            sha256=sha256_of(self.target.draft),
            model=self.model.address,
            digest=self.model.digest,
            engine=self.engine.name,
            typicality=self.engine.has_typicality,
            labels=dict(tally.labels.most_common()),
            reasons=tuple(tally.reasons),
            observed=observer.summary() if observer else {},
            scored=scored,
            seconds=seconds,
        )
        self.target.publish()
        there = result.model_copy(update={"scored": 0, "seconds": 0.0, "already": True})
        parts.finish(self.folder, Finished(request=digest, validator=self.target.validator(), result=there))
        return result

    @property
    def digest(self) -> str:
        """What identifies all that the bytes of the file follow from."""
        return parts.digest_of(self._facts())

    def parts(self) -> Parts:
        """The parts of the rows."""
        return Parts(self.folder, self.digest, self.engine.class_names, len(self.source))

    def pictures(self) -> Pictures:
        """The pictures as the model takes them."""
        engine, renamed = self.engine, self.model.renamed(self.workplace)
        return self.source.pictures(engine.class_names, renamed, engine.side, engine.framing)

    def answer_here(
        self, missing: Sequence[int], own: Parts, pictures: Pictures, on_rows: Callable[[int], None]
    ) -> None:
        """Answer these parts on this machine; `on_rows` is called with how many rows are done."""
        everything = self.request.probabilities or pictures.any_truth
        answer_all(missing, own, pictures, self.engine, on_rows, all_probabilities=everything)

    def _answer_elsewhere(self, missing: Sequence[int], own: Parts, on_rows: Callable[[int], None]) -> None:
        """Answer them on the cluster that the settings name."""
        request = self.request.model_copy(update={"engine": self.engine.name})
        call = partial(answer_parts, request, self.digest, self.workplace.settings.store)
        elsewhere.answer_all(call, missing, own, self.workplace, on_rows)

    def _answer(self, own: Parts, pictures: Pictures) -> int:
        """Answer the pictures of all parts that are not kept, and say of how many."""
        missing = [number for number in own.numbers() if not own.is_kept(number)]
        scored = sum(len(own.rows(number)) for number in missing)
        before, total = own.count - scored, own.count
        if before:
            self.workplace.say(f"score       {before:,} of them were scored before")
        if missing:
            with self.workplace.display.counting("pictures") as on_scored:
                on_scored(before, total)

                def on_rows(done: int) -> None:
                    on_scored(before + done, total)

                if self.workplace.settings.dask:
                    self._answer_elsewhere(missing, own, on_rows)
                else:
                    self.answer_here(missing, own, pictures, on_rows)
        return scored

    def _assemble(self, own: Parts, observer: Observer | None) -> _Tally:
        """Put the parts together in the target's draft."""
        tally = _Tally()
        make_folder(self.target.draft.parent)
        try:
            self._write(own, tally, observer)
        except BaseException:
            # Where the disk is full it would keep it so.
            self.target.draft.unlink(missing_ok=True)
            raise
        return tally

    def _write(self, own: Parts, tally: _Tally, observer: Observer | None) -> None:
        with formats.open_writer(
            self.target.draft,
            self.target.suffix,
            own.class_names,
            self._metadata(),
            probabilities=self.request.probabilities,
        ) as writer:
            for number in own.numbers():
                part = own.read(number)
                if part is None:
                    raise Vgg16Error("What was scored is damaged or was removed meanwhile.", "Call again: it goes on.")
                writer.write(part)
                tally.see(part)
                if observer:
                    observer.see(part)

    def _there_already(self, digest: str, observer: Observer | None) -> ScoreResult | None:
        """The result of a call that has written the same, where its file is there unchanged, and all that is asked of
        it is known."""
        finished = parts.finished(self.folder)
        if finished is None or finished.request != digest or (observer and not finished.result.observed):
            return None
        validator = self.target.validator()
        return finished.result if validator and validator == finished.validator else None

    def _facts(self) -> dict[str, str | bool]:
        """All that the bytes of the file follow from, each by a name that a person knows it by."""
        return {
            "source": self.request.place,
            "pictures": self.source.digest,
            "model": f"{self.model.address} {self.model.digest}",
            "address": self.model.requested,
            "engine": self.engine.name,
            "engine's version": self.engine.identity,
            "probabilities": self.request.probabilities,
            "format": self.target.suffix,
            "vgg16": version_of("vgg16"),
        }

    def _metadata(self) -> dict[str, str]:
        """What a Parquet file says of itself."""
        version = self.model.version
        return {
            "vgg16.model": self.model.address,
            "vgg16.model_uri": self.model.requested,
            "vgg16.model_version": version.version if version else "",
            "vgg16.model_digest": self.model.digest,
            "vgg16.temperature": str(self.model.temperature),
            "vgg16.engine": self.engine.name,
            "vgg16.runtime": self.engine.runtime,
            "vgg16.typicality": "yes" if self.engine.has_typicality else "no",
            "vgg16.class_names": json.dumps(self.engine.class_names, ensure_ascii=False),
            "vgg16.source": self.request.place,
            "vgg16.pictures": self.source.digest.split(" ", 1)[0],
            "vgg16.version": version_of("vgg16"),
        }


class _Tally:
    """What is counted while a file is put together."""

    def __init__(self) -> None:
        self.failed, self.flagged = 0, 0
        self.labels: Counter[str] = Counter()
        self.reasons: list[tuple[str, str]] = []

    def see(self, part: ScoredPart) -> None:
        self.labels.update(part.class_names[label] for label in part.labels if label >= 0)
        failed = [(path, error) for path, error in zip(part.paths, part.errors, strict=True) if error]
        self.failed += len(failed)
        if part.typicality is not None:
            self.flagged += int((part.typicality <= UNUSUAL).sum())
        self.reasons += failed[: _NAMED - len(self.reasons)]
