"""The files of a logged model: written with what serves them, and read back without running code that is in them."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Map

from vgg16.config.types import Framing
from vgg16.data.images import Images
from vgg16.errors import Vgg16Error, first_line
from vgg16.network.classifier import Classifier
from vgg16.storage.addresses import path_of
from vgg16.storage.files import sha256_of, sync_below
from vgg16.tracking import serving

# A logged model's file, and the tag of models and versions in MLflow's database that keeps its digest.
_KERAS = "data/model.keras"
SHA256 = "vgg16.sha256"
# The name of what serves it, beside it.
_SERVER = "vgg16_serving"


@dataclass(frozen=True)
class LoggedModel:
    """Where a model is: the address that a person gave, the model's own, which no alias can move, and the digest that
    MLflow's database keeps of its file, "" for none."""

    requested: str
    address: str
    sha256: str


def log(client: mlflow.MlflowClient, classifier: Classifier, example: Images) -> str:
    """Log the model with signature, input example, class names, framing and what serves it in the active run; its
    `models:/` address. No pickle is among its files."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        file, server = Path(folder, Path(_KERAS).name), Path(folder, f"{_SERVER}.py")
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
        # Last: by its digest a model is known to be whole.
        client.set_logged_model_tags(info.model_id, {SHA256: sha256_of(file)})
    return str(info.model_uri)


def load(logged: LoggedModel, *, in_place: bool) -> Classifier:
    """The model with what belongs to it, read in Keras' safe mode: no code comes with it, no pickle is opened. Files on
    this machine are read where they are, `in_place`. Raises Vgg16Error for a model that is damaged, or is not what
    MLflow's database says that it is; what a server raises that is away or busy passes through."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        try:
            kept = Path(mlflow.artifacts.download_artifacts(logged.address, dst_path=None if in_place else folder))
        except (FileNotFoundError, MlflowException) as error:
            if not is_final(error):
                raise
            raise _damaged(logged, f"its files cannot be had: {first_line(error)}") from None
        if not (kept / _KERAS).is_file():
            raise _damaged(logged, f"its file {_KERAS} is missing.")
        found, expected = sha256_of(kept / _KERAS), logged.sha256
        if not expected:
            raise _damaged(
                logged, "its file is not what was logged: expected a digest of it in the registry, found none."
            )
        if found != expected:
            difference = f"expected sha256 {expected[:12]}..., found {found[:12]}..."
            raise _damaged(logged, f"its file is not what was logged: {difference}.")
        return _read(logged, kept)


def megabytes(logged: LoggedModel) -> float:
    """The size of a model's file in MB of 10^6 bytes, without reading it. Raises as `load` does."""
    try:
        files = ModelsArtifactRepository(logged.address).list_artifacts(str(Path(_KERAS).parent))
    except (FileNotFoundError, MlflowException) as error:
        if not is_final(error):
            raise
        raise _damaged(logged, f"its files cannot be listed: {first_line(error)}") from None
    sizes = [float(each.file_size) for each in files if each.path == _KERAS]
    if not sizes:
        raise _damaged(logged, f"its file {_KERAS} is missing.")
    return sizes[0] / 1e6


def _read(logged: LoggedModel, folder: Path) -> Classifier:
    import keras

    # What is raised of a damaged file is of many kinds.
    try:
        # Given a path, it would take a question mark or a hash in the home's name for parts of an address.
        metadata = mlflow.models.Model.from_dict(yaml.safe_load((folder / "MLmodel").read_text())).metadata or {}
    except Exception as error:
        raise _damaged(logged, f"its MLmodel cannot be read: {first_line(error)}") from None
    if "class_names" not in metadata:
        raise _damaged(logged, "its MLmodel has no class_names in its metadata.")
    try:
        model = keras.models.load_model(folder / _KERAS, compile=False, safe_mode=True)
    except Exception as error:
        raise _damaged(logged, f"Keras cannot read its file: {first_line(error)}") from None
    # Earlier versions knew but one framing.
    framing = Framing.model_validate_json(metadata.get("framing", "{}"))
    return Classifier(model, tuple(json.loads(metadata["class_names"])), framing)


def _damaged(logged: LoggedModel, why: str) -> Vgg16Error:
    hint = "Use another version, or train it again; `vgg16 models` shows what there is."
    return Vgg16Error(f"The model {logged.requested} cannot be loaded: {why}", hint)


def is_final(error: Exception) -> bool:
    """Whether it will be so the next time too, unlike what a server says that is busy or away."""
    refused = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return not isinstance(error, MlflowException) or error.error_code in refused


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


def _requirements() -> list[str]:
    return [f"{package}=={version(package)}" for package in ("tensorflow", "keras", "numpy")]
