"""What a service says of itself in its log: each thing once, until it changes."""

from __future__ import annotations

from collections.abc import Callable

from vgg16.serving.metrics import Metrics


class Notices:
    """What was said last of each matter, such as the ledger. Written by one thread."""

    def __init__(self, metrics: Metrics, say: Callable[[str], None]) -> None:
        self.metrics, self.say = metrics, say
        self._last: dict[str, str] = {}

    def fail(self, matter: str, message: str) -> None:
        """Count a failure, and tell it."""
        self.metrics.failures.labels(matter).inc()
        self.tell(matter, message)

    def tell(self, matter: str, message: str) -> None:
        """Say it where it is not what was said last."""
        if self._last.get(matter) != message:
            self._last[matter] = message
            self.say(message)

    def recovered(self, matter: str, message: str) -> None:
        """Say that all is well again, where something was said."""
        if self._last.pop(matter, None):
            self.say(message)

    def stands(self, matter: str) -> bool:
        """Whether something was said of it, and it has not recovered since."""
        return matter in self._last

    def forget(self, *matters: str) -> None:
        """Say what was said once more, should it come again."""
        for matter in matters:
            self._last.pop(matter, None)
