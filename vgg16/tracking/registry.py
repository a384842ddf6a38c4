"""Registered models, their versions, stages and aliases in MLflow, and the files of models.

Stages are deprecated in MLflow but asked for: a version's stage and alias move together in `move`, nowhere else.
"""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import mlflow
from mlflow.entities import RunData, ViewType
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException

from vgg16.data.images import Images
from vgg16.errors import RefusedError, RequestError, first_line
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef, ModelVersion, Stage, TrackedRun, Verdict
from vgg16.suggestions import nearest
from vgg16.tracking import logged_models
from vgg16.tracking.model_files import MODEL_DIGEST, SHA256, LoggedModel, is_final
from vgg16.tracking.protocol import CheckedModel, RegistryState, Runs, model_name, own_name, study_name
from vgg16.tracking.tags import DATASET

_ADDRESSES = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID or runs:/RUN/model"
# Tags of a registered model: the address of its ledger, who would like to be that, the last entry that stages follow,
# the entry of a promotion that is not finished.
_LEDGER = "vgg16.ledger"
_CLAIM = "vgg16.ledger-claim."
_FOLLOWED = "vgg16.followed"
_PROMOTING = "vgg16.promoting"
# Tags of a version: the date until which it waits in Staging, and why it does no more.
_WAITS_UNTIL = "vgg16.waits_until"
_WAITED = "vgg16.waited"
# And of its run: what the last verdict warned of, a line each.
_WARNINGS = "vgg16.warnings"
# What goes into a filter of MLflow's.
_NAME = r"[\w.-]+"
# How often a row that several processes write at one moment is tried again; each time one of them has written it.
_TIMES = 5
# Characters of a tag that PostgreSQL takes.
_LONGEST = 5_000
# Runs that are asked for at once.
_PAGE = 500
ALIASES: dict[Stage, str] = {"Staging": "challenger", "Production": "champion"}
# What a registered model's page says above its versions.
_ABOUT_MODEL = """\
All versions that `vgg16` trained on **{dataset}**. Each has its model card as description, and what the gates said of \
it in the tags `vgg16.verdict` and `vgg16.reasons`.

- Alias `champion` is the version in production (stage Production); what it replaced is Archived. All that await a \
decision are in Staging, the last one with the alias `challenger`.
- Where the stage is: on the page of each version, and in this list once the switch *New model registry UI* is off.
- The ledger decides, and stages and aliases follow it: `vgg16 history {name}` tells who promoted what, when and why.
"""
_ABOUT_STUDIES = """\
What studies on **{dataset}** have trained, to be compared with each other; each version has its model card as \
description. None of them is in production: `vgg16 promote {name} VERSION` makes one a version of `{own}` too, \
and judges it there.
"""


