"""A study's results become its report: one page of HTML that needs nothing else, and Markdown with its figures beside
it; both from the same tables and sentences."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader

from vgg16.config.types import Question, Study
from vgg16.records import DatasetRef
from vgg16.reports.study import members
from vgg16.reports.study.answers import short
from vgg16.reports.study.changes import question_asked
from vgg16.reports.study.compare import Comparison, Result, best, compare
from vgg16.reports.study.figures import curves, matrices, matrix
from vgg16.reports.study.pairs import pair, whys
from vgg16.reports.study.tables import Network, Table, additions, of_networks, of_runs
from vgg16.reports.study.words import Words, words_of
from vgg16.shown import markdown, visible


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
    """What a report holds beside its results: the data; the networks; the losses, which the course alone compares; how
    it was made, each a row of a label's key and a text; the command that repeats it."""

    ref: DatasetRef
    superclasses: Mapping[str, tuple[str, ...]]
    networks: Sequence[Network]
    losses: Losses | None
    made: Mapping[str, str]
    command: str


def report(study: Study, results: Sequence[Result], facts: Facts) -> dict[str, str]:
    """The files of the report, by their paths: `STUDY.html`, `STUDY.md` and `figures/*.svg`; a language other than
    English stands before the ending."""
    words = words_of(study, results)
    sections = [_section(study, question, results, facts, words) for question in study.questions]
    mark = "" if study.language == "en" else f".{study.language}"
    page = {
        "words": words,
        "title": words.own("title", study.members, dataset=facts.ref.name)
        or words.say("title", study=study.name, dataset=facts.ref.name),
        "lead": _lead(facts.ref, results, words),
        "seeds": _seeds(results, words),
        "sections": sections,
        "made": {words.say(f"made.{key}"): value for key, value in facts.made.items()},
        "command": visible(facts.command),
        "mark": mark,
    }
    templates = Environment(
        loader=PackageLoader("vgg16.reports.study", ""), trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    plain = templates.overlay(autoescape=False, finalize=_in_markdown)
    drawings = [drawing for section in sections for drawing in section.drawings]
    return {
        f"{study.name}{mark}.html": templates.get_template("page.html").render(page),
        f"{study.name}{mark}.md": plain.get_template("page.md").render(page),
        **{f"figures/{drawing.name}{mark}.svg": drawing.svg for drawing in drawings},
    }


def _in_markdown(value: object) -> object:
    """A value of the page in Markdown: what is no part of the template, and not called safe there, is text."""
    return markdown(value) if type(value) is str else value


def summary(study: Study, results: Sequence[Result]) -> dict[str, str]:
    """Each question's title and its answer in a line."""
    words = words_of(study, results)
    return {
        _title(question, words): short(_of(question, results), compare(study, question, results), words)
        for question in study.questions
    }


def description(study: Study, results: Sequence[Result], html: str) -> str:
    """The summary in Markdown, and where the report is."""
    lines = [f"- **{markdown(title)}**: {markdown(line)}" for title, line in summary(study, results).items()]
    return "\n".join([*lines, "", words_of(study, results).say("described", html=html)])


def _section(study: Study, question: Question, results: Sequence[Result], facts: Facts, words: Words) -> Section:
    own = _of(question, results)
    comparisons = compare(study, question, results)
    titles = {other.name: _title(other, words) for other in study.questions}
    return Section(
        name=question.name,
        title=titles[question.name],
        asked=question_asked(study, question, titles.get(question.best_of, ""), words),
        short=short(own, comparisons, words),
        seen=_seen(question, own, comparisons, facts, words),
        why=[*whys(comparisons, words), *members.why_diverged(own, words)],
        tables=[*of_networks(_networks(question, facts), words), of_runs(own, words)] if own else [],
        drawings=_drawings(question, own, facts, words),
    )


def _of(question: Question, results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.question == question.name]


def _title(question: Question, words: Words) -> str:
    return words.own(f"question.{question.name}", question.members) or question.name


def _lead(ref: DatasetRef, results: Sequence[Result], words: Words) -> str:
    trained = sum(1 for result in results if result.run)
    values: dict[str, object] = {str(split): words.number(count, 0) for split, count in ref.splits.items()}
    values |= {"members": trained, "dataset": ref.name, "classes": len(ref.class_names)}
    chosen = "lead.chosen" if any(result.test for result in results) else "lead.untested"
    parts = [words.count(key, trained, **values) for key in ("lead.trained", chosen)]
    return " ".join([*parts, words.say("lead.source")])


def _seeds(results: Sequence[Result], words: Words) -> str:
    """What a single seed leaves open, and how to repeat the study with another one."""
    seeds = sorted({result.experiment.seed for result in results})
    if len(seeds) > 1:
        return words.say("several_seeds", seeds=words.join([str(seed) for seed in seeds]))
    return words.say("one_seed", seed=seeds[0] + 1 if seeds and seeds[0] < 2**31 - 1 else 0)


def _seen(
    question: Question, own: Sequence[Result], comparisons: Sequence[Comparison], facts: Facts, words: Words
) -> list[str]:
    sentences = additions(_networks(question, facts), words)
    if sentences and facts.losses:
        sentences += _losses(facts.losses, words)
    sentences += [members.diverged(member, words) for member in own if member.standing == "diverged"]
    sentences += [pair(comparison, words) for comparison in comparisons]
    sentences += [members.left_out(member, words) for member in own if member.standing == "left_out"]
    chosen = best(own)
    if chosen:
        sentences += members.chance(chosen, words) + members.fit(chosen, facts.ref.splits.get("val", 0), words)
    if chosen and chosen.test:
        sentences.append(members.confused(chosen, chosen.test, words))
    if chosen and chosen.run and chosen.run.model:
        model, name = chosen.run.model, words.name(chosen.experiment)
        uri = f"{model.name}/{model.version}"
        sentences.append(words.say("registered", name=name, model=uri, registered=model.name, version=model.version))
    return sentences


def _networks(question: Question, facts: Facts) -> list[Network]:
    return [network for network in facts.networks if network.question == question.name]


def _losses(losses: Losses, words: Words) -> list[str]:
    values = {"sparse": words.number(losses.sparse, 6), "categorical": words.number(losses.categorical, 6)}
    sentence = words.own("losses", (), classes=losses.classes, images=losses.images, **values)
    return [sentence] if sentence else []


def _drawings(question: Question, own: Sequence[Result], facts: Facts, words: Words) -> list[Drawing]:
    drawings = []
    epochs = {words.name(member.experiment): member.epochs for member in own if member.epochs}
    if epochs:
        drawings.append(Drawing(f"curves-{question.name}", words.say("curves"), curves(epochs, words)))
    tests = {words.name(member.experiment): member.test for member in own if member.test}
    chosen = best(own)
    if chosen and chosen.test:
        caption = words.say("matrix", name=words.name(chosen.experiment), images=chosen.test.images)
        drawings.append(Drawing(f"matrix-{question.name}", caption, matrix(chosen.test, facts.superclasses, words)))
    if len(tests) > 1:
        svg = matrices(tests, facts.superclasses, words)
        drawings.append(Drawing(f"matrices-{question.name}", words.say("matrices"), svg))
    return drawings
