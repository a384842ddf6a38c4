"""Runs in MLflow: begun and ended, searched, and read as frozen values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import mlflow
import numpy as np
from mlflow.entities import Param, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from pydantic import ValidationError

from vgg16.config import catalog, written
from vgg16.config.canonical import NEWER
from vgg16.config.overrides import RENAMED, flat
from vgg16.config.types import RENAMED_POLICIES, Experiment, GateRules, Split
from vgg16.data.images import ImageSet
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef, TrackedRun, TrainingRequest
from vgg16.shown import without_secrets
from vgg16.storage.addresses import path_of
from vgg16.storage.files import sync_below
from vgg16.tracking import links, views
from vgg16.tracking.protocol import RunState
from vgg16.tracking.tags import (
    BASE_DIGEST,
    COLOR,
    DATASET,
    FRESH,
    GUESSED,
    LEASE,
    NOTE,
    PACKAGES_DIGEST,
    PARENT,
)

# What an experiment's page says above its runs, and the list of experiments with it, as it is written.
_ABOUT = (
    "Trainings on {dataset} and studies of it. In the menu Views: All runs, Last run. A run's report is report.html "
    "among its artifacts."
)


class MlflowRuns:
    """The protocol `Runs` over an MLflow client; `artifacts` is the folder for the files of a local database."""

    def __init__(self, client: mlflow.MlflowClient, artifacts: Path | None) -> None:
        self.client = client
        self.artifacts = artifacts

    # Begun and ended

    def check_place(self, dataset: str) -> None:
        experiment = self.client.get_experiment_by_name(dataset)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            number = experiment.experiment_id
            raise Vgg16Error(
                f"The runs of {dataset} belong to MLflow's experiment {dataset}, number {number}, which was deleted.",
                f"Bring it back: MLFLOW_TRACKING_URI={mlflow.get_tracking_uri()} mlflow experiments restore "
                f"--experiment-id {number}",
            )

    @contextmanager
    def start(self, request: TrainingRequest, tags: Mapping[str, str], run_id: str = "") -> Iterator[str]:
        experiment, dataset = request.experiment, request.dataset
        name = f"{experiment.name} s{experiment.seed} {dataset.digest[:8]}"
        described = {
            "vgg16.experiment": experiment.name,
            DATASET: dataset.model_dump_json(),
            "vgg16.chain": request.chain,
            "vgg16.request": request.digest,
            "vgg16.base": request.base,
            **_repository("vgg16.commit" in tags),
            **({PARENT: request.parent} if request.parent else {}),
            **tags,
            NOTE: experiment.description,
        }
        experiment_id = self._experiment(dataset.name)
        self._keep_view(experiment_id, views.ALL, views.view("All runs", views.complete(), 1))
        # Its own way to end a run calls Ctrl-C a failure, and hides what happened where the server is away.
        run = mlflow.start_run(run_id or None, experiment_id, run_name=name, tags=described)
        try:
            # Those that a resumed run has stay: an earlier version may have spelled their values otherwise.
            logged = self.client.get_run(run.info.run_id).data.params
            settings = flat(experiment.model_dump(mode="json"))
            mlflow.log_params({key: value for key, value in settings.items() if key not in logged})
            mlflow.log_dict(experiment.model_dump(mode="json"), "experiment.json")
            rows = [experiment, *(base for name, base in request.bases.items() if name != experiment.name)]
            if request.bases:
                bases = {name: base.model_dump(mode="json") for name, base in request.bases.items()}
                mlflow.log_dict(bases, "bases.json")
            mlflow.log_text(written.project_file(rows, catalog.SHIPPED.experiments), "vgg16.toml")
            yield run.info.run_id
        except BaseException as error:
            with suppress(Exception):
                mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        mlflow.end_run()

    @contextmanager
    def start_study(
        self, name: str, request: str, dataset: DatasetRef, tags: Mapping[str, str], *, fresh: bool
    ) -> Iterator[str]:
        earlier = self._studies(dataset.name, request)
        if earlier and not fresh:
            run_id = str(earlier[0].info.run_id)
            self.client.update_run(run_id, status="RUNNING")
        else:
            # What was killed and is begun anew is nobody's; one that lives all the same says so at its end.
            for left in earlier:
                if left.info.status == "RUNNING":
                    self.mark_killed(left.info.run_id)
            described = {
                "vgg16.study": name,
                "vgg16.study_request": request,
                DATASET: dataset.model_dump_json(),
                **tags,
                **({FRESH: "true"} if fresh else {}),
            }
            run_name = f"{name} {dataset.name} {dataset.digest[:8]}"
            made = self.client.create_run(self._experiment(dataset.name), run_name=run_name, tags=described)
            run_id = str(made.info.run_id)
        try:
            yield run_id
        except BaseException as error:
            with suppress(Exception):
                self.client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def _studies(self, dataset: str, request: str) -> list[Run]:
        return list(
            self.client.search_runs(
                [self._experiment(dataset)],
                f"tags.`vgg16.study_request` = '{request}'",
                order_by=["attributes.start_time DESC"],
            )
        )

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        logged = self.client.get_run(run_id).data.params
        new = [Param(name, value) for name, value in params.items() if name not in logged]
        self.client.log_batch(run_id, params=new)

    def log_dataset(self, dataset: DatasetRef, data: ImageSet) -> None:
        # MLflow keeps 36 characters of a digest, and one input of those that are equal in name and digest.
        inputs: tuple[tuple[Split, str, str], ...] = (
            ("train", dataset.name, "training"),
            ("val", f"{dataset.name} val", "validation"),
            ("gate", f"{dataset.name} gate", "gate"),
        )
        for split, name, context in inputs:
            images, labels = data.part(split)
            # MLflow keeps shape and type, and with a digest looks at no pixel.
            shaped = np.broadcast_to(np.zeros((), images.dtype), images.shape)
            logged = mlflow.data.from_numpy(shaped, targets=labels, name=name, digest=dataset.digest[:36])
            mlflow.log_input(logged, context=context)

    def describe(self, run_id: str, text: str) -> None:
        self.client.set_tag(run_id, NOTE, text)

    def mark_finished(self, run_id: str) -> None:
        files = self.client.get_run(run_id).info.artifact_uri
        if files.startswith("file://"):
            # On the disk before anybody relies on it, and the checkpoints go.
            sync_below(path_of(files))
        self.client.set_tag(run_id, "vgg16.status", "finished")

    # Read and searched

    def get(self, run_id: str) -> TrackedRun:
        return self._tracked(self.client.get_run(run_id))

    def state(self, run_id: str) -> RunState:
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""
        if run.info.lifecycle_stage == "deleted":
            return ""
        return "complete" if "vgg16.status" in run.data.tags else "unfinished"

    def search(self, *, chain: str = "", request: str = "", begins: str = "", most: int = 100) -> list[TrackedRun]:
        tags = {"vgg16.chain": chain, "vgg16.request": request}
        conditions = [f"tags.`{tag}` = '{value}'" for tag, value in tags.items() if value]
        if begins:
            conditions.append(f"attributes.run_id LIKE '{begins}%'")
        conditions += ["attributes.status = 'FINISHED'", "tags.`vgg16.status` != ''"]
        runs = self.client.search_runs(
            [experiment.experiment_id for experiment in self.client.search_experiments()],
            filter_string=" and ".join(conditions),
            order_by=["attributes.end_time DESC"],  # a run that was resumed has an old start
            max_results=most,
        )
        return [self._tracked(run) for run in runs]

    def running(self) -> dict[str, str]:
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(ids, "attributes.status = 'RUNNING' and tags.`vgg16.request` != ''")
        return {run.info.run_id: f"{run.info.run_name} {run.info.run_id[:8]}" for run in runs}

    def left_running(self, request: str) -> dict[str, str]:
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        asked = f"attributes.status = 'RUNNING' and tags.`vgg16.request` = '{request}'"
        runs = self.client.search_runs(ids, asked, order_by=["attributes.start_time DESC"])
        return {run.info.run_id: run.data.tags.get(LEASE, "") for run in runs if "vgg16.status" not in run.data.tags}

    def mark_killed(self, run_id: str) -> None:
        self.client.set_terminated(run_id, "KILLED")

    def find(self, begins: str) -> TrackedRun:
        runs = self.search(begins=begins) if re.fullmatch("[0-9a-f]{1,32}", begins) else []
        if len(runs) == 1:
            return runs[0]
        message = f"{len(runs)} runs begin with {begins!r}." if runs else f"There is no finished run {begins!r}."
        raise RequestError(message, "`vgg16 compare` shows the last run's members.")

    def last_chain(self) -> list[TrackedRun]:
        for run in self.search():
            if run.chain:
                return self.search(chain=run.chain)[::-1]
        raise RequestError("There is no run yet.", "Make one: vgg16 run digits-scratch digits-finetune")

    def comparison(self, members: Sequence[TrackedRun]) -> str:
        raw = [self.client.get_run(member.run_id) for member in members]
        experiment_id = raw[0].info.experiment_id
        runs = views.complete(members[0].chain)
        try:
            view = views.view("Last run", runs, 2, views.differing([member.params for member in members]))
            self._keep_view(experiment_id, views.LAST, view)
            for run, color in zip(raw, cycle(views.COLORS), strict=False):
                if COLOR not in run.data.tags:
                    self.client.set_tag(run.info.run_id, COLOR, color)
            shown = f"{views.PARAMETER}={views.LAST}"
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":
                raise
            shown = f"searchFilter={quote(runs)}"
        return links.runs(experiment_id, f"{shown}&compareRunsMode=CHART")

    def _tracked(self, run: Run) -> TrackedRun:
        tags, info = run.data.tags, run.info
        status = tags.get("vgg16.status")
        return TrackedRun(
            run_id=info.run_id,
            run_name=info.run_name,
            experiment=tags.get("vgg16.experiment", ""),
            url=_url(run),
            status=status if status in ("finished", "diverged") else "running",
            cause=tags.get("vgg16.cause", ""),
            dataset=_dataset(tags.get(DATASET, "")),
            base=tags.get("vgg16.base", ""),
            chain=tags.get("vgg16.chain", ""),
            request=tags.get("vgg16.request", ""),
            parent=tags.get(PARENT, ""),
            fresh=FRESH in tags,
            verdict=tags.get("vgg16.verdict", ""),
            registered=tags.get("vgg16.model", ""),
            code_version=tags.get("vgg16.version", ""),
            commit=tags.get("vgg16.commit", ""),
            packages=tags.get(PACKAGES_DIGEST, ""),
            base_digest=tags.get(BASE_DIGEST, ""),
            params=_params(run.data.params),
            metrics=run.data.metrics,
            started=info.start_time,
            ended=info.end_time,
        )

    def _keep_view(self, experiment_id: str, key: str, view: str) -> None:
        tag = views.TAG + key
        if self.client.get_experiment(experiment_id).tags.get(tag) != view:
            self.client.set_experiment_tag(experiment_id, tag, view)

    def _experiment(self, name: str) -> str:
        self.check_place(name)
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        # A local database would put the files into the working directory.
        location = (self.artifacts / name).as_uri() if self.artifacts else None
        about = {NOTE: _ABOUT.format(dataset=name)}
        return str(self.client.create_experiment(name, artifact_location=location, tags=about))


def _repository(ours: bool) -> dict[str, str]:
    """The tags of the git repository around the script, which is ours or somebody else's; a remote's address may hold a
    token."""
    guessed = resolve_tags() if ours else {}
    return {tag: without_secrets(guessed.get(tag, "")) for tag in GUESSED if tag in guessed or not ours}


def _dataset(text: str) -> DatasetRef | None:
    """What a run was trained on; None where a hand has changed the tag."""
    try:
        return DatasetRef.model_validate_json(text) if text else None
    except ValidationError:
        return None


def _params(logged: dict[str, str]) -> dict[str, str]:
    """A run's parameters as they are called now: of one recipe, whatever version logged it, they are the same, and a
    setting that an earlier one did not know has the value that asks for what it did."""
    newer = {**NEWER[Experiment], **{f"gate.{key}": value for key, value in NEWER[GateRules].items()}}
    newer = {key: str(value) for key, value in newer.items()} if "batch_size" in logged else {}
    params = newer | {RENAMED.get(key, key): value for key, value in logged.items()}
    policy = params.get("gate.policy", "")
    return params | ({"gate.policy": RENAMED_POLICIES[policy]} if policy in RENAMED_POLICIES else {})


def _url(run: Run) -> str:
    """The run's page on the MLflow server, "" where the tracker is a database."""
    return links.at(mlflow.get_tracking_uri(), links.run(run.info.experiment_id, run.info.run_id))