class MlflowRegistry:
    """The protocol `Registry` over an MLflow client. `in_place`: the files of models are on this machine."""

    def __init__(self, client: mlflow.MlflowClient, runs: Runs, *, in_place: bool) -> None:
        self.client = client
        self.runs = runs
        self.in_place = in_place

    # Names and versions

    def register(self, name: str, run_id: str, model_uri: str) -> ModelVersion:
        for version in self.versions(name):
            if version.run_id == run_id:
                self.client.set_tag(run_id, "vgg16.model", f"{name}/{version.version}")
                return version
        try:
            self.client.create_registered_model(name, description=_about(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # A server takes a model that is no file of the run by its id alone.
        model_id = model_uri.removeprefix("models:/")
        # A database forgets which logged model a version is: the version has the digests too.
        logged = self.client.get_logged_model(model_id).tags
        tags = {tag: logged.get(tag, "") for tag in (SHA256, MODEL_DIGEST)}
        made = self.client.create_model_version(name, model_uri, run_id=run_id, tags=tags, model_id=model_id)
        self.client.set_tag(run_id, "vgg16.model", f"{name}/{made.version}")
        return _version(made, self._data_of([run_id]).get(run_id))

    def with_version(self, run: TrackedRun) -> TrackedRun:
        names = (model_name(run.dataset.name), study_name(run.dataset.name)) if run.dataset else ()
        own = (version for name in names for version in self.versions(name) if version.run_id == run.run_id)
        return run.model_copy(update={"model": next(own, None)})

    def names(self) -> list[str]:
        names: list[str] = []
        token = None
        while token != "":
            page = self.client.search_registered_models(f"name LIKE '{model_name('%')}'", page_token=token)
            names += [model.name for model in page]
            token = page.token or ""
        return names

    def versions(self, name: str) -> list[ModelVersion]:
        own = self._own(name)
        runs = self._data_of([version.run_id for version in own])
        return [_version(version, runs.get(version.run_id)) for version in own]

    def known_versions(self, name: str) -> list[ModelVersion]:
        self.check_name(name)
        return self.versions(name)

    def version(self, name: str, version: str) -> ModelVersion:
        self.check_name(name)
        try:
            made = self.client.get_model_version(name, version)
            if made.run_id and str(made.version) == version:
                return _version(made, self._data_of([made.run_id]).get(made.run_id))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        own = self._own(name)
        waiting = [str(made.version) for made in own if made.current_stage == "Staging"]
        queue = f" In Staging, the first one first: {', '.join(waiting)}." if waiting else ""
        numbers = ", ".join(str(made.version) for made in own)
        raise RequestError(f"{name} has no version {version!r}.", f"There are: {numbers}.{queue}")

    def version_at(self, model_uri: str) -> ModelVersion:
        found = self._find(model_uri)
        if named := re.fullmatch(r"models:/([^/]+)/(\d+)", found.address):
            return self.version(*named.groups())
        run_id = self.client.get_logged_model(found.address.removeprefix("models:/")).source_run_id
        if run_id and (version := self.with_version(self.runs.get(run_id)).model):
            return version
        raise self._no_model(model_uri, "it is no version of a registered model.")

    def champions(self) -> list[ModelVersion]:
        every = (version for name in self.names() for version in self.versions(name))
        return [version for version in every if version.stage == "Production"]

    def check_name(self, name: str) -> None:
        try:
            if re.fullmatch(_NAME, name):
                self.client.get_registered_model(name)
                return
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        names = self.names()
        hint = nearest(name, names) if names else "Train one: vgg16 run digits-scratch"
        raise RequestError(f"There is no registered model {name!r}.", hint)

    def interchangeable(self, name: str, version: str, other: str) -> bool:
        class_names = []
        for number in filter(None, (version, other)):
            made = self.client.get_model_version(name, number)
            run = self._data_of([made.run_id]).get(made.run_id) if made.run_id else None
            if run is None or not made.tags.get(SHA256) or DATASET not in run.tags:
                return False
            class_names.append(DatasetRef.model_validate_json(run.tags[DATASET]).class_names)
        return class_names[0] == class_names[-1]

    # Stages and aliases

    def state(self, name: str) -> RegistryState:
        model = self.client.get_registered_model(name)
        return RegistryState(
            stages={str(version.version): version.current_stage for version in self._all(name)},
            champion=str(model.aliases.get(ALIASES["Production"], "")),
            ledger=model.tags.get(_LEDGER, ""),
            followed=int(model.tags.get(_FOLLOWED, 0)),
            promoting=int(model.tags.get(_PROMOTING, 0)),
            challenger=str(model.aliases.get(ALIASES["Staging"], "")),
        )

    def move(self, name: str, version: str, stage: Stage) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, message=".*stage.*")
            alone = stage == "Production"  # in Staging there is a queue
            _write(self.client.transition_model_version_stage, name, version, stage, archive_existing_versions=alone)
        for of_stage, alias in ALIASES.items():
            holder = self.client.get_registered_model(name).aliases.get(alias)
            if of_stage == stage:
                _write(self.client.set_registered_model_alias, name, alias, version)
            elif holder is not None and str(holder) == version:
                others = [other for other, found in self.state(name).stages.items() if found == of_stage]
                if others:
                    _write(self.client.set_registered_model_alias, name, alias, others[-1])
                else:
                    _write(self.client.delete_registered_model_alias, name, alias)

    def wait(self, version: ModelVersion, until: str) -> None:
        _write(self.client.set_model_version_tag, version.name, version.version, _WAITS_UNTIL, until)

    def end_wait(self, version: ModelVersion, reason: str) -> None:
        _write(self.client.set_model_version_tag, version.name, version.version, _WAITED, reason)
        self.move(version.name, version.version, "Archived")

    def follow(self, name: str, production: str) -> None:
        state = self.state(name)
        if state.has_in_production(production):
            return
        if production in state.stages:
            self.move(name, production, "Production")
            return
        for version in state.production:
            self.move(name, version, "Archived")
        if state.champion:
            _write(self.client.delete_registered_model_alias, name, ALIASES["Production"])

    # The ledger's marks, verdicts and descriptions

    def claim_ledger(self, name: str, address: str) -> None:
        # MLflow sets a tag whatever it was before, so each client first sets one of its own, and wins only if it then
        # sees none of another store: of two that come at once at most one does, for who writes second sees the first.
        if self.client.get_registered_model(name).tags.get(_LEDGER) == address:
            return
        claim = f"{_CLAIM}{secrets.token_hex(6)}"
        _write(self.client.set_registered_model_tag, name, claim, address)
        tags = self.client.get_registered_model(name).tags
        others = {tag: store for tag, store in tags.items() if tag.startswith(_LEDGER) and store != address}
        if not others:
            _write(self.client.set_registered_model_tag, name, _LEDGER, address)
        _write(self.client.delete_registered_model_tag, name, claim)
        if _LEDGER in others:
            raise RefusedError(
                f"The ledger of {name} is in {others[_LEDGER]}, but the store here is {address}.",
                f"Set VGG16_STORE={others[_LEDGER]}",
            )
        if others:
            tag, store = next(iter(others.items()))
            raise RefusedError(
                f"The ledger of {name} is claimed for {store} at the same time as for {address}.",
                f"Try again, or set VGG16_STORE={store}; a claim that stays was cut off: then remove its tag, {tag}.",
            )

    def note_followed(self, name: str, number: int) -> None:
        _write(self.client.set_registered_model_tag, name, _FOLLOWED, str(number))

    def begin_promotion(self, name: str, number: int) -> None:
        _write(self.client.set_registered_model_tag, name, _PROMOTING, str(number))

    def end_promotion(self, name: str, number: int) -> None:
        if self.client.get_registered_model(name).tags.get(_PROMOTING) == str(number):
            _write(self.client.delete_registered_model_tag, name, _PROMOTING)

    def mark(self, name: str, version: str, mark: Literal["forced", "adopted"], reason: str) -> None:
        _write(self.client.set_model_version_tag, name, version, f"vgg16.{mark}", reason)

    def tag_verdict(self, version: ModelVersion, verdict: Verdict) -> None:
        state = self.runs.state(version.run_id)
        said = {"vgg16.verdict": verdict.verdict, "vgg16.reasons": "; ".join(verdict.reasons)}
        if verdict.warnings or _WARNINGS in self._tags(version):
            said[_WARNINGS] = "\n".join(verdict.warnings)
        for tag, value in said.items():
            _write(self.client.set_model_version_tag, version.name, version.version, tag, value)
            if state:
                self.client.set_tag(version.run_id, tag, value)

    def reasons(self, version: ModelVersion) -> str:
        return str(self._tags(version).get("vgg16.reasons", ""))

    def _tags(self, version: ModelVersion) -> dict[str, str]:
        tags: dict[str, str] = self.client.get_model_version(version.name, version.version).tags
        return tags

    def describe(self, version: ModelVersion, card: str) -> None:
        self.client.update_model_version(version.name, version.version, card)

    # The files of models

    def log_model(self, classifier: Classifier, example: Images) -> str:
        return logged_models.log(self.client, classifier, example)

    def logged_model(self, run_id: str) -> str:
        logged = self.client.search_logged_models(
            [self.client.get_run(run_id).info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
        whole = [str(model.model_uri) for model in logged if SHA256 in model.tags]
        return whole[0] if whole else ""

    def load(self, model_uri: str) -> Classifier:
        return logged_models.load(self._find(model_uri), in_place=self.in_place)

    def check(self, model_uri: str) -> CheckedModel:
        return logged_models.check(self._find(model_uri), in_place=self.in_place)

    def model_digest(self, name: str, version: str) -> str:
        return str(self.client.get_model_version(name, version).tags.get(MODEL_DIGEST, ""))

    def megabytes(self, model_uri: str) -> float:
        return logged_models.megabytes(self._find(model_uri))

    def _find(self, model_uri: str) -> LoggedModel:
        """The model at an address, by one that no alias or stage can move."""
        run = re.fullmatch(r"runs:/(\w+)/model", model_uri)
        try:
            named = self.logged_model(run[1]) if run else model_uri
            if logged := re.fullmatch(r"models:/(m-\w+)", named):
                return _logged(model_uri, named, self.client.get_logged_model(logged[1]).tags)
            if address := re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/([^/]+))", named):
                version = self._version_at(*address.groups())
                if version is None:
                    raise self._no_model(model_uri, f"No versions of {address[1]} are in stage {address[3]}.")
                permanent = f"models:/{version.name}/{version.version}"
                return _logged(model_uri, permanent, version.tags)
        except MlflowException as error:
            if not is_final(error):
                raise
            raise self._no_model(model_uri, first_line(error)) from None
        raise self._no_model(model_uri, f"expected {_ADDRESSES}.")

    def _version_at(self, name: str, alias: str | None, place: str) -> MlflowVersion | None:
        """The version of an alias, of a number, or the newest of a stage or of all (`latest`); None for none."""
        if alias:
            return self.client.get_model_version_by_alias(name, alias)
        if place.isdigit():
            return self.client.get_model_version(name, place)
        self.client.get_registered_model(name)
        there = [
            made for made in self._all(name) if place.lower() in ("latest", (made.current_stage or "None").lower())
        ]
        return there[-1] if there else None

    def _no_model(self, model_uri: str, why: str) -> RequestError:
        addresses = [f"models:/{version.name}@champion" for version in self.champions()]
        hint = f"There {'are' if len(addresses) > 1 else 'is'}: {', '.join(addresses)}." if addresses else ""
        return RequestError(f"No model at {model_uri!r}: {why.rstrip('.')}.", hint)

    # What MLflow holds

    def _all(self, name: str) -> list[MlflowVersion]:
        if not re.fullmatch(_NAME, name):
            return []
        return sorted(self.client.search_model_versions(f"name='{name}'"), key=lambda made: int(made.version))

    def _own(self, name: str) -> list[MlflowVersion]:
        return [made for made in self._all(name) if made.run_id]

    def _data_of(self, run_ids: list[str]) -> dict[str, RunData]:
        """Metrics and tags of these runs, the deleted ones too, by id: a few requests, not one for each."""
        if not run_ids:
            return {}
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments(ViewType.ALL)]
        data: dict[str, RunData] = {}
        for start in range(0, len(run_ids), _PAGE):
            ids = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + _PAGE])
            page = self.client.search_runs(experiments, f"attributes.run_id IN ({ids})", ViewType.ALL, _PAGE)
            data |= {run.info.run_id: run.data for run in page}
        return data


