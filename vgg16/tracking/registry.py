"""Registered models, their versions, stages and aliases in MLflow, and through `Tracking` the runs.

Stages are deprecated in MLflow but asked for: a version's stage and alias move together in `move`, nowhere else.
"""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import mlflow
from mlflow.entities import RunData, ViewType
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import get_model_name_and_version

from vgg16.data.images import Images
from vgg16.errors import RefusedError, RequestError
from vgg16.records import DatasetRef, ModelVersion, Run, Stage, Verdict
from vgg16.tracking import logged_models
from vgg16.tracking.logged_models import SHA256, LoggedModel, first_line, is_final
from vgg16.tracking.runs import DATASET, Tracking, dataset_of

if TYPE_CHECKING:
    import keras


_ADDRESSES = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID or runs:/RUN/model"


# Tags of a registered model: the address of its ledger, who would like to be that, the last entry that stages follow.
_LEDGER = "vgg16.ledger"


_CLAIM = "vgg16.ledger-claim."


_FOLLOWED = "vgg16.followed"


# What goes into a filter of MLflow's.
_NAME = r"[\w.-]+"


# How often a row that several processes write at one moment is tried again; each time one of them has written it.
_TIMES = 5


# Runs that are asked for at once.
_PAGE = 500


ALIASES: dict[Stage, str] = {"Staging": "challenger", "Production": "champion"}


# What a registered model's page says above its versions.
_ABOUT_MODEL = """\
All versions that `vgg16` trained on **{dataset}**. Each has its model card as description, and what the gates said of \
it in the tags `vgg16.verdict` and `vgg16.reasons`.

- Alias `champion` is the version in production (stage Production), alias `challenger` the one that awaits a decision \
(Staging). What both replaced is Archived.
- Where the stage is: on the page of each version, and in this list once the switch *New model registry UI* is off.
- The ledger decides, and stages and aliases follow it: `vgg16 history {name}` tells who promoted what, when and why.
"""


def model_name(dataset: str) -> str:
    """The registered model that a dataset's challengers and champion are versions of."""
    return f"vgg16-{dataset}"


