"""The base of every value that is asked for or recorded."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

NONE = "none"


def _or_none(value: Any) -> Any:
    return None if value == NONE else value


# A field that may have no value: where there is no null, in TOML and after `--set`, "none" says so.
OrNone = BeforeValidator(_or_none)


class Frozen(BaseModel):
    """A value that cannot change and has no keys but its own; the text below a field describes it in the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)
