"""A logged model's answers on gate and test come into its run: metrics, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from vgg16.config.types import Split
from vgg16.data.images import ImageSet
from vgg16.evaluation import corruptions, metrics, predict, speed
from vgg16.evaluation.typicality import Reference
from vgg16.network.classifier import Classifier
from vgg16.records import UNUSUAL, Evaluation, ModelVersion, TrackedRun
from vgg16.reports import figures, text
from vgg16.statistics import tempered
from vgg16.steps import typicality
from vgg16.steps.data.seen import seen_by_train
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Scored:
    """A run with the metrics that it has by now, and the confusion matrix of each split that was answered, as an
    address that needs no server."""

    run: TrackedRun
    matrices: dict[Split, str]


@dataclass(frozen=True)
class _Subject:
    """The model whose answers are logged in a run, its address, the images that it is shown, and what their typicality
    follows from, None where it cannot be told."""

    run: TrackedRun
    classifier: Classifier
    uri: str
    data: ImageSet
    reference: Reference | None


def on_gate(run: TrackedRun, model_uri: str, workplace: Workplace) -> Scored:
    """The logged model's answers on gate, and on test too where the experiment asks for them: that split is kept for
    what is promoted. Its reference for typicality is kept from now on."""
    results = workplace.tracker.results
    subject = _subject(workplace.tracker.runs.get(run.run_id), model_uri, workplace)
    gate, matrix = _score(subject, "gate", workplace)
    matrices: dict[Split, str] = {"gate": matrix}
    workplace.say(f"            gate top-1 {text.with_interval(gate.top1, gate.top1_interval)}")
    _say_unseen(gate, workplace)
    if results.experiment(run.run_id).score_test == "always":
        matrices["test"] = _score_test(subject, workplace)
    return Scored(workplace.tracker.runs.get(run.run_id), matrices)


def on_test(version: ModelVersion, workplace: Workplace) -> Scored:
    """The registered version's answers on test, on its corrupted images too, its speed and its size."""
    run = workplace.tracker.runs.get(version.run_id)
    matrix = _score_test(_subject(run, version.uri, workplace), workplace)
    return Scored(workplace.tracker.runs.get(run.run_id), {"test": matrix})


def _subject(run: TrackedRun, model_uri: str, workplace: Workplace) -> _Subject:
    classifier = workplace.tracker.registry.load(model_uri)
    data = workplace.dataset(run.trained_on).at(classifier.side, classifier.framing)
    return _Subject(run, classifier, model_uri, data, typicality.reference_of(classifier, run.trained_on, workplace))


def _score_test(subject: _Subject, workplace: Workplace) -> str:
    """The confusion matrix."""
    results, run = workplace.tracker.results, subject.run
    evaluation, matrix = _score(subject, "test", workplace)
    images, labels = subject.data.part("test")
    top1 = predict.corrupted_top1(subject.classifier.model, images, labels)
    rate = speed.measure_speed(subject.classifier.model, images)
    figure = figures.corrupted(evaluation, top1, len(corruptions.sample(len(images))), run.run_name)
    results.log_figure(run.run_id, figure, "test/corruptions")
    corrupted = sum(top1.values()) / len(top1)
    results.log_metrics(
        run.run_id,
        {
            **{f"test_{kind}_top1": value for kind, value in top1.items()},
            "latency_ms": rate.latency_ms,
            "answers_per_s": rate.images_per_s,
            "model_megabytes": workplace.tracker.registry.megabytes(subject.uri),
            # Last: it tells that all is there.
            "test_corrupted_top1": corrupted,
        },
    )
    workplace.say(
        f"test        {run.run_name}: top-1 {text.with_interval(evaluation.top1, evaluation.top1_interval)}, "
        f"top-5 {evaluation.top5:.4f}, corrupted {corrupted:.4f}, {rate.latency_ms:.1f} ms an image"
    )
    _say_unseen(evaluation, workplace)
    return matrix


def _say_unseen(evaluation: Evaluation, workplace: Workplace) -> None:
    unseen = evaluation.unseen
    if unseen and unseen.seen:
        top1 = text.with_interval(unseen.top1, unseen.top1_interval)
        workplace.say(f"            top-1 {top1} without the {text.plural(unseen.seen, 'image')} that train has seen")


def _score(subject: _Subject, split: Split, workplace: Workplace) -> tuple[Evaluation, str]:
    """Answers on a split -> metrics, tables and figures in the run; the evaluation and the confusion matrix."""
    results, run = workplace.tracker.results, subject.run
    (images, labels), names = subject.data.part(split), subject.classifier.class_names
    superclasses = workplace.dataset_row(run.trained_on).superclasses
    probabilities, usual = predict.answering(subject.classifier.model, subject.reference)(images)
    temperature = run.metrics.get("temperature", 1.0)
    seen = seen_by_train(run.trained_on, subject.data.splits, split, workplace)
    after, before = (
        metrics.evaluate(split, subject.data.digest_of(split), given, labels, names, superclasses, seen)
        for given in (probabilities, tempered(probabilities, 1 / temperature))
    )
    drawn = figures.of_evaluation(after, before, temperature, superclasses, run.run_name)
    # Those of gate would show a person the images that decide.
    if split == "test":
        results.log_predictions(run.run_id, split, labels, probabilities, seen)
        title = f"{run.run_name}, test"
        drawn["mistakes"] = figures.mistakes(images, labels, probabilities, names, title)
    results.log_evaluation(run.run_id, after, drawn)
    if usual is not None:
        results.log_metrics(run.run_id, {f"{split}_unusual": float((usual <= UNUSUAL).mean())})
    return after, figures.as_data_uri(drawn["confusion_matrix"])
