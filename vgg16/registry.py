"""Runs, model versions, stages and aliases. The one door to MLflow.

Stages are deprecated in MLflow but asked for: a version's stage and alias move together in `move`, nowhere else.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param, RunData, ViewType
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.utils.models import get_model_name_and_version
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Map
from numpy.typing import NDArray
from pydantic import ValidationError

from vgg16 import serving, views
from vgg16.config import Experiment, Split, flat
from vgg16.datasets import Arrays, Images, Labels
from vgg16.errors import RefusedError, RequestError, Vgg16Error
from vgg16.records import DatasetRef, Diagnosis, EpochMetrics, Evaluation, ModelVersion, Stage, TrainingResult, Verdict
from vgg16.storage import sha256_of

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

# A logged model's file, and the tag of models and versions in MLflow's database that keeps its digest.
_KERAS = "data/model.keras"
_ADDRESSES = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID or runs:/RUN/model"
# The name of what serves it, beside it.
_SERVER = "vgg16_serving"
_SHA256 = "vgg16.sha256"
# Tags of a registered model: the address of its ledger, who would like to be that, the last entry that stages follow.
_LEDGER = "vgg16.ledger"
_CLAIM = "vgg16.ledger-claim."
_FOLLOWED = "vgg16.followed"
# The tag of a run that says what it learned from.
_DATASET = "vgg16.dataset"
# A diverged run's file.
_DIAGNOSIS = "diagnosis.json"
# What goes into a filter of MLflow's.
_NAME = r"[\w.-]+"
# MLflow's own tag; without it a run's colour follows from its id, and two may have nearly the same.
_COLOR = "mlflow.runColor"
# How often a row that several processes write at one moment is tried again; each time one of them has written it.
_TIMES = 5
# Runs that are asked for at once.
_PAGE = 500
ALIASES: dict[Stage, str] = {"Staging": "challenger", "Production": "champion"}
# Every tag of ours that a run can have, and what it says. People filter runs by them: tags.`vgg16.verdict` = 'promote'
TAGS = {
    "vgg16.experiment": "the experiment's name",
    "vgg16.status": "`finished` or `diverged`; none while it trains, or was cut off",
    "vgg16.cause": "why it diverged",
    "vgg16.model": "the version that it became, as `vgg16-digits/3`",
    "vgg16.verdict": "what the gates said of that version last: `promote`, `refuse` or `undecided`",
    "vgg16.reasons": "why",
    "vgg16.chain": "the same for all members of one `vgg16 run` or `vgg16 study`",
    "vgg16.study": "of the run above its members' runs: the study's name",
    "vgg16.study_request": "of the same: the digest of the members and the data",
    "vgg16.fresh": "of the same: only what was trained below it counts, `vgg16 study --fresh`",
    "vgg16.base": "the address of the weights it started from",
    "vgg16.device": "what it was trained on",
    "vgg16.precision": "what that computed in",
    "vgg16.version": "the version of this package",
    "vgg16.commit": "the commit of the code, with `-dirty` where files were changed",
    "vgg16.dataset": "the dataset, as JSON for programs; a person finds it in the column Dataset",
    "vgg16.request": "the digest of experiment, data and base: equal for runs that asked for the same",
}
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


class Registry:
    """What this project asks of MLflow."""

    def __init__(self, artifacts: Path | None) -> None:
        self.client = mlflow.MlflowClient()
        self.artifacts = artifacts

    # Runs

    @contextmanager
    def run(self, experiment: Experiment, ref: DatasetRef, tags: dict[str, str], run_id: str = "") -> Iterator[str]:
        """A running MLflow run, a new one or that of `run_id` again, with the experiment as its parameters; yields the
        run's id. An exception inside ends it as FAILED, an interruption as KILLED."""
        name = f"{experiment.name} s{experiment.seed} {ref.digest[:8]}"
        described = {"vgg16.experiment": experiment.name, _DATASET: ref.model_dump_json(), **tags}
        described["mlflow.note.content"] = experiment.description
        experiment_id = self._experiment(ref.name)
        self._keep_view(experiment_id, views.ALL, views.view("All runs", views.complete(), 1))
        # Its own way to end a run calls Ctrl-C a failure, and hides what happened where the server is away.
        run = mlflow.start_run(run_id or None, experiment_id, run_name=name, tags=described)
        try:
            mlflow.log_params(flat(experiment.model_dump(mode="json")))
            mlflow.log_dict(experiment.model_dump(mode="json"), "experiment.json")
            yield run.info.run_id
        except BaseException as error:
            with suppress(Exception):
                mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        mlflow.end_run()

    @contextmanager
    def study(self, name: str, request: str, ref: DatasetRef, tags: dict[str, str], fresh: bool) -> Iterator[str]:
        """The run above a study's members, which is theirs alone: that of the same request again, unless `fresh`;
        yields its id. Not an active run, for its members are that. It ends as `run` does."""
        known = [] if fresh else self._studies(ref.name, request)
        if known:
            run_id = str(known[0].info.run_id)
            self.client.update_run(run_id, status="RUNNING")
        else:
            described = {"vgg16.study": name, "vgg16.study_request": request, _DATASET: ref.model_dump_json(), **tags}
            made = self.client.create_run(
                self._experiment(ref.name), run_name=f"{name} {ref.name} {ref.digest[:8]}", tags=described
            )
            run_id = str(made.info.run_id)
        try:
            yield run_id
        except BaseException as error:
            with suppress(Exception):
                self.client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def _studies(self, dataset: str, request: str) -> list[Any]:
        return list(
            self.client.search_runs(
                [self._experiment(dataset)],
                f"tags.`vgg16.study_request` = '{request}'",
                order_by=["attributes.start_time DESC"],
            )
        )

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Parameters of a run; those that it has stay as they are."""
        known = self.client.get_run(run_id).data.params
        new = [Param(name, value) for name, value in params.items() if name not in known]
        self.client.log_batch(run_id, params=new)

    def note(self, run_id: str, text: str) -> None:
        """What a run's page says of it, in Markdown."""
        self.client.set_tag(run_id, "mlflow.note.content", text)

    def log_folder(self, run_id: str, folder: Path) -> None:
        """The files of a folder beside the run."""
        self.client.log_artifacts(run_id, str(folder))

    def standing(self, run_id: str) -> Literal["", "unfinished", "complete"]:
        """How far a run has come, "" for one that is not there or was deleted."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""
        if run.info.lifecycle_stage == "deleted":
            return ""
        return "complete" if "vgg16.status" in run.data.tags else "unfinished"

    def log_dataset(self, ref: DatasetRef, arrays: Arrays) -> None:
        """Name the splits that the active run learns from, chooses by and is judged on as its inputs. MLflow keeps 36
        characters of a digest, and one input of those that are equal in name and digest."""
        inputs: tuple[tuple[Split, str, str], ...] = (
            ("train", ref.name, "training"),
            ("val", f"{ref.name} val", "validation"),
            ("gate", f"{ref.name} gate", "gate"),
        )
        for split, name, context in inputs:
            images, labels = arrays.part(split)
            data = mlflow.data.from_numpy(images, targets=labels, name=name, digest=ref.digest[:36])
            mlflow.log_input(data, context=context)

    def log_epochs(self, run_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Curves, each point at the time when its epoch ended. MLflow keeps one of points that are equal in this too:
        what is sent again changes nothing."""
        for start in range(0, len(epochs), 100):  # it takes 1,000 numbers at once
            points = [
                Metric(name, value, each.at, each.epoch)
                for each in epochs[start : start + 100]
                for name, value in each.model_dump(exclude={"epoch", "at"}).items()
            ]
            self.client.log_batch(run_id, metrics=points)

    def logged_epochs(self, run_id: str) -> set[int]:
        """The epochs whose curves a run has."""
        return {point.step for point in self.client.get_metric_history(run_id, "val_loss")}

    def log_result(self, result: TrainingResult) -> None:
        """How training ended, in the active run. A diverged run is complete with this."""
        mlflow.log_metrics(
            {
                "best_val_top1": result.best_val_top1,
                "best_epoch": result.best_epoch,
                "train_seconds": result.seconds,
                "images_per_s": result.images_per_s,
                "peak_memory_megabytes": result.peak_memory_megabytes,
                "temperature": result.temperature,
                **{f"seconds_of_phase_{n}": seconds for n, seconds in enumerate(result.seconds_of_phases)},
            }
        )
        mlflow.set_tags({"vgg16.device": result.device, "vgg16.precision": result.precision})
        if result.diagnosis:
            mlflow.log_dict(result.diagnosis.model_dump(mode="json"), _DIAGNOSIS)
        if result.status == "diverged":
            mlflow.set_tags({"vgg16.status": result.status, "vgg16.cause": result.cause})

    def complete(self, run_id: str) -> None:
        """Call a run finished: it is trained, evaluated and registered, and is listed and compared from now on."""
        self.client.set_tag(run_id, "vgg16.status", "finished")

    def log_evaluation(self, run_id: str, evaluation: Evaluation, figures: dict[str, Figure]) -> None:
        """A split's metrics, tables and figures."""
        split = evaluation.split
        numbers = {
            name: getattr(evaluation, name) for name in ("top1", "top5", "superclass_top1", "loss", "brier", "ece")
        }
        for name in ("top1", "ece"):
            numbers[f"{name}_low"], numbers[f"{name}_high"] = getattr(evaluation, f"{name}_interval")
        self.log_metrics(run_id, {f"{split}_{name}": each for name, each in numbers.items() if each is not None})
        self.client.log_dict(run_id, evaluation.model_dump(mode="json"), f"{split}/evaluation.json")
        names = [score.name for score in evaluation.classes]
        matrix = pd.DataFrame(evaluation.confusion, index=pd.Index(names, name="label \\ answer"), columns=names)
        self.client.log_text(run_id, matrix.to_csv(), f"{split}/confusion_matrix.csv")
        for table, scores in (("classes", evaluation.classes), ("superclasses", evaluation.superclasses)):
            if scores:
                rows = pd.DataFrame([score.model_dump(exclude={"recall_interval"}) for score in scores])
                rows[["recall_low", "recall_high"]] = [score.recall_interval for score in scores]
                self.client.log_text(run_id, rows.to_csv(index=False), f"{split}/{table}.csv")
        for name, figure in figures.items():
            self.client.log_figure(run_id, figure, f"{split}/{name}.png")

    def log_answers(self, run_id: str, split: Split, labels: Labels, probabilities: NDArray[np.float32]) -> None:
        """What was answered to each image of a split, for tests that compare two models image by image."""
        answers = probabilities.argmax(axis=1)
        rows = pd.DataFrame({"label": labels, "answer": answers, "probability": probabilities.max(axis=1)})
        self.client.log_text(run_id, rows.to_csv(index_label="image", float_format="%.4f"), f"{split}/answers.csv")

    def log_metrics(self, run_id: str, numbers: Mapping[str, float]) -> None:
        """Numbers of a run, complete or not."""
        now = time.time_ns() // 10**6
        self.client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in numbers.items()])

    def log_page(self, run_id: str, html: str, name: str) -> None:
        """A page that a person reads beside the run."""
        self.client.log_text(run_id, html, name)

    def log_figure(self, run_id: str, figure: Figure, name: str) -> None:
        """A figure of the whole run."""
        self.client.log_figure(run_id, figure, f"{name}.png")

    def log_model(self, model: keras.Model, class_names: tuple[str, ...], example: Images) -> str:
        """Log the model with signature, input example, class names and what serves it in the active run; its
        `models:/` address. No pickle is among its files."""
        with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
            file, server = Path(folder, Path(_KERAS).name), Path(folder, f"{_SERVER}.py")
            model.save(file)
            # Under a name of its own, for `vgg16` itself may be installed where the model is served.
            shutil.copyfile(serving.__file__, server)
            info = mlflow.models.Model.log(
                None,
                _Flavor,
                name="model",
                data_path=str(file),
                code_paths=[str(server)],
                signature=_signature(example),
                input_example=example,
                # Inferring them would import TensorFlow once more in a child process, ten seconds.
                pip_requirements=_requirements(),
                metadata={"class_names": json.dumps(class_names)},
                # It would load and trace the model once more in this process.
                validate_serving_input=False,
            )
            self.client.set_logged_model_tags(info.model_id, {_SHA256: sha256_of(file)})
        return str(info.model_uri)

    def logged_model(self, run_id: str) -> str:
        """The address of the model that was logged in a run, "" where none was logged to its end."""
        found = self.client.search_logged_models(
            [self.client.get_run(run_id).info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
        whole = [str(each.model_uri) for each in found if _SHA256 in each.tags]
        return whole[0] if whole else ""

    def runs(self, *, chain: str = "", request: str = "", begins: str = "", most: int = 100) -> list[Any]:
        """Complete MLflow runs, the last to end first; where given of one chain, one request, or whose id begins so."""
        asked = {"vgg16.chain": chain, "vgg16.request": request}
        conditions = [f"tags.`{tag}` = '{value}'" for tag, value in asked.items() if value]
        if begins:
            conditions.append(f"attributes.run_id LIKE '{begins}%'")
        return list(
            self.client.search_runs(
                [each.experiment_id for each in self.client.search_experiments()],
                filter_string=" and ".join(
                    [*conditions, "attributes.status = 'FINISHED'", "tags.`vgg16.status` != ''"]
                ),
                order_by=["attributes.end_time DESC"],  # a run that was resumed has an old start
                max_results=most,
            )
        )

    def at_work(self) -> dict[str, str]:
        """The names of the runs that are called running, by their ids."""
        ids = [each.experiment_id for each in self.client.search_experiments()]
        found = self.client.search_runs(ids, "attributes.status = 'RUNNING' and tags.`vgg16.request` != ''")
        return {run.info.run_id: f"{run.info.run_name} {run.info.run_id[:8]}" for run in found}

    def run_of(self, run_id: str) -> Any:
        """The MLflow run of this id, complete or not."""
        return self.client.get_run(run_id)

    def find_run(self, run_id: str) -> Any:
        """A complete run, by its id or the id's first characters. Raises RequestError."""
        found = self.runs(begins=run_id) if re.fullmatch("[0-9a-f]{1,32}", run_id) else []
        if len(found) == 1:
            return found[0]
        told = f"{len(found)} runs begin with {run_id!r}." if found else f"There is no finished run {run_id!r}."
        raise RequestError(told, "`vgg16 compare` shows the last run's members.")

    def last_chain(self) -> list[Any]:
        """The members of the last run of the chain, in its order. Raises RequestError where there was none."""
        for run in self.runs():
            if run.data.tags.get("vgg16.chain"):
                return self.runs(chain=run.data.tags["vgg16.chain"])[::-1]
        raise RequestError("There is no run yet.", "Make one: vgg16 run digits-scratch digits-finetune")

    def url(self, run: Any) -> str:
        """The run's page on the MLflow server, "" where the registry is a database."""
        server: str = mlflow.get_tracking_uri()
        page = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        return server.rstrip("/") + page if server.startswith("http") else ""

    def comparison(self, members: Sequence[Any]) -> str:
        """The path of the UI's page that compares a chain's runs: their experiment's view `Last run`, in colours that
        differ. Who may not write there gets the page as MLflow lays it out by itself."""
        experiment_id = members[0].info.experiment_id
        runs = views.complete(members[0].data.tags["vgg16.chain"])
        try:
            self._keep_view(experiment_id, views.LAST, views.view("Last run", runs, 2))
            for run, color in zip(members, cycle(views.COLORS), strict=False):
                if _COLOR not in run.data.tags:
                    self.client.set_tag(run.info.run_id, _COLOR, color)
            shown = f"{views.PARAMETER}={views.LAST}"
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":
                raise
            shown = f"searchFilter={quote(runs)}"
        # Without the workflow's type the page is laid out for traces of language models.
        return f"/#/experiments/{experiment_id}/runs?{shown}&compareRunsMode=CHART&workflowType=machine_learning"

    def experiment_of(self, run: Any) -> Experiment:
        """The experiment that a run trained, settings included."""
        return Experiment.model_validate(mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/experiment.json"))

    def evaluations_of(self, run: Any) -> list[Evaluation]:
        """What is logged of a run's answers on gate and test; not what an earlier form of our code logged."""
        found = []
        for split in ("gate", "test"):
            file = f"{split}/evaluation.json"
            if file in [each.path for each in self.client.list_artifacts(run.info.run_id, split)]:
                with suppress(ValidationError):
                    logged = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{file}")
                    found.append(Evaluation.model_validate(logged))
        return found

    def epochs_of(self, run: Any) -> list[EpochMetrics]:
        """A run's curves."""
        names = [name for name in EpochMetrics.model_fields if name not in ("epoch", "at")]
        points: dict[int, dict[str, Any]] = {}
        for name in names:
            for point in self.client.get_metric_history(run.info.run_id, name):
                points.setdefault(point.step, {})[name] = point.value
                points[point.step] |= {"epoch": point.step, "at": point.timestamp}
        return [EpochMetrics.model_validate(each) for _, each in sorted(points.items()) if len(each) == len(names) + 2]

    def diagnosis_of(self, run: Any) -> Diagnosis | None:
        """What is logged of what is wrong inside a network that diverged."""
        if _DIAGNOSIS not in [each.path for each in self.client.list_artifacts(run.info.run_id)]:
            return None
        return Diagnosis.model_validate(mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{_DIAGNOSIS}"))

    def answers_of(self, run: Any, split: Split) -> tuple[Labels, Labels] | None:
        """Labels and answers, int64 [n] each, of what `log_answers` logged; None where there is nothing."""
        file = f"{split}/answers.csv"
        if file not in [each.path for each in self.client.list_artifacts(run.info.run_id, split)]:
            return None
        rows = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{file}")))
        return rows["label"].to_numpy(np.int64), rows["answer"].to_numpy(np.int64)

    # Models

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
        kept = {_SHA256: self.client.get_logged_model(model_id).tags.get(_SHA256, "")}
        made = self.client.create_model_version(name, model_uri, run_id=run_id, tags=kept, model_id=model_id)
        self.client.set_tag(run_id, "vgg16.model", f"{name}/{made.version}")
        return self._version(made, self._data_of([run_id]).get(run_id))

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
            if run is None or not found.tags.get(_SHA256) or _DATASET not in run.tags:
                return False
            answered.append(DatasetRef.model_validate_json(run.tags[_DATASET]).class_names)
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

    def load(self, model_uri: str) -> tuple[keras.Model, tuple[str, ...]]:
        """A logged or registered model and its class names, read in Keras' safe mode: no code comes with it, no
        pickle is opened. Raises RequestError for an address that names no model, Vgg16Error for one that is damaged, or
        is not what the registry says that it is; what a server raises that is away or busy passes through."""
        address, digest = self._find(model_uri)
        with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
            # Files on this machine are read where they are.
            place = None if self.artifacts else folder
            try:
                kept = Path(mlflow.artifacts.download_artifacts(address, dst_path=place))
            except (FileNotFoundError, MlflowException) as error:
                if not _final(error):
                    raise
                raise _damaged(model_uri, f"its files cannot be had: {_first_line(error)}") from None
            if not (kept / _KERAS).is_file():
                raise _damaged(model_uri, f"its file {_KERAS} is missing.")
            found = sha256_of(kept / _KERAS)
            if found != digest:
                expected = f"sha256 {digest[:12]}..." if digest else "a digest of it in the registry"
                told = f"expected {expected}, found {f'{found[:12]}...' if digest else 'none'}."
                raise _damaged(model_uri, f"its file is not what was logged: {told}")
            return _read(model_uri, kept)

    def megabytes(self, model_uri: str) -> float:
        """The size of a model's file in MB of 10^6 bytes, without reading it. Raises as `load` does."""
        address, _ = self._find(model_uri)
        try:
            files = ModelsArtifactRepository(address).list_artifacts(str(Path(_KERAS).parent))
        except (FileNotFoundError, MlflowException) as error:
            if not _final(error):
                raise
            raise _damaged(model_uri, f"its files cannot be listed: {_first_line(error)}") from None
        sizes = [float(each.file_size) for each in files if each.path == _KERAS]
        if not sizes:
            raise _damaged(model_uri, f"its file {_KERAS} is missing.")
        return sizes[0] / 1e6

    def _find(self, model_uri: str) -> tuple[str, str]:
        """The model's own address, which no alias can move, and the digest that MLflow's database keeps of its file, ""
        for none. Raises RequestError for an address that names no model."""
        try:
            run = re.fullmatch(r"runs:/(\w+)/model", model_uri)
            named = self.logged_model(run[1]) if run else model_uri
            if not re.fullmatch(r"models:/[^/]+(/[^/]+)?", named):
                raise self._no_model(model_uri, f"expected {_ADDRESSES}.")
            found = get_model_name_and_version(self.client, named)
            kept = self.client.get_logged_model(*found) if len(found) == 1 else self.client.get_model_version(*found)
        except MlflowException as error:
            if not _final(error) and "No versions of model" not in str(error):  # that is how it tells of an empty stage
                raise
            raise self._no_model(model_uri, _first_line(error)) from None
        return "models:/" + "/".join(str(part) for part in found), kept.tags.get(_SHA256, "")

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

    def _keep_view(self, experiment_id: str, key: str, view: str) -> None:
        tag = views.TAG + key
        if self.client.get_experiment(experiment_id).tags.get(tag) != view:
            self.client.set_experiment_tag(experiment_id, tag, view)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # A local database would put the files into the working directory.
        location = (self.artifacts / name).as_uri() if self.artifacts else None
        return str(self.client.create_experiment(name, artifact_location=location))


def dataset_of(run: Any) -> DatasetRef:
    """The dataset that a run learned from."""
    return DatasetRef.model_validate_json(run.data.tags[_DATASET])


def _read(model_uri: str, folder: Path) -> tuple[keras.Model, tuple[str, ...]]:
    import keras

    # What is raised of a damaged file is of many kinds.
    try:
        metadata = mlflow.models.Model.load(str(folder)).metadata or {}
    except Exception as error:
        raise _damaged(model_uri, f"its MLmodel cannot be read: {_first_line(error)}") from None
    if "class_names" not in metadata:
        raise _damaged(model_uri, "its MLmodel has no class_names in its metadata.")
    try:
        model = keras.models.load_model(folder / _KERAS, compile=False, safe_mode=True)
    except Exception as error:
        raise _damaged(model_uri, f"Keras cannot read its file: {_first_line(error)}") from None
    return model, tuple(json.loads(metadata["class_names"]))


def _damaged(model_uri: str, why: str) -> Vgg16Error:
    hint = "Use another version, or train it again; `vgg16 models` shows what there is."
    return Vgg16Error(f"The model {model_uri} cannot be loaded: {why}", hint)


def _final(error: Exception) -> bool:
    """Whether it will be so the next time too, unlike what a server says that is busy or away."""
    refused = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return not isinstance(error, MlflowException) or error.error_code in refused


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Flavor:
    """How `Model.log` saves a model: served by a copy of `vgg16.serving`, and read by `mlflow.keras` and
    `mlflow.tensorflow` too."""

    @staticmethod
    def save_model(path: str, mlflow_model: mlflow.models.Model, **given: Any) -> None:
        """Write the folder that is logged."""
        import keras

        del given["validate_serving_input"]  # Model.log reads it, and hands it on
        mlflow_model.add_flavor(
            "keras",
            data=str(Path(_KERAS).parent),
            keras_version=keras.__version__,
            keras_backend=keras.backend.backend(),
            save_exported_model=False,
            model_type="keras",  # these two for mlflow.tensorflow
            save_format="keras",
        )
        mlflow.pyfunc.save_model(path, loader_module=_SERVER, mlflow_model=mlflow_model, **given)


def _signature(example: Images) -> ModelSignature:
    answer = [
        ColSpec(DataType.string, "label"),
        ColSpec(DataType.double, "probability"),
        ColSpec(Map(DataType.double), "probabilities"),
    ]
    return ModelSignature(Schema([TensorSpec(example.dtype, (-1, *example.shape[1:]))]), Schema(answer))


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


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{package}=={version(package)}" for package in ("tensorflow", "keras", "numpy")]
