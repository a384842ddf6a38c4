"""What a person is told when something cannot be done: what was expected, what was found, what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from vgg16.shown import without_secrets


class Vgg16Error(Exception):
    """It failed: network, disk, permission, a damaged object, all members diverged. Exit status 1.

    `facts` are added to the command line's JSON answer. The texts lose the secrets in their addresses: they are shown,
    logged and kept beside runs.
    """

    status = 1
    kind = "failed"

    def __init__(self, message: str, hint: str = "", facts: Mapping[str, object] | None = None) -> None:
        message, hint = without_secrets(message), without_secrets(hint)
        super().__init__(message, hint, facts)
        self.message = message
        self.hint = hint
        self.facts = dict(facts or {})

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


class WeightsError(Vgg16Error):
    """Weights of a network that a training starts from are not to be had: the `failed` step is the `download` of
    ImageNet's or the `read` of a file. `source` is where they were to come from, `setting` what names another place."""

    def __init__(  # noqa: PLR0917  # exceptions are copied between processes by position
        self, failed: str, backbone: str, source: str, setting: str, message: str, hint: str
    ) -> None:
        super().__init__(message, hint)
        self.args = (failed, backbone, source, setting, message, hint)
        self.failed, self.backbone, self.source, self.setting = failed, backbone, source, setting


class DataError(Vgg16Error):
    """Data that failed its expectations; the facts are dataset, digest, failed and docs. Exit status 3."""

    status = 3
    kind = "data"


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; the name of its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
