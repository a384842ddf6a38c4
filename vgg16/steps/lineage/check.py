"""Every link of a version's lineage, from the version back to its data, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from vgg16.config.types import Frozen
from vgg16.errors import Vgg16Error, first_line
from vgg16.steps.lineage.data import data, review
from vgg16.steps.lineage.exports import exports
from vgg16.steps.lineage.gate import gate
from vgg16.steps.lineage.lineage import GoneError, Lineage
from vgg16.steps.lineage.registered import model, registry
from vgg16.steps.lineage.trained import base, commit, lock, run, settings


class CheckedLink(Frozen):
    """A link: `detail` says what was seen and, where it is not ok, what was expected and what to do. One that is `not
    checked` has nothing to be checked by, for another one is broken."""

    name: str
    ok: bool
    status: Literal["ok", "broken", "not checked"]
    detail: str


class Link(NamedTuple):
    """How a link is checked: what it says where it holds; it raises where it does not. `needs` are those that must hold
    before it means anything."""

    check: Callable[[Lineage], str]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it is called in answers."""
        return self.check.__name__


LINKS = (
    Link(registry),
    Link(model),
    Link(run),
    Link(settings),
    Link(data),
    Link(review),
    Link(base),
    Link(commit),
    Link(lock),
    Link(exports),
    Link(gate, needs=("model", "data")),
)


def check(lineage: Lineage) -> list[CheckedLink]:
    """Every link's result, said before it is checked; one that is broken keeps no other from being checked."""
    checked: dict[str, CheckedLink] = {}
    for link in LINKS:
        lineage.say(f"checking {link.name}")
        checked[link.name] = _checked(link, lineage, checked)
    return list(checked.values())


def broken(links: Sequence[CheckedLink]) -> list[str]:
    """The names of those that do not hold, in their order."""
    return [link.name for link in links if link.status == "broken"]


def _checked(link: Link, lineage: Lineage, before: Mapping[str, CheckedLink]) -> CheckedLink:
    if missing := [name for name in link.needs if not before[name].ok]:
        return _unchecked(link, missing)
    try:
        return CheckedLink(name=link.name, ok=True, status="ok", detail=link.check(lineage))
    except GoneError as error:
        if error.link != link.name:
            return _unchecked(link, [error.link])
        detail = str(error)
    except Vgg16Error as error:
        detail = str(error)
    except Exception as error:  # damage is of many kinds, and the other links are of use all the same
        detail = f"{type(error).__name__}: {first_line(error)}"
    return CheckedLink(name=link.name, ok=False, status="broken", detail=" ".join(detail.split()))


def _unchecked(link: Link, missing: Sequence[str]) -> CheckedLink:
    verb = "is" if len(missing) == 1 else "are"
    detail = f"cannot be checked while {' and '.join(missing)} {verb} broken"
    return CheckedLink(name=link.name, ok=False, status="not checked", detail=detail)
