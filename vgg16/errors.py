"""What a person is told when something cannot be done: what was expected, what was found, what to do next."""

from __future__ import annotations


class Vgg16Error(Exception):
    """It failed: network, disk, permission, a damaged object, all members diverged. Exit status 1."""

    status = 1
    kind = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class RequestError(Vgg16Error):
    """The request itself was wrong: an unknown name, key or value. Exit status 2."""

    status = 2
    kind = "request"


class RefusedError(Vgg16Error):
    """A version that may not be promoted. Exit status 3."""

    status = 3
    kind = "refused"


class DataError(Vgg16Error):
    """Data that failed its expectations. `facts` carries dataset, failed and docs for the answer. Exit status 3."""

    status = 3
    kind = "data"

    def __init__(self, message: str, hint: str = "", facts: dict[str, object] | None = None) -> None:
        super().__init__(message, hint)
        self.facts = facts or {}
