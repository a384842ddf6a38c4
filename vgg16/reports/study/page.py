"""A study's results become its report: one page of HTML that needs nothing else, and Markdown with its figures beside
it; both from the same tables and sentences."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader

from vgg16.config.types import Question, Study
from vgg16.records import DatasetRef
from vgg16.reports.study.compare import Comparison, Result, best, compare
from vgg16.reports.study.figures import curves, matrices, matrix
from vgg16.reports.study.tables import Network, Table, additions, of_networks, of_runs
from vgg16.reports.study.words import Words


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption and the name of its file."""

    name: str
    caption: str
    svg: str

    @property
    def uri(self) -> str:
        """The figure in an address that needs no server; as a picture of its own, its ids meet no others."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass(frozen=True)
class Section:
    """One question, answered."""

    name: str
    title: str
    asked: str
    short: str
    seen: Sequence[str]
    why: Sequence[str]
    tables: Sequence[Table] = field(default_factory=list)
    drawings: Sequence[Drawing] = field(default_factory=list)


@dataclass(frozen=True)
class Losses:
    """Both losses of the same answers to so many images, each given the labels that it takes."""

    images: int
    classes: int
    sparse: float
    categorical: float


@dataclass(frozen=True)
class Facts:
    """What a report holds beside its results: the data; the networks; the losses; how it was made, each a row of a
    label's key and a text; the command that repeats it."""

    ref: DatasetRef
    superclasses: Mapping[str, tuple[str, ...]]
    networks: Sequence[Network]
    losses: Losses
    made: Mapping[str, str]
    command: str


def report(study: Study, results: Sequence[Result], facts: Facts) -> dict[str, str]:
    """The files of the report, by their paths: `STUDY.html`, `STUDY.md` and `figures/*.svg`; a language other than
    English stands before the ending."""
    words = Words(study.language, f"{study.name}-")
    sections = [_section(study, question, results, facts, words) for question in study.questions]
    mark = "" if study.language == "en" else f".{study.language}"
    page = {
        "words": words,
        "title": _first(words, (f"title.{study.name}", "title"), study=study.name, dataset=facts.ref.name),
        "lead": words.say("lead", **_counts(facts.ref, words), members=sum(1 for result in results if result.run)),
        "sections": sections,
        "made": {words.say(f"made.{key}"): value for key, value in facts.made.items()},
        "command": facts.command,
        "mark": mark,
    }
    templates = Environment(
        loader=PackageLoader("vgg16.reports.study", ""), trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    plain = templates.overlay(autoescape=False)
    drawings = [drawing for section in sections for drawing in section.drawings]
    return {
        f"{study.name}{mark}.html": templates.get_template("page.html").render(page),
        f"{study.name}{mark}.md": plain.get_template("page.md").render(page),
        **{f"figures/{drawing.name}{mark}.svg": drawing.svg for drawing in drawings},
    }


def summary(study: Study, results: Sequence[Result]) -> dict[str, str]:
    """Each question's title and its answer in a line."""
    words = Words(study.language, f"{study.name}-")
    return {
        _title(question, words): words.short(_of(question, results), compare(study, question, results))
        for question in study.questions
    }


def _section(study: Study, question: Question, results: Sequence[Result], facts: Facts, words: Words) -> Section:
    own = _of(question, results)
    comparisons = compare(study, question, results)
    return Section(
        name=question.name,
        title=_title(question, words),
        asked=words.say(f"asked.{question.name}") if words.has(f"asked.{question.name}") else "",
        short=words.short(own, comparisons),
        seen=_seen(question, own, comparisons, facts, words),
        why=[*words.whys(comparisons), *words.why_diverged(own)],
        tables=[*of_networks(_networks(question, facts), words), of_runs(own, words)] if own else [],
        drawings=_drawings(question, own, facts, words),
    )


def _of(question: Question, results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.question == question.name]


def _title(question: Question, words: Words) -> str:
    key = f"question.{question.name}"
    return words.say(key) if words.has(key) else question.name


def _first(words: Words, keys: Sequence[str], **values: object) -> str:
    return next(words.say(key, **values) for key in keys if words.has(key))


def _counts(ref: DatasetRef, words: Words) -> dict[str, object]:
    counts = {str(split): words.number(count, 0) for split, count in ref.splits.items()}
    return {"dataset": ref.name, "classes": len(ref.class_names), **counts}


def _seen(
    question: Question, own: Sequence[Result], comparisons: Sequence[Comparison], facts: Facts, words: Words
) -> list[str]:
    sentences = additions(_networks(question, facts), words)
    if sentences:
        sentences.append(_losses(facts.losses, words))
    sentences += [words.diverged(member) for member in own if member.diverged]
    sentences += map(words.pair, comparisons)
    sentences += [
        words.say("member_left_out", name=words.name(member.experiment), cause=member.failure)
        for member in own
        if not member.run
    ]
    chosen = best(own)
    if chosen and chosen.test and chosen.run and chosen.run.model:
        sentences += [*words.fit(chosen), words.confused(chosen, chosen.test)]
        model, name = chosen.run.model, words.name(chosen.experiment)
        uri = f"{model.name}/{model.version}"
        sentences.append(words.say("registered", name=name, model=uri, registered=model.name, version=model.version))
    return sentences


def _networks(question: Question, facts: Facts) -> list[Network]:
    return [network for network in facts.networks if network.question == question.name]


def _losses(losses: Losses, words: Words) -> str:
    sparse, categorical = words.number(losses.sparse, 6), words.number(losses.categorical, 6)
    return words.say("losses", classes=losses.classes, images=losses.images, sparse=sparse, categorical=categorical)


def _drawings(question: Question, own: Sequence[Result], facts: Facts, words: Words) -> list[Drawing]:
    drawings = []
    epochs = {words.name(member.experiment): member.epochs for member in own if member.epochs}
    if epochs:
        drawings.append(Drawing(f"curves-{question.name}", words.say("curves"), curves(epochs, words)))
    tests = {words.name(member.experiment): member.test for member in own if member.finished and member.test}
    chosen = best(own)
    if chosen and chosen.test:
        caption = words.say("matrix", name=words.name(chosen.experiment), images=chosen.test.images)
        drawings.append(Drawing(f"matrix-{question.name}", caption, matrix(chosen.test, facts.superclasses, words)))
    if len(tests) > 1:
        svg = matrices(tests, facts.superclasses, words)
        drawings.append(Drawing(f"matrices-{question.name}", words.say("matrices"), svg))
    return drawings
