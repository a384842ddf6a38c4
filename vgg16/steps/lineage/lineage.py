"""What the links of a version's lineage are checked by, each read once: the version, its run, its experiment, its
ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from vgg16.config.types import Experiment
from vgg16.errors import RequestError, Vgg16Error, first_line
from vgg16.promotion import ledger, soundness
from vgg16.promotion.records import LedgerEntry
from vgg16.records import ModelVersion, TrackedRun
from vgg16.steps.fresh_process import FreshProcess
from vgg16.tracking.protocol import CheckedModel
from vgg16.workplace.workplace import Workplace


class GoneError(Vgg16Error):
    """What several links are checked by is gone, which is the fault of one `link`: that one is broken, the others
    cannot be checked."""

    def __init__(self, link: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.link = link


@dataclass(frozen=True)
class Lineage:
    """A version of a registered model with what it comes from; `scorer` asks it again, `say` shows what goes on.

    Each fact is read when it is first asked for. One that cannot be had raises GoneError, and a damaged one Vgg16Error,
    as often as it is asked for.
    """

    name: str
    number: str
    workplace: Workplace
    scorer: FreshProcess
    say: Callable[[str], None]

    @property
    def title(self) -> str:
        """The version, for a person."""
        return f"{self.name} version {self.number}"

    @cached_property
    def version(self) -> ModelVersion:
        """The version, as MLflow has it."""
        try:
            return self.workplace.tracker.registry.version(self.name, self.number)
        except RequestError as error:
            raise GoneError(
                "registry",
                f"Expected version {self.number} in MLflow, for the ledger names it; found that it was deleted there.",
                f"{error.hint} Promote one of them, or roll back: vgg16 history {self.name}",
            ) from None

    @cached_property
    def run(self) -> TrackedRun:
        """The run that made the version, also one that lies in MLflow's trash."""
        run_id = self.version.run_id
        try:
            return self.workplace.tracker.runs.get(run_id)
        except Exception as error:  # what MLflow raises is of many kinds, and its own
            raise GoneError(
                "run",
                f"Expected the run {run_id} in MLflow, found none: {first_line(error)}",
                "Bring MLflow's database back from a copy, or train again.",
            ) from None

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the run keeps of itself."""
        run_id = self.run.run_id
        try:
            return self.workplace.tracker.results.experiment(run_id)
        except Exception as error:  # of a file that is gone MLflow raises what its place raises
            raise GoneError(
                "settings",
                f"Expected the run's file experiment.json, found none that can be read: {first_line(error)}",
                f"Bring it back from a copy to the artifacts of the run {run_id}, or train again.",
            ) from None

    @cached_property
    def history(self) -> list[LedgerEntry]:
        """The ledger of the registered model."""
        try:
            return ledger.entries(self.workplace.store, self.name)
        except Vgg16Error as error:
            raise GoneError("registry", error.message, error.hint) from None

    @property
    def readable(self) -> list[LedgerEntry]:
        """The ledger; nothing where it is damaged, which the link `registry` tells."""
        try:
            return self.history
        except GoneError:
            return []

    @property
    def entries(self) -> list[LedgerEntry]:
        """What the readable ledger says of this version."""
        return [entry for entry in self.readable if entry.version == self.number]

    @cached_property
    def files(self) -> CheckedModel:
        """What the version's files say, held against MLflow and the ledger."""
        return soundness.check(self.workplace.tracker.registry, self.name, self.version.version, self.entries)
