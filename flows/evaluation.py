"""How a model's answers on gate and test come into its run: what the tasks `evaluate` and `score on test` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from prefect.artifacts import create_image_artifact

from flows import settings
from flows.connections import load_dataset, open_registry
from flows.progress import say
from vgg16 import catalog
from vgg16.config import Split
from vgg16.records import DatasetRef, Evaluation, Run

if TYPE_CHECKING:
    import keras

    from vgg16.datasets import Arrays
    from vgg16.registry import Registry

# A model and its class names, as the registry loads them.
Loaded: TypeAlias = "tuple[keras.Model, tuple[str, ...]]"


def on_gate(run: Run, model_uri: str, ref: DatasetRef) -> Run:
    """The logged model's answers on gate -> metrics, tables and figures in its run; those on test too where the
    experiment asks for them: that split is kept for what is promoted."""
    settings.import_tensorflow()
    from vgg16 import report

    registry = open_registry()
    found = registry.run_of(run.run_id)
    loaded, arrays = registry.load(model_uri), load_dataset(ref)
    gate = _score(registry, found, loaded, arrays, "gate")
    say(f"            gate top-1 {report.with_interval(gate.top1, gate.top1_interval)}")
    if registry.experiment_of(found).score_test == "always":
        _score_test(registry, found, loaded, arrays, model_uri)
    return run.model_copy(update={"metrics": registry.run_of(run.run_id).data.metrics})


def on_test(name: str, version: str) -> dict[str, float]:
    """The registered version's answers on test, on its corrupted images too, its speed and its size -> metrics, tables
    and figures in its run, once; all metrics of the run."""
    from vgg16.tracking import dataset_of

    registry = open_registry()
    found = registry.run_of(registry.version(name, version).run_id)
    if not {"test_top1", "test_corrupted_top1"} <= found.data.metrics.keys():
        settings.import_tensorflow()
        model_uri = f"models:/{name}/{version}"
        _score_test(registry, found, registry.load(model_uri), load_dataset(dataset_of(found)), model_uri)
    metrics: dict[str, float] = registry.run_of(found.info.run_id).data.metrics
    return metrics


def _score_test(registry: Registry, found: Any, loaded: Loaded, arrays: Arrays, model_uri: str) -> None:
    from vgg16 import corruptions, evaluate, report

    model, _ = loaded
    evaluation = _score(registry, found, loaded, arrays, "test")
    images, labels = arrays.part("test")
    top1 = evaluate.corrupted_top1(model, images, labels)
    speed = evaluate.speed(model, images)
    figure = report.corrupted(evaluation, top1, len(corruptions.sample(len(images))), found.info.run_name)
    registry.log_figure(found.info.run_id, figure, "test/corruptions")
    corrupted = sum(top1.values()) / len(top1)
    registry.log_metrics(
        found.info.run_id,
        {
            **{f"test_{kind}_top1": value for kind, value in top1.items()},
            "latency_ms": speed.latency_ms,
            "answers_per_s": speed.images_per_s,
            "model_megabytes": registry.megabytes(model_uri),
            # Last: it tells that all is there.
            "test_corrupted_top1": corrupted,
        },
    )
    say(
        f"test        {found.info.run_name}: top-1 {report.with_interval(evaluation.top1, evaluation.top1_interval)}, "
        f"top-5 {evaluation.top5:.4f}, corrupted {corrupted:.4f}, {speed.latency_ms:.1f} ms an image"
    )


def _score(registry: Registry, found: Any, loaded: Loaded, arrays: Arrays, split: Split) -> Evaluation:
    """Answers on a split -> metrics, tables and figures in the run."""
    from vgg16 import evaluate, report
    from vgg16.statistics import tempered
    from vgg16.tracking import dataset_of

    model, class_names = loaded
    images, labels = arrays.part(split)
    superclasses = catalog.dataset(dataset_of(found).name).superclasses
    answers = evaluate.predict(model, images)
    temperature = found.data.metrics.get("temperature", 1.0)
    after, before = (
        evaluate.evaluate(split, images, each, labels, class_names, superclasses)
        for each in (answers, tempered(answers, 1 / temperature))
    )
    name = found.info.run_name
    figures = report.figures(after, before, temperature, superclasses, name)
    # Those of gate would show a person the images that decide.
    if split == "test":
        registry.log_answers(found.info.run_id, split, labels, answers)
        figures["mistakes"] = report.mistakes(images, labels, answers, class_names, f"{name}, test")
    registry.log_evaluation(found.info.run_id, after, figures)
    create_image_artifact(
        key=f"confusion-matrix-{found.data.tags['vgg16.experiment']}",
        image_url=report.as_data_uri(figures["confusion_matrix"]),
        description=f"{name} on {split}",
    )
    return after