def connect(tracking_uri: str, artifacts: Path | None) -> Registry:
    """The registry at an MLflow tracking address; `artifacts` is the folder for the files of a local database."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return Registry(artifacts)


@dataclass(frozen=True)
class Shown:
    """What MLflow shows of a registered model: the stage of each version, also of one that is not ours; the version
    that is called champion ("" for none); the store of the ledger ("" before the first promotion); and the number of
    the last ledger entry that stages and alias were seen to follow (0 for none)."""

    stages: dict[str, str]
    champion: str
    ledger: str
    followed: int

    @property
    def production(self) -> list[str]:
        """The versions of the stage Production, which MLflow allows to be several."""
        return [version for version, stage in self.stages.items() if stage == "Production"]

    def has_in_production(self, version: str) -> bool:
        """Whether stage and alias both say that this version, and no other, is in production; "" for none."""
        return self.production == [version] * bool(version) and self.champion == version


class Registry(Tracking):
    """What this project asks of MLflow."""

    def register(self, name: str, run_id: str, model_uri: str) -> ModelVersion:
        """The registered version of a run's model; asked twice for one run, it answers the same version."""
        for version in self.versions(name):
            if version.run_id == run_id:
                return version
        about = _ABOUT_MODEL.format(name=name, dataset=name.removeprefix(model_name("")))
        try:
            self.client.create_registered_model(name, description=about)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # A server takes a model that is no file of the run by its id alone.
        model_id = model_uri.removeprefix("models:/")
        # A database forgets which logged model a version is: the version has the digest too.
        kept = {SHA256: self.client.get_logged_model(model_id).tags.get(SHA256, "")}
        made = self.client.create_model_version(name, model_uri, run_id=run_id, tags=kept, model_id=model_id)
        self.client.set_tag(run_id, "vgg16.model", f"{name}/{made.version}")
        return self._version(made, self._data_of([run_id]).get(run_id))

    def with_version(self, run: Any) -> Run:
        """What `record_of` tells, with the version that the run became, if any."""
        versions = self.versions(model_name(dataset_of(run).name))
        return self.record_of(run, next((each for each in versions if each.run_id == run.info.run_id), None))

    def names(self) -> list[str]:
        """All registered models of this project."""
        found: list[str] = []
        token = None
        while token != "":
            page = self.client.search_registered_models(f"name LIKE '{model_name('%')}'", page_token=token)
            found += [model.name for model in page]
            token = page.token or ""
        return found

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a registered model that runs of this project made, the first one first."""
        found = self._found(name)
        runs = self._data_of([each.run_id for each in found])
        return [self._version(each, runs.get(each.run_id)) for each in found]

    def shown(self, name: str) -> Shown:
        """What MLflow shows of a registered model's stages, in two requests however many versions there are."""
        model = self.client.get_registered_model(name)
        return Shown(
            stages={str(each.version): each.current_stage for each in self._all(name)},
            champion=str(model.aliases.get(ALIASES["Production"], "")),
            ledger=model.tags.get(_LEDGER, ""),
            followed=int(model.tags.get(_FOLLOWED, 0)),
        )

    def claim_ledger(self, name: str, address: str) -> None:
        """Say for all clients that the ledger in this store decides on this model. Raises RefusedError where another
        one does.

        MLflow sets a tag whatever it was before, so each client first sets one of its own, and wins only if it then
        sees none of another store: of two that come at once at most one does, for who writes second sees the first.
        """
        if self.client.get_registered_model(name).tags.get(_LEDGER) == address:
            return
        claim = f"{_CLAIM}{secrets.token_hex(6)}"
        _write(self.client.set_registered_model_tag, name, claim, address)
        tags = self.client.get_registered_model(name).tags
        others = {tag: of for tag, of in tags.items() if tag.startswith(_LEDGER) and of != address}
        if not others:
            _write(self.client.set_registered_model_tag, name, _LEDGER, address)
        _write(self.client.delete_registered_model_tag, name, claim)
        if _LEDGER in others:
            raise RefusedError(
                f"The ledger of {name} is in {others[_LEDGER]}, but the store here is {address}.",
                f"Set VGG16_STORE={others[_LEDGER]}",
            )
        if others:
            tag, of = next(iter(others.items()))
            raise RefusedError(
                f"The ledger of {name} is claimed for {of} at the same time as for {address}.",
                f"Try again, or set VGG16_STORE={of}; a claim that stays was cut off: then remove its tag, {tag}.",
            )

    def note_followed(self, name: str, number: int) -> None:
        """Say for all clients that stages and alias are what the ledger's entry of this number says."""
        _write(self.client.set_registered_model_tag, name, _FOLLOWED, str(number))

    def mark(self, name: str, version: str, mark: Literal["forced", "adopted"], reason: str) -> None:
        """Say on the version, for ever, that no gate let it into production, and why it came there."""
        _write(self.client.set_model_version_tag, name, version, f"vgg16.{mark}", reason[:5000])

    def check_name(self, name: str) -> None:
        """Raises RequestError, which names the registered models that exist, for one that does not."""
        try:
            if re.fullmatch(_NAME, name):
                self.client.get_registered_model(name)
                return
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        names = ", ".join(self.names())
        hint = f"There are: {names}." if names else "Train one: vgg16 run digits-scratch"
        raise RequestError(f"There is no registered model {name!r}.", hint)

    def known_versions(self, name: str) -> list[ModelVersion]:
        """All versions of a registered model, which runs of this project made. Raises RequestError for no model."""
        self.check_name(name)
        return self.versions(name)

    def version(self, name: str, version: str) -> ModelVersion:
        """One version. Raises RequestError that names those that exist."""
        self.check_name(name)
        try:
            found = self.client.get_model_version(name, version)
            if found.run_id and str(found.version) == version:
                return self._version(found, self._data_of([found.run_id]).get(found.run_id))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        known = [str(each.version) for each in self._found(name)]
        raise RequestError(f"{name} has no version {version!r}.", f"There are: {', '.join(known)}.")

    def interchangeable(self, name: str, version: str, other: str) -> bool:
        """Whether runs of ours made both versions, with the digest of what they logged and for the same classes; with
        "" for the other, whether the first is ours."""
        answered = []
        for each in filter(None, (version, other)):
            found = self.client.get_model_version(name, each)
            run = self._data_of([found.run_id]).get(found.run_id) if found.run_id else None
            if run is None or not found.tags.get(SHA256) or DATASET not in run.tags:
                return False
            answered.append(DatasetRef.model_validate_json(run.tags[DATASET]).class_names)
        return answered[0] == answered[-1]

    def champions(self) -> list[ModelVersion]:
        """The version in production of every registered model that has one."""
        return [each for name in self.names() for each in self.versions(name) if each.stage == "Production"]

    def move(self, name: str, version: str, stage: Stage) -> None:
        """Stage and alias of a version, together; the one it takes the place of is archived.

        Running twice is running once.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, message=".*stage.*")
            alone = stage in ("Staging", "Production")
            _write(self.client.transition_model_version_stage, name, version, stage, archive_existing_versions=alone)
        for of_stage, alias in ALIASES.items():
            holder = self.client.get_registered_model(name).aliases.get(alias)
            if of_stage == stage:
                _write(self.client.set_registered_model_alias, name, alias, version)
            elif holder is not None and str(holder) == version:
                _write(self.client.delete_registered_model_alias, name, alias)

    def follow(self, name: str, production: str) -> None:
        """Make stages and alias what the ledger says: this version in production, "" for none. A version that was
        deleted in MLflow leaves none in production."""
        shown = self.shown(name)
        if shown.has_in_production(production):
            return
        if production in shown.stages:
            self.move(name, production, "Production")
            return
        for version in shown.production:
            self.move(name, version, "Archived")
        if shown.champion:
            _write(self.client.delete_registered_model_alias, name, ALIASES["Production"])

    def tag(self, name: str, version: str, verdict: Verdict) -> None:
        """Write the verdict on the version, and on its run where that was not deleted."""
        run_id = self.client.get_model_version(name, version).run_id
        standing = self.standing(run_id)
        for tag, value in {"vgg16.verdict": verdict.verdict, "vgg16.reasons": "; ".join(verdict.reasons)}.items():
            _write(self.client.set_model_version_tag, name, version, tag, value)
            if standing:
                self.client.set_tag(run_id, tag, value)

    def describe(self, name: str, version: str, card: str) -> None:
        """Make this the version's description, in Markdown."""
        self.client.update_model_version(name, version, card)

    def reasons(self, name: str, version: str) -> str:
        """Why the gates said what they said of the version last, "" where they were not asked."""
        return str(self.client.get_model_version(name, version).tags.get("vgg16.reasons", ""))

    def log_model(self, model: keras.Model, class_names: tuple[str, ...], example: Images) -> str:
        """Log the model with signature, input example, class names and what serves it in the active run; its
        `models:/` address."""
        return logged_models.log(self.client, model, class_names, example)

    def logged_model(self, run_id: str) -> str:
        """The address of the model that was logged in a run, "" where none was logged to its end."""
        found = self.client.search_logged_models(
            [self.client.get_run(run_id).info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
        whole = [str(each.model_uri) for each in found if SHA256 in each.tags]
        return whole[0] if whole else ""

    def load(self, model_uri: str) -> tuple[keras.Model, tuple[str, ...]]:
        """A logged or registered model and its class names. Raises RequestError for an address that names no model, and
        what `logged_models.load` does."""
        return logged_models.load(self._find(model_uri), in_place=bool(self.artifacts))

    def megabytes(self, model_uri: str) -> float:
        """The size of a model's file in MB of 10^6 bytes, without reading it. Raises as `load` does."""
        return logged_models.megabytes(self._find(model_uri))

    def _find(self, model_uri: str) -> LoggedModel:
        try:
            run = re.fullmatch(r"runs:/(\w+)/model", model_uri)
            named = self.logged_model(run[1]) if run else model_uri
            if not re.fullmatch(r"models:/[^/]+(/[^/]+)?", named):
                raise self._no_model(model_uri, f"expected {_ADDRESSES}.")
            found = get_model_name_and_version(self.client, named)
            kept = self.client.get_logged_model(*found) if len(found) == 1 else self.client.get_model_version(*found)
        except MlflowException as error:
            if not is_final(error) and "No versions of model" not in str(
                error
            ):  # that is how it tells of an empty stage
                raise
            raise self._no_model(model_uri, first_line(error)) from None
        return LoggedModel(model_uri, "models:/" + "/".join(str(part) for part in found), kept.tags.get(SHA256, ""))

    def _no_model(self, model_uri: str, why: str) -> RequestError:
        known = [f"models:/{version.name}@champion" for version in self.champions()]
        hint = f"There {'are' if len(known) > 1 else 'is'}: {', '.join(known)}." if known else ""
        return RequestError(f"No model at {model_uri!r}: {why}", hint)

    def _all(self, name: str) -> list[MlflowVersion]:
        if not re.fullmatch(_NAME, name):
            return []
        return sorted(self.client.search_model_versions(f"name='{name}'"), key=lambda each: int(each.version))

    def _found(self, name: str) -> list[MlflowVersion]:
        return [each for each in self._all(name) if each.run_id]

    def _data_of(self, run_ids: list[str]) -> dict[str, RunData]:
        """Metrics and tags of these runs, the deleted ones too, by id: a few requests, not one for each."""
        experiments = [each.experiment_id for each in self.client.search_experiments(ViewType.ALL)]
        data: dict[str, RunData] = {}
        for start in range(0, len(run_ids), _PAGE):
            ids = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + _PAGE])
            found = self.client.search_runs(experiments, f"attributes.run_id IN ({ids})", ViewType.ALL, _PAGE)
            data |= {run.info.run_id: run.data for run in found}
        return data

    def _version(self, found: MlflowVersion, run: RunData | None) -> ModelVersion:
        run = run or RunData()  # deleted for good, and the version is still of use
        return ModelVersion(
            name=found.name,
            version=str(found.version),
            stage=found.current_stage or "None",
            run_id=found.run_id,
            experiment=run.tags.get("vgg16.experiment", ""),
            verdict=found.tags.get("vgg16.verdict", ""),
            metrics=run.metrics,
        )


def _write(write: Callable[..., Any], *row: str, **options: bool) -> None:
    """Write a tag, an alias or a stage, once more where another process did so at the same moment: MLflow looks whether
    the row is there and then inserts it, and calls what comes between a bad request."""
    for _ in range(_TIMES):
        try:
            write(*row, **options)
            return
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
    write(*row, **options)
