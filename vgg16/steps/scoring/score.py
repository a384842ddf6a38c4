"""Every picture of a source is answered by a model, into one file. What was cut off goes on where it was, with the same
bytes as unbroken."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version as version_of
from typing import Any

from vgg16.errors import Vgg16Error
from vgg16.steps.scoring import formats, parts
from vgg16.steps.scoring.answering import answer_all
from vgg16.steps.scoring.engines import Engine, Model, find_model, open_engine
from vgg16.steps.scoring.labelled import Watch
from vgg16.steps.scoring.parts import Finished, Parts
from vgg16.steps.scoring.records import ScoredPart, ScoreRequest, ScoreResult
from vgg16.steps.scoring.sources import Source, open_source
from vgg16.steps.scoring.target import Target, alone, open_target
from vgg16.storage.downloads import without_secrets
from vgg16.storage.files import make_folder, sha256_of
from vgg16.workplace.workplace import Workplace

# Pictures that failed which a result names.
_NAMED = 20


def score(request: ScoreRequest, workplace: Workplace) -> ScoreResult:
    """Answer every picture of the request's source, and write the file; where the source tells true classes, say how
    good the model is there. A file that is there as asked for is left as it is; one that was cut off is finished.

    Raises RequestError for a source, a model or an output that is none; Vgg16Error where another process writes the
    same output, and where a place or a server fails: what was done until then is kept.
    """
    address = open_target(request.output).address
    folder = parts.folder_of(workplace.home, address)
    target = open_target(request.output, folder)
    with alone(target, workplace.home), open_source(request, workplace) as source:
        target.check()
        workplace.say(f"score       {len(source):,} pictures in {without_secrets(request.source)}")
        if source.about:
            workplace.say(f"score       {source.about}")
        model = find_model(request.model, workplace)
        engine = open_engine(request, model, workplace)
        facts = _facts(request, source, model, engine, target)
        digest = parts.digest_of(facts)
        if there := _there_already(folder, digest, target):
            workplace.say(f"score       {target.address} is there already, as asked for")
            return there
        if differing := parts.begin(folder, digest, facts):
            changed = ", ".join(differing)
            workplace.say(f"score       begun anew: of what was begun for {target.address}, this differs: {changed}")
        pictures = source.pictures(engine.class_names, engine.side, engine.framing)
        own = Parts(folder, digest, engine.class_names, len(source))
        kept = {number for number in own.numbers() if own.is_kept(number)}
        missing = [number for number in own.numbers() if number not in kept]
        start, scored = time.monotonic(), sum(len(own.rows(number)) for number in missing)
        if kept and missing:
            workplace.say(f"score       {len(source) - scored:,} of them were scored before")
        with workplace.display.counting("pictures") as on_scored:
            before = len(source) - scored
            on_scored(before, len(source))
            answer_all(
                missing,
                own,
                pictures,
                engine,
                lambda done: on_scored(before + done, len(source)),
                all_probabilities=request.probabilities or pictures.any_truth,
            )
        seconds = time.monotonic() - start
        watch = None
        if pictures.any_truth:
            watch = Watch.over(request, model, engine.class_names, pictures, workplace)
        tally = _assemble(request, own, target, _metadata(request, model, engine, facts), watch)
        content = sha256_of(target.draft)
        result = ScoreResult(
            rows=len(source),
            failed=tally.failed,
            left_out=source.left_out,
            output=target.address,
            bytes=target.draft.stat().st_size,
            sha256=content,
            model=model.address,
            digest=model.digest,
            engine=engine.name,
            typicality=engine.has_typicality,
            labels=dict(tally.labels.most_common()),
            reasons=tuple(tally.reasons),
            labelled=watch.summary(target.address, len(source), tally.failed) if watch else {},
            scored=scored,
            seconds=seconds,
        )
        target.publish()
        kept_result = result.model_copy(update={"scored": 0, "seconds": 0.0, "already": True})
        parts.finish(folder, Finished(request=digest, validator=target.validator(), result=kept_result))
    return result


def _there_already(folder: Any, digest: str, target: Target) -> ScoreResult | None:
    """The result of a call that has written the same, where its file is there unchanged."""
    finished = parts.finished(folder)
    if finished is None or finished.request != digest:
        return None
    validator = target.validator()
    return finished.result if validator and validator == finished.validator else None


class _Tally:
    """What is counted while a file is put together."""

    def __init__(self) -> None:
        self.failed = 0
        self.labels: Counter[str] = Counter()
        self.reasons: list[tuple[str, str]] = []

    def see(self, part: ScoredPart) -> None:
        self.labels.update(part.class_names[label] for label in part.labels if label >= 0)
        failed = [(path, error) for path, error in zip(part.paths, part.errors, strict=True) if error]
        self.failed += len(failed)
        self.reasons += failed[: _NAMED - len(self.reasons)]


def _assemble(
    request: ScoreRequest, own: Parts, target: Target, metadata: Mapping[str, str], watch: Watch | None
) -> _Tally:
    """Put the parts together in the target's draft."""
    tally = _Tally()
    make_folder(target.draft.parent)
    with formats.open_writer(
        target.draft, target.suffix, own.class_names, metadata, probabilities=request.probabilities
    ) as writer:
        for number in own.numbers():
            part = own.read(number)
            if part is None:
                raise Vgg16Error("What was scored is damaged or was removed meanwhile.", "Call again: it goes on.")
            writer.write(part)
            tally.see(part)
            if watch:
                watch.see(part)
    return tally


def _facts(
    request: ScoreRequest, source: Source, model: Model, engine: Engine, target: Target
) -> dict[str, str | bool]:
    """All that the bytes of the file follow from, each by a name that a person knows it by."""
    return {
        "source": without_secrets(request.source),
        "pictures": source.digest,
        "model": f"{model.address} {model.digest}",
        "address": model.requested,
        "engine": engine.name,
        "engine's version": engine.identity,
        "probabilities": request.probabilities,
        "format": target.suffix,
        "vgg16": version_of("vgg16"),
    }


def _metadata(request: ScoreRequest, model: Model, engine: Engine, facts: Mapping[str, str | bool]) -> dict[str, str]:
    """What a Parquet file says of itself."""
    return {
        "vgg16.model": model.address,
        "vgg16.model_uri": model.requested,
        "vgg16.model_version": model.version.version if model.version else "",
        "vgg16.model_digest": model.digest,
        "vgg16.temperature": str(model.temperature),
        "vgg16.engine": engine.name,
        "vgg16.runtime": engine.runtime,
        "vgg16.typicality": "yes" if engine.has_typicality else "no",
        "vgg16.class_names": json.dumps(engine.class_names, ensure_ascii=False),
        "vgg16.source": without_secrets(request.source),
        "vgg16.pictures": str(facts["pictures"]).split(" ", 1)[0],
        "vgg16.version": str(facts["vgg16"]),
    }
