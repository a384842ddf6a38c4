"""The base of every value that is asked for or recorded."""

from __future__ import annotations

import math
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

NONE = "none"


def _or_none(value: Any) -> Any:
    return None if value == NONE else value


# A field that may have no value: where there is no null, in TOML and after `--set`, "none" says so.
OrNone = BeforeValidator(_or_none)


class Frozen(BaseModel):
    """A value that cannot change and has no keys but its own; the text below a field describes it in the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


# The validation context of what an earlier version has kept: it is read whatever is refused now.
KEPT = "kept"


class Setting(Frozen):
    """A part of what is asked for: its numbers are finite, and true is none of them."""

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        values = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(each, bool) for each in values):
            kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
            if bool not in kinds and kinds.intersection({int, float}):
                raise ValueError("expected a number")
        return value

    @field_validator("*")
    @classmethod
    def _finite(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, float) and not math.isfinite(value) and info.context != KEPT:
            raise ValueError("expected a finite number")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation."""
    return {annotation}.union(*(_kinds(inner) for inner in get_args(annotation)))
