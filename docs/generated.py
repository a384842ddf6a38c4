"""What the docs site makes of the code when it is built: the reference's tables, and the pages of `infra/`.

mkdocs calls the functions `on_...`. A page asks for a table by a line such as `<!-- generated: tags -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vgg16.cli.main import cli
from vgg16.config.types import Experiment, Question
from vgg16.evaluation.corruptions import KINDS
from vgg16.tracking.tags import METRICS, TAGS
from vgg16.workplace import settings

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


def settings_of(schema: Mapping[str, Any], whole: Sequence[str] = ()) -> list[Setting]:
    """The settings of a type, from its JSON schema; what a key of `whole` holds is not opened."""
    return list(_settings(schema, schema.get("$defs", {}), "", whole))


def _settings(node: Mapping[str, Any], types: Mapping[str, Any], path: str, whole: Sequence[str]) -> Iterator[Setting]:
    for name, field in node["properties"].items():
        key, variants = f"{path}{name}", _variants(field, types)
        inner = next((variant for variant in variants if "properties" in variant), None)
        items = next((_variants(variant["items"], types)[0] for variant in variants if "items" in variant), {})
        if "properties" in items and name not in whole:
            yield from _settings(items, types, f"{key}.N.", whole)
            continue
        if inner is None or len(variants) > 1:
            default = _value(field["default"]) if "default" in field else "must be given"
            allowed = ", ".join(dict.fromkeys(_allowed(variant, types) for variant in variants))
            yield Setting(key, allowed, default, field.get("description", ""))
        if inner is not None:
            yield from _settings(inner, types, f"{key}.", whole)


def _variants(field: Mapping[str, Any], types: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in field:
        return [types[field["$ref"].rpartition("/")[2]]]
    return [inner for variant in field.get("anyOf", []) for inner in _variants(variant, types)] or [field]


_KINDS = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "`true`, `false`"}


def _allowed(variant: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """The values that a variant of a field takes."""
    if "enum" in variant or "const" in variant:
        return ", ".join(f"`{value}`" for value in variant.get("enum", [variant.get("const")]))
    if "pattern" in variant:
        return f"text like `{variant['pattern']}`"
    kind = variant.get("type", "")
    if kind == "null":
        return "`none`"
    if kind == "array":
        return f"a list; each {_allowed(variant['items'], types)}" if variant.get("items") else "a list"
    if kind not in _KINDS:
        return "an object of the keys below" if "properties" in variant else "an object"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {variant[limit]:g}" for limit, word in words.items() if limit in variant]
    return ", ".join([_KINDS[kind], " and ".join(limits)] if limits else [_KINDS[kind]])


def _value(value: object) -> str:
    return "`none`" if value is None else f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def setting_table(rows: Sequence[Setting]) -> str:
    """A table of settings."""
    cells = [(f"`{row.key}`", row.allowed, row.default, row.meaning) for row in rows]
    return table(("key", "values", "default", "meaning"), cells)


def experiment_settings() -> str:
    """Every setting of an experiment: those that stand alone, then a section for each part of it."""
    parts: dict[str, list[Setting]] = {}
    for row in settings_of(Experiment.model_json_schema()):
        part, dot, _ = row.key.partition(".")
        parts.setdefault(f"`{part}`" if dot else "Of the whole", []).append(row)
    return "\n\n".join(f"## {part}\n\n{setting_table(rows)}" for part, rows in parts.items())


def question_settings() -> str:
    """Every key of a study's question."""
    return setting_table(settings_of(Question.model_json_schema(), whole=("members",)))


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
    return table(("variable", "means"), [(f"`{name}`", meaning) for name, meaning in settings.VARIABLES.items()])


def honoured() -> str:
    """The variables of others that we read or hand on."""
    return table(("variable", "means"), [(f"`{name}`", meaning) for name, meaning in settings.HONOURED.items()])


MAKERS = {
    maker.__name__: maker
    for maker in (commands, experiment_settings, question_settings, tags, metrics, corruptions, variables, honoured)
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of other folders."""
    from mkdocs.structure.files import File

    for page in PAGES:
        files.append(File.generated(config, page, content=(ROOT / page).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put in the tables, and lead links to the pages of other folders to where the site has them."""
    filled = _GENERATED.sub(lambda asked: MAKERS[asked[1]](), markdown)
    return filled.replace("](../../infra/", "](../infra/")
