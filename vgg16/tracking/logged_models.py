"""The files of a logged model: written with what serves them, and read back without running code that is in them."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Map

from vgg16.data.images import Images
from vgg16.errors import first_line
from vgg16.network.classifier import Classifier
from vgg16.storage.addresses import path_of
from vgg16.storage.files import sha256_of, sync_below
from vgg16.tracking import model_files, serving
from vgg16.tracking.model_files import KERAS, MODEL_DIGEST, SHA256, LoggedModel, damaged, is_final
from vgg16.tracking.protocol import CheckedModel

# The name of what serves a model, beside its file.
_SERVER = "vgg16_serving"


def log(client: mlflow.MlflowClient, classifier: Classifier, example: Images) -> str:
    """Log the model with signature, input example, class names, framing and what serves it in the active run; its
    `models:/` address. No pickle is among its files."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        file, server = Path(folder, Path(KERAS).name), Path(folder, f"{_SERVER}.py")
        classifier.model.save(file)
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
            metadata={
                "class_names": json.dumps(classifier.class_names),
                "framing": classifier.framing.model_dump_json(),
            },
            # It would load and trace the model once more in this process.
            validate_serving_input=False,
        )
        location = client.get_logged_model(info.model_id).artifact_location
        if location.startswith("file://"):
            sync_below(path_of(location))
        sha256 = sha256_of(file)
        digest = model_files.digest_of(sha256, classifier.class_names, classifier.framing)
        client.set_logged_model_tags(info.model_id, {MODEL_DIGEST: digest})
        # Last: by it a model is known to be whole.
        client.set_logged_model_tags(info.model_id, {SHA256: sha256})
    return str(info.model_uri)


def load(logged: LoggedModel, *, in_place: bool) -> Classifier:
    """The model with what belongs to it, read in Keras' safe mode: no code comes with it, no pickle is opened. Raises
    as `model_files.opened` does, and for class names of which there are more or fewer than the model has answers."""
    import keras

    with model_files.opened(logged, in_place=in_place) as files:
        # What is raised of a damaged file is of many kinds.
        try:
            model = keras.models.load_model(files.keras, compile=False, safe_mode=True)
        except Exception as error:
            raise damaged(logged, f"Keras cannot read its file: {first_line(error)}") from None
    answers, names = model.output_shape, files.class_names
    if answers != (None, len(names)):
        raise damaged(logged, f"its MLmodel names {len(names)} classes, and its answers are of the shape {answers}.")
    return Classifier(model, names, files.framing, files.digest)


def check(logged: LoggedModel, *, in_place: bool) -> CheckedModel:
    """What can be said of a model without Keras. Raises as `model_files.opened` does."""
    with model_files.opened(logged, in_place=in_place) as files:
        try:
            with zipfile.ZipFile(files.keras) as packed:
                layers = packed.read("config.json").decode()
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise damaged(logged, f"Keras cannot read its file: {first_line(error)}") from None
    resizing = re.search(r'"class_name": *"Resizing"', layers) is not None
    return CheckedModel(files.digest, covered=bool(logged.digest), resizing=resizing)


def megabytes(logged: LoggedModel) -> float:
    """The size of a model's file in MB of 10^6 bytes, without reading it. Raises as `load` does."""
    try:
        files = ModelsArtifactRepository(logged.address).list_artifacts(str(Path(KERAS).parent))
    except (FileNotFoundError, MlflowException) as error:
        if not is_final(error):
            raise
        raise damaged(logged, f"its files cannot be listed: {first_line(error)}") from None
    sizes = [float(each.file_size) for each in files if each.path == KERAS]
    if not sizes:
        raise damaged(logged, f"its file {KERAS} is missing.")
    return sizes[0] / 1e6


class _Flavor:
    """How `Model.log` saves a model: served by a copy of `vgg16.tracking.serving`, and read by `mlflow.keras` and
    `mlflow.tensorflow` too."""

    @staticmethod
    def save_model(path: str, mlflow_model: mlflow.models.Model, **given: Any) -> None:
        """Write the folder that is logged."""
        import keras

        del given["validate_serving_input"]  # Model.log reads it, and hands it on
        mlflow_model.add_flavor(
            "keras",
            data=str(Path(KERAS).parent),
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


def _requirements() -> list[str]:
    return [f"{package}=={version(package)}" for package in ("tensorflow", "keras", "numpy")]
