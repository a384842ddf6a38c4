"""What the docs site makes of the code when it is built: the reference's tables, and the pages of `infra/`.

mkdocs calls the functions `on_...`. A page asks for a table by a line such as `<!-- generated: tags -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from pydantic import BaseModel

from vgg16.cli.main import cli
from vgg16.config import schema
from vgg16.config.dataset_entries import DatasetEntry
from vgg16.config.study_entries import QuestionEntry, StudyEntry
from vgg16.config.types import EXPECTATIONS, Expectation, Experiment
from vgg16.evaluation.corruptions import KINDS
from vgg16.tracking.tags import METRICS, TAGS
from vgg16.workplace.foreign import SET_ASIDE
from vgg16.workplace.settings import HONOURED, VARIABLES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
# Pages of other folders, by where the site has them.
PAGES = ("infra/README.md", "infra/SCALE.md")
_GENERATED = re.compile(r"<!-- generated: (\w+) -->")


class Setting(NamedTuple):
    """A key as `--set` takes it (N is a number), its values, its default and its meaning, in words."""

    key: str
    allowed: str
    default: str
    meaning: str


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars stay as they are in code, where Markdown takes them for what they are."""
    cells = [[re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or r"\|", cell) for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command below this one that does something by itself."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner:
            yield from walk(inner, click.Context(inner, parent=context, info_name=name))


def commands() -> str:
    """A section for each command: usage, help, options."""
    sections = []
    for command, context in walk(cli, click.Context(cli, info_name="vgg16")):
        path = context.command_path
        usage = f"{path} {' '.join(command.collect_usage_pieces(context))}"
        paragraphs = [" ".join(text.split()) for text in (command.help or "").split("\n\n")]
        options = [option for option in command.params if isinstance(option, click.Option)]
        records = [record for option in options if (record := option.get_help_record(context))]
        rows = table(("option", "does"), [(f"`{names}`", text) for names, text in records])
        sections.append("\n\n".join([f"## {path}", f"```text\n{usage}\n```", *paragraphs, rows]))
    return "\n\n".join(sections)


def settings() -> list[Setting]:
    """The settings of an experiment."""
    root = Experiment.model_json_schema()
    return list(_settings(root, root, ""))


def _settings(node: Mapping[str, Any], root: dict[str, Any], path: str) -> Iterator[Setting]:
    for name, field in node["properties"].items():
        key, variants = f"{path}{name}", _variants(field, root)
        inner = next((variant for variant in variants if "properties" in variant), None)
        items = next((_variants(variant["items"], root)[0] for variant in variants if "items" in variant), {})
        if "properties" in items:
            yield from _settings(items, root, f"{key}.N.")
            continue
        if inner is None or len(variants) > 1:
            default = f"`{_value(field['default'])}`" if "default" in field else "must be given"
            yield Setting(key, schema.allowed(field, root), default, field.get("description", ""))
        if inner is not None:
            yield from _settings(inner, root, f"{key}.")


def _variants(field: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nodes that a field may be, none of them a reference."""
    if "$ref" in field:
        return [root["$defs"][field["$ref"].rpartition("/")[2]]]
    return [inner for variant in field.get("anyOf", []) for inner in _variants(variant, root)] or [field]


def _value(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) and value else json.dumps(value)


def experiment_settings() -> str:
    """Every setting of an experiment: those that stand alone, then a section for each part of it."""
    parts: dict[str, list[Setting]] = {}
    for row in settings():
        part, dot, _ = row.key.partition(".")
        parts.setdefault(f"`{part}`" if dot else "Of the whole", []).append(row)
    heads = ("key", "values", "default", "meaning")
    return "\n\n".join(
        f"## {part}\n\n{table(heads, [(f'`{row.key}`', *row[1:]) for row in rows])}" for part, rows in parts.items()
    )


def _keys(kind: type[BaseModel]) -> str:
    fields = kind.model_fields.items()
    return table(("key", "means"), [(f"`{name}`", field.description or "") for name, field in fields])


def dataset_settings() -> str:
    """Every key of a dataset in a file."""
    return _keys(DatasetEntry)


def expectation_settings() -> str:
    """Every key of an expectation in a file."""
    return _keys(Expectation)


def expectation_types() -> str:
    """What may be expected: types of Great Expectations, and what they take."""
    rows = [
        (f"`{name}`", ", ".join(f"`{value}`" for value in kind.takes), kind.sentence.format(column="a fact"))
        for name, kind in EXPECTATIONS.items()
    ]
    return table(("type", "takes", "about"), rows)


def study_settings() -> str:
    """Every key of a study in a file."""
    return _keys(StudyEntry)


def question_settings() -> str:
    """Every key of a study's question in a file."""
    return _keys(QuestionEntry)


def tags() -> str:
    """Every tag of a run."""
    return table(("tag", "says"), [(f"`{tag}`", meaning) for tag, meaning in TAGS.items()])


def metrics() -> str:
    """Every metric of a run."""
    return table(("metric", "says"), [(f"`{metric}`", meaning) for metric, meaning in METRICS.items()])


def corruptions() -> str:
    """The kinds of corruption, as words of a sentence."""
    return ", ".join(f"`{kind}`" for kind in KINDS)


def variables() -> str:
    """Every environment variable of ours."""
    return table(("variable", "means"), [(f"`{name}`", meaning) for name, meaning in VARIABLES.items()])


def honoured() -> str:
    """The variables of others that we read or hand on."""
    return table(("variable", "means"), [(f"`{name}`", meaning) for name, meaning in HONOURED.items()])


def set_aside() -> str:
    """The variables of others that would lead them away from what was asked."""
    rows: dict[str, list[str]] = {}
    effect = ""
    for name, meaning in SET_ASIDE.items():
        effect = effect if meaning.startswith("the same") else meaning
        rows.setdefault(effect, []).append(f"`{name}`")
    return table(("variable", "what it would do"), [(", ".join(names), effect) for effect, names in rows.items()])


MAKERS: tuple[Callable[[], str], ...] = (
    commands,
    experiment_settings,
    dataset_settings,
    expectation_settings,
    expectation_types,
    study_settings,
    question_settings,
    tags,
    metrics,
    corruptions,
    variables,
    honoured,
    set_aside,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of other folders."""
    from mkdocs.structure.files import File

    for page in PAGES:
        files.append(File.generated(config, page, content=(ROOT / page).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put in the tables, and lead links to the pages of other folders to where the site has them."""
    makers = {maker.__name__: maker for maker in MAKERS}
    filled = _GENERATED.sub(lambda asked: makers[asked[1]](), markdown)
    return filled.replace("](../../infra/", "](../infra/")
