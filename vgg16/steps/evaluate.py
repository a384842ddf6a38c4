"""How a model's answers on gate and test come into its run: what the tasks `evaluate` and `score on test` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from prefect.artifacts import create_image_artifact

from flows.progress import say
from vgg16.config import catalog
from vgg16.config.types import Split
from vgg16.records import DatasetRef, Evaluation, Run
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import load_dataset, open_registry

if TYPE_CHECKING:
    import keras

    from vgg16.data.images import Arrays
    from vgg16.tracking.registry import Registry


# A model and its class names, as the registry loads them.
Loaded: TypeAlias = "tuple[keras.Model, tuple[str, ...]]"


def on_gate(run: Run, model_uri: str, ref: DatasetRef) -> Run:
    """The logged model's answers on gate -> metrics, tables and figures in its run; those on test too where the
    experiment asks for them: that split is kept for what is promoted."""
    import_tensorflow()
    from vgg16.reports import text

    registry = open_registry()
    found = registry.run_of(run.run_id)
    loaded, arrays = registry.load(model_uri), load_dataset(ref)
    gate = _score(registry, found, loaded, arrays, "gate")
    say(f"            gate top-1 {text.with_interval(gate.top1, gate.top1_interval)}")
    if registry.experiment_of(found).score_test == "always":
        _score_test(registry, found, loaded, arrays, model_uri)
    return run.model_copy(update={"metrics": registry.run_of(run.run_id).data.metrics})


def on_test(name: str, version: str) -> dict[str, float]:
    """The registered version's answers on test, on its corrupted images too, its speed and its size -> metrics, tables
    and figures in its run, once; all metrics of the run."""
    from vgg16.tracking.runs import dataset_of

    registry = open_registry()
    found = registry.run_of(registry.version(name, version).run_id)
    if not {"test_top1", "test_corrupted_top1"} <= found.data.metrics.keys():
        import_tensorflow()
        model_uri = f"models:/{name}/{version}"
        _score_test(registry, found, registry.load(model_uri), load_dataset(dataset_of(found)), model_uri)
    metrics: dict[str, float] = registry.run_of(found.info.run_id).data.metrics
    return metrics


def _score_test(registry: Registry, found: Any, loaded: Loaded, arrays: Arrays, model_uri: str) -> None:
    from vgg16.evaluation import corruptions, predict, speed
    from vgg16.reports import figures, text

    model, _ = loaded
    evaluation = _score(registry, found, loaded, arrays, "test")
    images, labels = arrays.part("test")
    top1 = predict.corrupted_top1(model, images, labels)
    rate = speed.measure_speed(model, images)
    figure = figures.corrupted(evaluation, top1, len(corruptions.sample(len(images))), found.info.run_name)
    registry.log_figure(found.info.run_id, figure, "test/corruptions")
    corrupted = sum(top1.values()) / len(top1)
    registry.log_metrics(
        found.info.run_id,
        {
            **{f"test_{kind}_top1": value for kind, value in top1.items()},
            "latency_ms": rate.latency_ms,
            "answers_per_s": rate.images_per_s,
            "model_megabytes": registry.megabytes(model_uri),
            # Last: it tells that all is there.
            "test_corrupted_top1": corrupted,
        },
    )
    say(
        f"test        {found.info.run_name}: top-1 {text.with_interval(evaluation.top1, evaluation.top1_interval)}, "
        f"top-5 {evaluation.top5:.4f}, corrupted {corrupted:.4f}, {rate.latency_ms:.1f} ms an image"
    )


def _score(registry: Registry, found: Any, loaded: Loaded, arrays: Arrays, split: Split) -> Evaluation:
    """Answers on a split -> metrics, tables and figures in the run."""
    from vgg16.evaluation import metrics, predict
    from vgg16.reports import figures
    from vgg16.statistics import tempered
    from vgg16.tracking.runs import dataset_of

    model, class_names = loaded
    images, labels = arrays.part(split)
    superclasses = catalog.dataset(dataset_of(found).name).superclasses
    answers = predict.predict(model, images)
    temperature = found.data.metrics.get("temperature", 1.0)
    after, before = (
        metrics.evaluate(split, images, each, labels, class_names, superclasses)
        for each in (answers, tempered(answers, 1 / temperature))
    )
    name = found.info.run_name
    drawn = figures.of_evaluation(after, before, temperature, superclasses, name)
    # Those of gate would show a person the images that decide.
    if split == "test":
        registry.log_answers(found.info.run_id, split, labels, answers)
        drawn["mistakes"] = figures.mistakes(images, labels, answers, class_names, f"{name}, test")
    registry.log_evaluation(found.info.run_id, after, drawn)
    create_image_artifact(
        key=f"confusion-matrix-{found.data.tags['vgg16.experiment']}",
        image_url=figures.as_data_uri(drawn["confusion_matrix"]),
        description=f"{name} on {split}",
    )
    return after
