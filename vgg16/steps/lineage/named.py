"""What a person calls a version becomes the version that is meant."""

from __future__ import annotations

from vgg16.errors import RequestError, Vgg16Error
from vgg16.promotion import ledger
from vgg16.tracking.protocol import model_name
from vgg16.workplace.workplace import Workplace

_CHAMPION = "champion"


def find(text: str, workplace: Workplace) -> tuple[str, str]:
    """The registered model and the number of a version: `digits` and `vgg16-digits` are the one in production,
    `vgg16-digits@challenger` and `vgg16-digits/3` say which, and an address is as `vgg16 predict --model` takes it.

    A number that MLflow has no more, but the ledger names, is answered too. Raises RequestError, which says what there
    is.
    """
    registry = workplace.tracker.registry
    if text.startswith(("runs:/", "models:/m-")):
        version = registry.version_at(text)
        return version.name, version.version
    named = text.removeprefix("models:/")
    name, slash, number = named.partition("/")
    name, at, alias = (name, "", "") if slash else named.partition("@")
    if (slash and not number) or (at and not alias) or "/" in number or "@" in number:
        raise RequestError(f"Expected NAME, NAME@ALIAS, NAME/VERSION or an address of a model, found {text!r}.")
    name = name if name in registry.names() else model_name(name.removeprefix(model_name("")))
    registry.check_name(name)
    if number.isdigit():
        number = str(int(number))
        if not _in_ledger(name, number, workplace):
            registry.version(name, number)
        return name, number
    if slash:
        return name, registry.version_at(f"models:/{name}/{number}").version
    return name, _aliased(name, alias, workplace)


def _aliased(name: str, alias: str, workplace: Workplace) -> str:
    registry = workplace.tracker.registry
    try:
        return registry.version_at(f"models:/{name}@{alias or _CHAMPION}").version
    except RequestError:
        promoted = _promoted(name, workplace) if alias in ("", _CHAMPION) else ""
        if promoted:
            return promoted
    there = ", ".join(f"{name}/{one.version} ({one.stage})" for one in registry.versions(name))
    missing = f"no version with the alias {alias!r}" if alias else "no version in production"
    raise RequestError(f"{name} has {missing}.", f"There are: {there}." if there else "It has no version at all.")


def _promoted(name: str, workplace: Workplace) -> str:
    """What the ledger has in production, which MLflow may have lost; "" for none."""
    try:
        promoted = ledger.productions(ledger.entries(workplace.store, name))
    except Vgg16Error:
        return ""
    return promoted[-1] if promoted else ""


def _in_ledger(name: str, number: str, workplace: Workplace) -> bool:
    try:
        return any(entry.version == number for entry in ledger.entries(workplace.store, name))
    except Vgg16Error:
        return False
