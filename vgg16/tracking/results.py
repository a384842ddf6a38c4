"""What is logged in a run of MLflow, and read back: numbers, curves, tables, figures, pages."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import FORBIDDEN
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric
from numpy.typing import NDArray
from pydantic import ValidationError

from vgg16.config.types import KEPT, Experiment, Split
from vgg16.data.images import Labels
from vgg16.evaluation.answers import Answers
from vgg16.records import EpochMetrics, Evaluation
from vgg16.training.records import Diagnosis, Divergence, TrainingResult, divergence_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A diverged run's files.
_DIVERGENCE, _DIAGNOSIS = "divergence.json", "diagnosis.json"
# MLflow takes 1,000 numbers at once; an epoch has six.
_EPOCHS_AT_ONCE = 100
# MLflow's lists show a number with all its digits; the exact ones of an evaluation are in its file.
_DECIMALS = 6


class MlflowResults:
    """The protocol `Results` over an MLflow client."""

    def __init__(self, client: mlflow.MlflowClient) -> None:
        self.client = client

    def log_epochs(self, run_id: str, epochs: Sequence[EpochMetrics]) -> None:
        # MLflow keeps one of points that are equal in their time, too.
        for start in range(0, len(epochs), _EPOCHS_AT_ONCE):
            points = [
                Metric(name, value, epoch.at, epoch.epoch)
                for epoch in epochs[start : start + _EPOCHS_AT_ONCE]
                for name, value in epoch.model_dump(exclude={"epoch", "at"}).items()
            ]
            self.client.log_batch(run_id, metrics=points)

    def logged_epochs(self, run_id: str) -> set[int]:
        return {point.step for point in self.client.get_metric_history(run_id, "val_loss")}

    def epochs(self, run_id: str) -> list[EpochMetrics]:
        names = [name for name in EpochMetrics.model_fields if name not in ("epoch", "at")]
        rows: dict[int, dict[str, Any]] = {}
        for name in names:
            for point in self.client.get_metric_history(run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
                rows[point.step] |= {"epoch": point.step, "at": point.timestamp}
        return [EpochMetrics.model_validate(row) for _, row in sorted(rows.items()) if len(row) == len(names) + 2]

    def log_result(self, result: TrainingResult) -> None:
        metrics = {
            "best_val_top1": result.best_val_top1,
            "best_epoch": result.best_epoch,
            "train_seconds": result.seconds,
            "images_per_s": result.images_per_s,
            "peak_memory_megabytes": result.peak_memory_megabytes,
            "temperature": result.temperature,
            **{f"seconds_of_phase_{n}": seconds for n, seconds in enumerate(result.seconds_of_phases)},
        }
        mlflow.log_metrics({name: round(value, _DECIMALS) for name, value in metrics.items()})
        mlflow.set_tags({"vgg16.device": result.device, "vgg16.precision": result.precision})
        if result.diagnosis:
            mlflow.log_dict(result.diagnosis.model_dump(mode="json"), _DIAGNOSIS)
        if result.divergence:
            mlflow.log_dict(result.divergence.model_dump(), _DIVERGENCE)  # Python's JSON knows NaN
            cause = divergence_in_words(result.divergence, result.diagnosis)
            mlflow.set_tags({"vgg16.status": result.status, "vgg16.cause": cause})

    def log_evaluation(self, run_id: str, evaluation: Evaluation, figures: Mapping[str, Figure]) -> None:
        split = evaluation.split
        metrics = {
            name: getattr(evaluation, name) for name in ("top1", "top5", "superclass_top1", "loss", "brier", "ece")
        }
        for name in ("top1", "ece"):
            metrics[f"{name}_low"], metrics[f"{name}_high"] = getattr(evaluation, f"{name}_interval")
        metrics |= _unseen(evaluation)
        self.log_metrics(run_id, {f"{split}_{name}": value for name, value in metrics.items() if value is not None})
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

    def log_predictions(
        self,
        run_id: str,
        split: Split,
        labels: Labels,
        probabilities: NDArray[np.float32],
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        answers = probabilities.argmax(axis=1)
        rows = pd.DataFrame({"label": labels, "answer": answers, "probability": probabilities.max(axis=1)})
        if seen is not None:
            rows["seen"] = seen.astype(int)
        self.client.log_text(run_id, rows.to_csv(index_label="image", float_format="%.4f"), _predictions(split))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        now = time.time_ns() // 10**6
        rounded = [Metric(name, round(value, _DECIMALS), now, 0) for name, value in metrics.items()]
        self.client.log_batch(run_id, metrics=rounded)

    def log_page(self, run_id: str, html: str, name: str) -> None:
        self.client.log_text(run_id, html, name)

    def offer_page(self, run_id: str, html: str, name: str) -> bool:
        try:
            self.log_page(run_id, html, name)
        except OSError as error:
            # Files go to the server without MLflow's own errors around them.
            answer = getattr(error, "response", None)
            if getattr(answer, "status_code", None) != FORBIDDEN and not isinstance(error, PermissionError):
                raise
            return False
        return True

    def log_figure(self, run_id: str, figure: Figure, name: str) -> None:
        self.client.log_figure(run_id, figure, f"{name}.png")

    def log_folder(self, run_id: str, folder: Path) -> None:
        self.client.log_artifacts(run_id, str(folder))

    def text(self, run_id: str, name: str) -> str | None:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}")) if self._has(run_id, name) else None

    def experiment(self, run_id: str) -> Experiment:
        kept = mlflow.artifacts.load_dict(f"runs:/{run_id}/experiment.json")
        return Experiment.model_validate(kept, context=KEPT)

    def bases(self, run_id: str) -> dict[str, Experiment]:
        if not self._has(run_id, "bases.json"):
            return {}
        kept = mlflow.artifacts.load_dict(f"runs:/{run_id}/bases.json")
        return {name: Experiment.model_validate(row, context=KEPT) for name, row in kept.items()}

    def evaluations(self, run_id: str) -> list[Evaluation]:
        evaluations = []
        for split in ("gate", "test"):
            file = f"{split}/evaluation.json"
            if self._has(run_id, file):
                with suppress(ValidationError):
                    logged = mlflow.artifacts.load_dict(f"runs:/{run_id}/{file}")
                    evaluations.append(Evaluation.model_validate(logged))
        return evaluations

    def divergence(self, run_id: str) -> Divergence | None:
        if self._has(run_id, _DIVERGENCE):
            return Divergence.model_validate(mlflow.artifacts.load_dict(f"runs:/{run_id}/{_DIVERGENCE}"))
        # Version 0.1 logged its words alone.
        words = self.client.get_run(run_id).data.tags.get("vgg16.cause", "")
        return Divergence(kind="other", epoch=0, text=words) if words else None

    def diagnosis(self, run_id: str) -> Diagnosis | None:
        if not self._has(run_id, _DIAGNOSIS):
            return None
        return Diagnosis.model_validate(mlflow.artifacts.load_dict(f"runs:/{run_id}/{_DIAGNOSIS}"))

    def predictions(self, run_id: str, split: Split) -> Answers | None:
        file = _predictions(split)
        if not self._has(run_id, file):
            return None
        rows = pd.read_csv(io.StringIO(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}")))
        labels, answers = (rows[column].to_numpy(np.int64) for column in ("label", "answer"))
        return Answers(labels, answers, rows["probability"].to_numpy(np.float64))

    def _has(self, run_id: str, file: str) -> bool:
        folder = str(Path(file).parent)
        files = self.client.list_artifacts(run_id, None if folder == "." else folder)
        return file in [artifact.path for artifact in files]


def _predictions(split: Split) -> str:
    return f"{split}/answers.csv"


def _unseen(evaluation: Evaluation) -> dict[str, float]:
    """The metrics of top-1 without the images that train has seen, as far as it is known."""
    unseen = evaluation.unseen
    if unseen is None:
        return {}
    if unseen.seen == evaluation.images:
        return {"seen_images": unseen.seen}
    metrics = {"seen_images": unseen.seen, "top1_unseen": unseen.top1, "top1_from_seen": unseen.from_seen}
    for name, interval in (("top1_unseen", unseen.top1_interval), ("top1_from_seen", unseen.from_seen_interval)):
        metrics[f"{name}_low"], metrics[f"{name}_high"] = interval
    return metrics
