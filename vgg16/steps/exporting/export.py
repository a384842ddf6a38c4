"""A registered version becomes proven files in the store. Asked again, what is kept is answered."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vgg16.errors import RefusedError, Vgg16Error
from vgg16.exports.formats import FORMATS, check_installed
from vgg16.exports.parity import check_enough
from vgg16.records import ModelVersion
from vgg16.steps.exporting import kept
from vgg16.steps.exporting.messages import Failed, read
from vgg16.steps.exporting.records import Exported, Question
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace

_CHILD = "vgg16.steps.exporting.child"


def export(version: ModelVersion | str, formats: Sequence[str], workplace: Workplace) -> tuple[Exported, ...]:
    """The files of a version, which an address may name, in these formats, by their names in FORMATS and in their
    order. What is not kept yet is made in a fresh process, read back there, and proven on the gate's images.

    Raises RefusedError where a file does not answer as the model does: then it is nowhere, and what was asked for
    beside it is kept. Raises Vgg16Error where packages are missing, or the model or its dataset cannot be had.
    """
    registry = workplace.tracker.registry
    version = registry.version_at(version) if isinstance(version, str) else version
    digest = registry.check(version.uri).digest
    found = {
        name: kept.find(workplace.store, version.name, version.version, digest, name) for name in dict.fromkeys(formats)
    }
    missing = tuple(name for name, exported in found.items() if exported is None)
    if missing:
        check_installed(FORMATS[name] for name in missing)
        found |= {one.format: one for one in _made(version, digest, missing, workplace)}
    return tuple(exported for name in formats if (exported := found[name]) is not None)


def _made(version: ModelVersion, digest: str, formats: tuple[str, ...], workplace: Workplace) -> list[Exported]:
    run = workplace.tracker.runs.get(version.run_id)
    rules = workplace.tracker.results.experiment(version.run_id).gate
    if "litert-int8" in formats:
        check_enough(run.trained_on.splits.get("gate", 0), rules.alpha, rules.noninferiority_margin)
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        question = Question(
            name=version.name,
            version=version.version,
            digest=digest,
            dataset=run.trained_on,
            formats=formats,
            temperature=run.metrics.get("temperature", 1.0),
            alpha=rules.alpha,
            margin=rules.noninferiority_margin,
            folder=Path(folder),
        )
        return _ask(question, workplace)


def _ask(question: Question, workplace: Workplace) -> list[Exported]:
    errors = question.folder / "errors"
    with errors.open("wb") as writing:
        process = subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=writing,
            env=os.environ | _environment(),
            text=True,
        )
    with process:
        assert process.stdin and process.stdout  # noqa: S101, PT018  # both are pipes
        try:
            process.stdin.write(question.model_dump_json())
            process.stdin.close()
            made, failed = read(process.stdout, workplace.display)
        except BaseException:  # whoever interrupts this one does not wait for its answers
            process.kill()
            raise
    title = f"{question.name} version {question.version}"
    if failed:
        raise _error(failed, title)
    if process.returncode or len(made) < len(question.formats):
        last = (errors.read_text(errors="replace").strip() or "no word").splitlines()[-1]
        raise Vgg16Error(f"The process that exports {title} ended with {process.returncode}: {last}")
    return made


def _environment() -> dict[str, str]:
    """Of the process that exports: it computes on the CPU, as whoever runs a file can. The order of Python's sets is
    always the same: of tf2onnx' rules for `Flatten` another one may come first, and the bytes of a file would differ.
    """
    return {"VGG16_HOME": str(settings.load().home), "CUDA_VISIBLE_DEVICES": "-1", "PYTHONHASHSEED": "0"}


def _error(failed: Failed, title: str) -> Vgg16Error:
    kind = RefusedError if failed.kind == RefusedError.kind else Vgg16Error
    where = f"{title}, {FORMATS[failed.format].title}: " if failed.format else ""
    return kind(f"{where}{failed.message}", failed.hint)
