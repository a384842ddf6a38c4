"""The process that exports, `python -m vgg16.steps.exporting.child`: converters leak memory, and what they build would
stay in whoever promotes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from vgg16 import quiet
from vgg16.data.images import ImageSet
from vgg16.errors import Vgg16Error
from vgg16.evaluation.speed import latency_ms
from vgg16.exports import files, parity
from vgg16.exports.expected import Subject, ask_model, rounding_error
from vgg16.exports.formats import FORMATS, Format
from vgg16.exports.graph import in_float32
from vgg16.exports.metadata import Metadata
from vgg16.exports.parity import Expected, Opened
from vgg16.exports.records import Parity
from vgg16.steps import typicality
from vgg16.steps.exporting import kept
from vgg16.steps.exporting.messages import Failed, Line, Lines
from vgg16.steps.exporting.records import Exported, Question
from vgg16.steps.fresh_process import images_for
from vgg16.storage.files import sha256_of
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import Workplace, open_workplace


@dataclass(frozen=True)
class Work:
    """What is exported, and the dataset at the model's size, on whose gate images each file is proven."""

    question: Question
    subject: Subject
    data: ImageSet
    workplace: Workplace

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """The gate images that are asked: all for a file in int8, else at most MOST_IMAGES spread evenly."""
        count = len(self.data.part("gate")[1])
        most = count if "litert-int8" in self.question.formats else parity.MOST_IMAGES
        return np.linspace(0, count - 1, min(count, most)).astype(np.intp)

    @cached_property
    def expected(self) -> Expected:
        """What the model itself answers to them."""
        with self.workplace.display.counting("asking the model") as on_step:
            return ask_model(self.subject, self.data.part("gate")[0][self.rows], on_step)


def prepare(question: Question, workplace: Workplace) -> Work:
    """Load the model, in float32, and what it is asked with. Raises Vgg16Error where one cannot be had."""
    classifier = workplace.tracker.registry.load(f"models:/{question.name}/{question.version}")
    if classifier.digest != question.digest:
        raise Vgg16Error(
            f"{question.name} version {question.version} has changed since it was asked for: expected digest "
            f"{question.digest[:12]}..., found {classifier.digest[:12]}..."
        )
    model = in_float32(classifier.model)
    data = workplace.dataset(question.dataset)
    if not len(images_for(classifier, data)):
        raise Vgg16Error(f"{question.dataset.name} has no gate images, and on those an export is proven.")
    data = data.at(classifier.side, classifier.framing)
    metadata = Metadata(
        model=question.name,
        version=question.version,
        digest=question.digest,
        class_names=classifier.class_names,
        side=classifier.side,
        framing=classifier.framing,
        temperature=question.temperature,
        vgg16=version("vgg16"),
    )
    reference = typicality.reference_of(classifier._replace(model=model), question.dataset, workplace)
    return Work(
        question, Subject(model, reference, metadata, data.part("train")[0], data.part("val")[0]), data, workplace
    )


def make(row: Format, work: Work) -> Exported:
    """Write a file, read it back, prove it, and keep it in the store. Raises ParityError where it is not what it should
    be: then it is nowhere."""
    title, display = row.title, work.workplace.display
    file = work.question.folder / f"{row.name}{row.suffix}"
    display.say(f"export      {title} is written")
    files.write(row, work.subject, file)
    opened = files.open_file(row, file)
    if opened.metadata != work.subject.metadata:
        raise parity.ParityError(f"The file says of itself {opened.metadata}, expected {work.subject.metadata}.")
    with display.counting(f"asking {title}") as on_step:
        proven = prove(row, opened, work, on_step)
    one = work.data.part("gate")[0][work.rows[:1]]
    sha256 = sha256_of(file)
    exported = Exported(
        model=work.question.name,
        version=work.question.version,
        digest=work.question.digest,
        format=row.name,
        quantize=row.quantize,
        sha256=sha256,
        bytes=file.stat().st_size,
        parity=proven,
        latency_ms=latency_ms(lambda: opened.answer(one)),
        key=kept.key_of(sha256, row.suffix),
    )
    kept.keep(work.workplace.store, file, exported)
    return exported


def prove(row: Format, file: Opened, work: Work, on_step: parity.OnStep) -> Parity:
    """Hold a file against the model that it was made of, by the rule of its format. Raises ParityError."""
    images, labels = work.data.part("gate")
    if row.quantize == "int8":
        rule = (work.question.alpha, work.question.margin)
        return parity.prove_noninferior(file, work.expected, images, labels, *rule, on_step)
    some = np.linspace(0, len(work.rows) - 1, min(len(work.rows), parity.MOST_IMAGES)).astype(np.intp)
    asked, expected = images[work.rows[some]], work.expected.rows(some)
    if row.quantize:
        return parity.prove(file, expected, asked, parity.FLOAT16, on_step)

    def rounding() -> float:
        with work.workplace.display.counting("asking the model in float64") as on_exact:
            return rounding_error(work.subject, asked, expected, on_exact)

    return parity.prove_float32(file, expected, asked, rounding, on_step)


def _main() -> int:
    lines = Lines(quiet.keep_for_answer())
    import_tensorflow()
    name = ""
    try:
        question = Question.model_validate_json(sys.stdin.read())
        work = prepare(question, open_workplace(lines))
        for name in question.formats:
            lines.send(Line(exported=make(FORMATS[name], work)))
    except Vgg16Error as error:
        lines.send(Line(failed=Failed(kind=error.kind, message=error.message, hint=error.hint, format=name)))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
