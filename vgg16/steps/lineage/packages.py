"""The packages that a training runs with: a list that its run keeps, and the digest of it."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import distributions

from vgg16.reports.text import plural

# Packages that are named where more of them differ.
_NAMED = 3


def installed() -> str:
    """What is installed here, `name==version` a line, sorted: a lock that pip takes."""
    named = ((one.metadata["Name"], one.version) for one in distributions())
    lines = {f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}" for name, version in named if name}
    return "".join(f"{line}\n" for line in sorted(lines))


def digest(listed: str) -> str:
    """The sha256 of such a list, in hexadecimal digits."""
    return hashlib.sha256(listed.encode()).hexdigest()


def compared(listed: str) -> str:
    """A list beside what is installed here, in words."""
    then, now = {*listed.split()}, {*installed().split()}
    if then == now:
        return f"{plural(len(then), 'package')}, the very ones that are here"
    other = sorted(then - now)
    named = ", ".join(other[:_NAMED]) + (f" and {len(other) - _NAMED} more" if len(other) > _NAMED else "")
    differ = f"not here: {named}" if other else f"{plural(len(now - then), 'more package')} are here"
    return f"{plural(len(then), 'package')}, {differ}"
