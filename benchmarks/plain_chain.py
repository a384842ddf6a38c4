"""The chain of `vgg16 run digits-scratch` as one plain Prefect + MLflow script, which `benchmarks/chain.py` measures
ours against. Prints as its last line, as JSON, how many of its seconds are training and judging in a fresh process.

`MLFLOW_TRACKING_URI=... PREFECT_API_URL=... .venv/bin/python -m benchmarks.plain_chain`. Knows nothing of `vgg16`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import keras
import matplotlib as mpl
import mlflow
import pandas as pd
from keras import layers
from mlflow.models import infer_signature
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from sklearn.metrics import ConfusionMatrixDisplay, classification_report, top_k_accuracy_score

from benchmarks import plain_judge
from benchmarks.plain_judge import NAME, load

EPOCHS, BATCH, RATE = 10, 32, 0.05
took: dict[str, float] = {}


@task(cache_policy=NO_CACHE)
def validate(data: dict[str, Any]) -> None:
    """One row a picture through Great Expectations, with its Data Docs in the MLflow run."""
    rows = pd.DataFrame(
        [
            {"split": split, "label": int(label), "mean": image.mean(), "min": image.min(), "max": image.max()}
            for split, (images, labels) in data.items()
            for image, label in zip(images, labels, strict=True)
        ]
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = context.data_sources.add_pandas("images").add_dataframe_asset("rows")
    suite = context.suites.add(gx.ExpectationSuite(name="digits"))
    suite.add_expectation(gxe.ExpectTableRowCountToBeBetween(min_value=1))
    suite.add_expectation(gxe.ExpectColumnDistinctValuesToEqualSet(column="split", value_set=list(data)))
    suite.add_expectation(gxe.ExpectColumnDistinctValuesToEqualSet(column="label", value_set=list(range(10))))
    for column in rows.columns:
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=column))
    for column in ("mean", "min", "max"):
        suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=255))
    suite.add_expectation(gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="max", column_B="min"))
    whole = context.validation_definitions.add(
        gx.ValidationDefinition(name="digits", data=batch.add_batch_definition_whole_dataframe("all"), suite=suite)
    )
    with tempfile.TemporaryDirectory() as folder:
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": folder}
        context.add_data_docs_site(
            "docs",
            {
                "class_name": "SiteBuilder",
                "store_backend": backend,
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            },
        )
        checkpoint = gx.Checkpoint(
            name="digits",
            validation_definitions=[whole],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={"result_format": "SUMMARY"},
        )
        result = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": rows})
        for page in Path(folder, "validations").rglob("*.html"):
            mlflow.log_artifact(str(page), "data-docs")
    if not result.success:
        raise ValueError(result.describe())


class Logged(keras.callbacks.Callback):
    """Each epoch's curves in the MLflow run."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras calls it."""
        mlflow.log_metrics(logs or {}, step=epoch)


@task(cache_policy=NO_CACHE)
def train(data: dict[str, Any]) -> str:
    keras.utils.set_random_seed(1)
    images, labels = data["train"]
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.RandomTranslation(0.06, 0.06)]
    )
    for convolutions, filters in ((2, 16), (2, 32), (3, 64), (3, 128), (3, 128)):
        for _ in range(convolutions):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(512, "relu"), layers.Dense(10, "softmax")):
        model.add(layer)
    steps = EPOCHS * -(-len(images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=RATE, warmup_steps=steps // EPOCHS)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    mlflow.log_params({"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": RATE, "optimizer": "sgd"})
    started = time.perf_counter()
    history = model.fit(
        images, labels, batch_size=BATCH, epochs=EPOCHS, validation_data=data["val"], verbose=0, callbacks=[Logged()]
    )
    took["training"] = time.perf_counter() - started
    figure = mpl.figure.Figure()
    axes = figure.subplots()
    for name, values in history.history.items():
        axes.plot(values, label=name)
    axes.legend()
    mlflow.log_figure(figure, "curves.png")
    example = images[:2]
    info = mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=infer_signature(example, model(example).numpy()),
        # Without them MLflow would import TensorFlow once more to find them, ten seconds.
        pip_requirements=["tensorflow", "keras"],
        registered_model_name=NAME,
    )
    return str(info.registered_model_version)


@task(cache_policy=NO_CACHE)
def evaluate(data: dict[str, Any], version: str) -> None:
    model = mlflow.tensorflow.load_model(f"models:/{NAME}/{version}")
    images, labels = data["gate"]
    answers = model.predict(images, verbose=0)
    found = answers.argmax(axis=1)
    mlflow.log_metrics({"gate_top1": (found == labels).mean(), "gate_top5": top_k_accuracy_score(labels, answers, k=5)})
    mlflow.log_dict(classification_report(labels, found, output_dict=True), "report.json")
    figure = mpl.figure.Figure()
    ConfusionMatrixDisplay.from_predictions(labels, found, ax=figure.subplots())
    mlflow.log_figure(figure, "confusion_matrix.png")


@task(cache_policy=NO_CACHE)
def judge(version: str) -> bool:
    """The new version beside the champion, both loaded by a process that holds nothing of the training."""
    client = mlflow.MlflowClient()
    champion = client.get_registered_model(NAME).aliases.get("champion")
    started = time.perf_counter()
    command = [sys.executable, plain_judge.__file__, version, *filter(None, [champion])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took["judging"] = time.perf_counter() - started
    facts = json.loads(done.stdout.splitlines()[-1])
    for name, value in facts.items():
        client.set_model_version_tag(NAME, version, name, value)
    client.update_model_version(NAME, version, "".join(f"- {name}: {value}\n" for name, value in facts.items()))
    return not champion or (facts["p"] < 0.05 and facts["more"] > 0)


@task(cache_policy=NO_CACHE)
def promote(version: str) -> None:
    client = mlflow.MlflowClient()
    client.transition_model_version_stage(NAME, version, "Production", archive_existing_versions=True)
    client.set_registered_model_alias(NAME, "champion", version)


@flow(name="plain-chain")
def chain() -> None:
    mlflow.set_experiment(NAME)
    with mlflow.start_run():
        data = task(load, cache_policy=NO_CACHE)()
        validate(data)
        version = train(data)
        evaluate(data, version)
        if judge(version):
            promote(version)


if __name__ == "__main__":
    chain()
    print(json.dumps(took))
