"""Runs in MLflow: what they were asked, how they went, what they left.

`Tracking` is the half of `vgg16.tracking.registry.Registry` that knows no registered model.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from pydantic import ValidationError

from vgg16.config.overrides import flat
from vgg16.config.types import Experiment, Split
from vgg16.data.images import Arrays, Labels
from vgg16.errors import RequestError
from vgg16.records import DatasetRef, EpochMetrics, Evaluation, ModelVersion, Run
from vgg16.tracking import views
from vgg16.training.records import Diagnosis, TrainingResult, divergence_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# The tag of a run that says what it learned from.
DATASET = "vgg16.dataset"


# A diverged run's file.
_DIAGNOSIS = "diagnosis.json"


# MLflow's own tag; without it a run's colour follows from its id, and two may have nearly the same.
_COLOR = "mlflow.runColor"


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


class Tracking:
    """What this project asks of MLflow about runs."""

    def __init__(self, artifacts: Path | None) -> None:
        self.client = mlflow.MlflowClient()
        self.artifacts = artifacts

    @contextmanager
    def run(self, experiment: Experiment, ref: DatasetRef, tags: dict[str, str], run_id: str = "") -> Iterator[str]:
        """A running MLflow run, a new one or that of `run_id` again, with the experiment as its parameters; yields the
        run's id. An exception inside ends it as FAILED, an interruption as KILLED."""
        name = f"{experiment.name} s{experiment.seed} {ref.digest[:8]}"
        described = {"vgg16.experiment": experiment.name, DATASET: ref.model_dump_json(), **tags}
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
            described = {"vgg16.study": name, "vgg16.study_request": request, DATASET: ref.model_dump_json(), **tags}
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
        if result.divergence:
            cause = divergence_in_words(result.divergence, result.diagnosis)
            mlflow.set_tags({"vgg16.status": result.status, "vgg16.cause": cause})

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

    def record_of(self, run: Any, model: ModelVersion | None = None) -> Run:
        """What flows hand each other of a run, and of the version that it became."""
        tags = run.data.tags
        return Run(
            experiment=tags["vgg16.experiment"],
            run_id=run.info.run_id,
            run_name=run.info.run_name,
            url=self.url(run),
            model=model,
            metrics=run.data.metrics,
            status="diverged" if tags.get("vgg16.status") == "diverged" else "finished",
            cause=tags.get("vgg16.cause", ""),
        )

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
    return DatasetRef.model_validate_json(run.data.tags[DATASET])
