"""Where this process works: what its settings name, opened once, and whom it speaks to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vgg16.config.types import Dataset
from vgg16.errors import RequestError, first_line
from vgg16.records import DatasetRef, EpochMetrics
from vgg16.storage import addresses, publishing
from vgg16.storage.store import Store
from vgg16.tracking import moved
from vgg16.workplace import settings, stack_file
from vgg16.workplace.settings import Settings

if TYPE_CHECKING:
    from vgg16.data.images import ImageSet
    from vgg16.data.squares import SquareCache
    from vgg16.tracking.protocol import Tracker


@dataclass(frozen=True)
class TrainingCallbacks:
    """Whom a training tells: of an epoch that ended; of steps, and of images through a frozen base, done of all."""

    epoch: Callable[[EpochMetrics], None] = lambda _: None
    step: Callable[[int, int], None] = lambda *_: None
    images: Callable[[int, int], None] = lambda *_: None


class Display(Protocol):
    """How the progress of work is shown, to a person and in the log of a run."""

    def say(self, text: str) -> None:
        """Show one line."""

    def training(self, name: str, epochs: int) -> AbstractContextManager[TrainingCallbacks]:
        """Show a training while it goes on."""

    def downloading(self, name: str) -> AbstractContextManager[Callable[[int, int | None], None]]:
        """Show a download while it goes on: the callback takes the bytes done and, where known, of how many."""

    def counting(self, what: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show work on many files while it goes on: the callback takes how many are done, and of how many."""


class Silence:
    """A display that shows nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def training(self, name: str, epochs: int) -> AbstractContextManager[TrainingCallbacks]:  # noqa: ARG002
        """Show nothing."""
        return nullcontext(TrainingCallbacks())

    def downloading(self, name: str) -> AbstractContextManager[Callable[[int, int | None], None]]:  # noqa: ARG002
        """Show nothing."""
        return nullcontext(lambda *_: None)

    def counting(self, what: str) -> AbstractContextManager[Callable[[int, int], None]]:  # noqa: ARG002
        """Show nothing."""
        return nullcontext(lambda *_: None)


@dataclass(frozen=True)
class Workplace:
    """What a step works with: the settings, the store, the tracker, and the display that it speaks through."""

    settings: Settings
    display: Display

    @property
    def home(self) -> Path:
        """The folder of everything that is kept on this machine."""
        return self.settings.home

    @cached_property
    def store(self) -> Store:
        """The store that the settings name."""
        return addresses.open_store(self.settings.store)

    @cached_property
    def tracker(self) -> Tracker:
        """The MLflow that the settings name."""
        if self.settings.owns_database:
            moved.follow_home(self.home, self.store)
        try:
            # Seconds, which what only reads the store does not wait for.
            from vgg16.tracking.connect import connect

            return connect(self.settings.tracking_uri, self.settings.artifacts)
        except ValueError as error:
            reason = f"MLflow does not take its settings: {first_line(error)}."
            raise RequestError(reason, "They are the variables that begin with MLFLOW_.") from None

    def say(self, text: str) -> None:
        """Show one line."""
        self.display.say(text)

    def fetch(self, key: str) -> Path:
        """A local folder with a published object's files, each checked against its manifest. Raises Vgg16Error."""
        return publishing.fetch(self.store, key, self.home / "cache")

    def dataset(self, ref: DatasetRef) -> ImageSet:
        """A published dataset."""
        # It imports NumPy, which a command that refuses a wrong request does without.
        from vgg16.data import published

        folder = self.fetch(ref.key)
        if not published.has_pictures(folder):
            return published.load(folder)
        return published.load_pictures(folder, self.dataset_row(ref).image_size, self.squares(ref.name).open)

    def squares(self, name: str) -> SquareCache:
        """Where this machine keeps the decoded pictures of a dataset of files."""
        from vgg16.data.squares import SquareCache  # as in `dataset`

        return SquareCache(self.store, self.home / "cache" / "squares" / name, self.display.counting)

    def dataset_row(self, ref: DatasetRef) -> Dataset:
        """What a published dataset is: its classes' groups, and what its images are like."""
        from vgg16.data import published  # as in `dataset`

        return published.row(self.store, ref)


def open_workplace(display: Display | None = None) -> Workplace:
    """The workplace of this process, with what libraries read in the environment set. Raises Vgg16Error where the data
    of the home are behind a stack that is down."""
    applied = settings.apply()
    stack_file.check(applied.home)
    return Workplace(applied, display or Silence())