def _about(name: str) -> str:
    """What the page of a registered model says above its versions."""
    own = own_name(name)
    about = _ABOUT_MODEL if own == name else _ABOUT_STUDIES
    return about.format(name=name, own=own, dataset=own.removeprefix(model_name("")))


def _logged(requested: str, address: str, tags: Mapping[str, str]) -> LoggedModel:
    return LoggedModel(requested, address, tags.get(SHA256, ""), tags.get(MODEL_DIGEST, ""))


def _version(made: MlflowVersion, run: RunData | None) -> ModelVersion:
    data = run or RunData()  # deleted for good, and the version is still of use
    waits = made.current_stage == "Staging"
    undecided = made.tags.get("vgg16.verdict") == "undecided"
    return ModelVersion(
        name=made.name,
        version=str(made.version),
        stage=made.current_stage or "None",
        run_id=made.run_id,
        experiment=data.tags.get("vgg16.experiment", ""),
        verdict=made.tags.get("vgg16.verdict", ""),
        warnings=tuple(made.tags.get(_WARNINGS, "").splitlines()),
        metrics=data.metrics,
        waits_for=("more images" if undecided else "a person") if waits else "",
        waits_until=made.tags.get(_WAITS_UNTIL, "") if waits else "",
    )


def _write(write: Callable[..., Any], *row: str, **options: bool) -> None:
    """Write a tag, an alias or a stage, of a long text what PostgreSQL takes; once more where another process did so at
    the same moment: MLflow looks whether the row is there and then inserts it, and calls what comes between a bad
    request."""
    kept = [value[:_LONGEST] for value in row]
    for _ in range(_TIMES):
        try:
            write(*kept, **options)
            return
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
    write(*kept, **options)
