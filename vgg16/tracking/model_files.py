"""A logged model's files on their way to whoever reads them: copied to where nobody else writes, and there held against
the digests that MLflow's database keeps of what was logged. The very bytes that were held against them are read."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import yaml
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter, ValidationError

from vgg16.config.types import Framing
from vgg16.errors import Vgg16Error, first_line
from vgg16.storage.files import copy_with_sha256, sha256_of

# The file of a logged model that has its layers and weights.
KERAS = "data/model.keras"
# Tags of logged models and versions: the sha256 of that file, and `digest_of` all that an answer follows from.
SHA256 = "vgg16.sha256"
MODEL_DIGEST = "vgg16.model_digest"
_NAMES = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True)
class LoggedModel:
    """Where a model is: the address that a person gave, the model's own, which no alias can move, and what MLflow's
    database keeps of it: the digest of its file, and of all that an answer follows from; "" for none."""

    requested: str
    address: str
    sha256: str
    digest: str


@dataclass(frozen=True)
class ModelFiles:
    """A model as it was logged: its Keras file, which only this user can write, the names of its classes, how a picture
    becomes what it takes, and the digest of all three."""

    keras: Path
    class_names: tuple[str, ...]
    framing: Framing
    digest: str


def digest_of(sha256: str, class_names: tuple[str, ...], framing: Framing) -> str:
    """The sha256 of all that an answer follows from: the Keras file, by its own, the class names and the framing."""
    # Without what is as ever: a field that framings get one day changes no digest of before.
    facts = {"keras": sha256, "class_names": class_names, "framing": framing.model_dump(exclude_defaults=True)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@contextmanager
def opened(logged: LoggedModel, *, in_place: bool) -> Iterator[ModelFiles]:
    """The model's files until the end of the `with`; those on this machine are copied from where they are, `in_place`.

    Raises Vgg16Error for a model that is damaged, or is not what MLflow's database says that it is, which of what an
    earlier version logged says nothing of class names and framing. What a server raises that is away or busy passes
    through.
    """
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        kept = _had(logged, None if in_place else folder)
        file = kept / KERAS
        if not file.is_file():
            raise damaged(logged, f"its file {KERAS} is missing.")
        if in_place:
            # Between a look at it and Keras' own reading somebody might put another one there.
            file = Path(folder, file.name)
            found = copy_with_sha256(kept / KERAS, file)
        else:
            found = sha256_of(file)
        if not logged.sha256:
            raise damaged(
                logged, "its file is not what was logged: expected a digest of it in the registry, found none."
            )
        if found != logged.sha256:
            difference = f"expected sha256 {logged.sha256[:12]}..., found {found[:12]}..."
            raise damaged(logged, f"its file is not what was logged: {difference}.")
        class_names, framing = _described(logged, kept)
        digest = digest_of(found, class_names, framing)
        if logged.digest and digest != logged.digest:
            difference = f"expected digest {logged.digest[:12]}..., found {digest[:12]}..."
            raise damaged(logged, f"its class names or framing are not what was logged: {difference}.")
        yield ModelFiles(file, class_names, framing, digest)


def _had(logged: LoggedModel, target: str | None) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(logged.address, dst_path=target))
    except (FileNotFoundError, MlflowException) as error:
        if not is_final(error):
            raise
        raise damaged(logged, f"its files cannot be had: {first_line(error)}") from None


def _described(logged: LoggedModel, folder: Path) -> tuple[tuple[str, ...], Framing]:
    """The class names and the framing, read once."""
    # What is raised of a damaged file is of many kinds.
    try:
        # Given a path, it would take a question mark or a hash in the home's name for parts of an address.
        metadata = mlflow.models.Model.from_dict(yaml.safe_load((folder / "MLmodel").read_text())).metadata or {}
    except Exception as error:
        raise damaged(logged, f"its MLmodel cannot be read: {first_line(error)}") from None
    if "class_names" not in metadata:
        raise damaged(logged, "its MLmodel has no class_names in its metadata.")
    try:
        names = _NAMES.validate_json(metadata["class_names"], strict=True)
        # Earlier versions knew but one framing.
        framing = Framing.model_validate_json(metadata.get("framing", "{}"))
    except (ValidationError, TypeError) as error:
        raise damaged(logged, f"its MLmodel has no such class names or framing: {first_line(error)}") from None
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise damaged(logged, f"its MLmodel names several classes {twice[0]!r}.")
    return names, framing


def damaged(logged: LoggedModel, why: str) -> Vgg16Error:
    """The error of a model that cannot be read, for this reason."""
    hint = "Use another version, or train it again; `vgg16 models` shows what there is."
    return Vgg16Error(f"The model {logged.requested} cannot be loaded: {why}", hint)


def is_final(error: Exception) -> bool:
    """Whether it will be so the next time too, unlike what a server says that is busy or away."""
    refused = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return not isinstance(error, MlflowException) or error.error_code in refused
