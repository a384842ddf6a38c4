"""What settings there are, from the types: the JSON schema of `vgg16.toml`, and each setting with what it allows and
means."""

from __future__ import annotations

from typing import Any

from vgg16.config.catalog import SHIPPED
from vgg16.config.dataset_entries import NAME, DatasetEntry
from vgg16.config.overrides import flat
from vgg16.config.study_entries import QuestionEntry, StudyEntry
from vgg16.config.types import Experiment, Frozen

_NAMES = {"dataset.name": SHIPPED.datasets, "backbone.name": SHIPPED.backbones}
_TYPES: dict[Any, str] = {
    "null": "none",
    "boolean": "true, false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
}


class Setting(Frozen):
    """A setting of an experiment: the path that `--set` takes, its value, what it allows, and what it means."""

    key: str
    value: Any
    allowed: str
    meaning: str


def settings(experiment: Experiment) -> list[Setting]:
    """All settings of an experiment, in the order of the types."""
    schema = Experiment.model_json_schema()
    return [
        _setting(key, value, schema)
        for key, value in flat(experiment.model_dump(mode="json")).items()
        if key not in ("name", "description")
    ]


def _setting(key: str, value: Any, schema: dict[str, Any]) -> Setting:
    node, meaning = schema, ""
    for part in key.split("."):
        node = _resolved(_without_null(_resolved(node, schema)), schema)
        node = node["items"] if part.isdecimal() else node["properties"][part]
        meaning = node.get("description", meaning)
    words = ", ".join(_NAMES[key]) if key in _NAMES else allowed(node, schema)
    return Setting(key=key, value=value, allowed=words, meaning=meaning.replace("\n", " "))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a node of a schema refers to."""
    if "$ref" in node:
        definition: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return definition
    return node


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
    return options[0] if options else node


def allowed(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """What values a node of a schema allows, in words."""
    node = _resolved(node, schema)
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(allowed(option, schema) for option in node["anyOf"]))
    if "enum" in node:
        return ", ".join(map(str, node["enum"]))
    kind = node.get("type")
    if kind == "array":
        return f"list of {allowed(node['items'], schema)}"
    if "examples" in node:
        return f"{', '.join(node['examples'])} ..."
    return f"{_TYPES.get(kind, 'table')}{_range(node)}"


def _range(node: dict[str, Any]) -> str:
    signs = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [f"{sign} {node[name]}" for name, sign in signs.items() if name in node]
    return f" {' '.join(bounds)}" if bounds else ""


def project_schema() -> dict[str, Any]:
    """The JSON schema of `vgg16.toml`: experiments whose every setting may be left out, and studies of them."""
    schema = Experiment.model_json_schema()
    definitions = schema.pop("$defs")
    experiment = _as_entry(schema, definitions)
    experiment["title"] = "Experiment"
    del experiment["properties"]["name"]
    member = experiment | {"title": "Member", "properties": {**experiment["properties"], "name": {"type": "string"}}}
    question = QuestionEntry.model_json_schema()
    question["properties"]["members"]["items"] = {"$ref": "#/$defs/Member"}
    study = StudyEntry.model_json_schema()
    del study["$defs"]
    study["properties"]["extends"] = {"type": "string", "description": "The shipped study that this one changes."}
    study["required"] = []
    study["properties"]["questions"]["additionalProperties"] = {"$ref": "#/$defs/Question"}
    dataset = DatasetEntry.model_json_schema()
    definitions |= dataset.pop("$defs")
    for name, definition in definitions.items():
        definitions[name] = _worded(definition)
    names = {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vgg16.toml",
        "description": "A user's own datasets, experiments and studies.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "datasets": _table_of("Dataset", {"pattern": f"^{NAME.pattern}$"}, "Datasets of picture files by name."),
            "experiments": _table_of("Experiment", names, "Experiments by name."),
            "studies": _table_of("Study", names, "Studies by name."),
        },
        "$defs": {
            **definitions,
            "Dataset": _worded(dataset),
            "Experiment": _worded(experiment),
            "Member": _worded(member),
            "Question": question,
            "Study": study,
        },
    }


def _table_of(name: str, names: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "propertyNames": names,
        "additionalProperties": {"$ref": f"#/$defs/{name}"},
    }


def _as_entry(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """An experiment's schema as an entry's: nothing is required, `dataset` may be its name alone, and phases may be
    named by their numbers."""
    properties = dict(schema["properties"])
    properties["dataset"] = {"anyOf": [{"type": "string"}, properties["dataset"]]} | {
        "description": properties["dataset"].get("description", "")
    }
    definitions["DatasetChoice"].pop("required", None)
    phases = properties["phases"]
    numbered = {"type": "object", "patternProperties": {"^[0-9]+$": phases["items"]}, "additionalProperties": False}
    properties["phases"] = {
        "anyOf": [{key: phases[key] for key in ("type", "items", "minItems") if key in phases}, numbered],
        "description": phases.get("description", ""),
    }
    extends = {"type": "string", "description": "The experiment that this one changes, shipped or own."}
    entry = {key: value for key, value in schema.items() if key != "required"}
    return entry | {"properties": {"extends": extends, **properties}}


def _worded(node: Any) -> Any:
    """The schema with the word "none" where the types have no value: TOML has no null."""
    if isinstance(node, list):
        return [_worded(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if node == {"type": "null"}:
        return {"const": "none"}
    return {key: _worded(value) for key, value in node.items() if not (key == "default" and value is None)}
