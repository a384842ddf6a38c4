"""A logged model: what it answers wherever it is loaded, what its files are, and how a damaged one is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vgg16.config.types import Experiment, Framing
from vgg16.data.images import Arrays
from vgg16.errors import RequestError, Vgg16Error
from vgg16.network.classifier import Classifier
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.storage.files import sha256_of
from vgg16.tracking.connect import connect
from vgg16.tracking.model_files import digest_of
from vgg16.tracking.protocol import Tracker
from vgg16.training.prepare import build_for

NAMES = ("dark", "bright", "grey")
FRAMING = Framing(fit="pad", largest_side=900)


@dataclass(frozen=True)
class Logged:
    """A registry of its own, a model with what made it, and images that it has not seen."""

    tracker: Tracker
    model: Any
    images: Any
    experiment: Experiment
    ref: DatasetRef

    def log(self, class_names: tuple[str, ...] = NAMES) -> tuple[str, Path, str]:
        """The address of the model in a new run, the folder of its files, and the run."""
        import mlflow

        with self.tracker.runs.start(TrainingRequest(experiment=self.experiment, dataset=self.ref), {}) as run_id:
            uri = self.tracker.registry.log_model(Classifier(self.model, class_names, FRAMING), self.images[:2])
        return uri, Path(mlflow.artifacts.download_artifacts(uri)), run_id


@pytest.fixture(scope="module")
def logged(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    import mlflow

    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("serving")
    registry = connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow")
    images = np.random.RandomState(0).randint(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    data = Arrays(images, np.arange(8) % 3, np.repeat(np.arange(4, dtype=np.int8), 2), NAMES)
    ref = DatasetRef(name="patches", digest="d" * 64, key="", class_names=NAMES, splits=data.counts())
    tiny = {"backbone": {"name": "vgg11", "width": 0.05}, "head": {"units": [8]}, "dataset": {"name": "digits"}}
    experiment = Experiment.model_validate({"name": "patches-scratch", "description": "", **tiny})
    yield Logged(registry, build_for(experiment, data), images, experiment, ref)
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.fixture(scope="module")
def whole(logged: Logged) -> tuple[str, Path, str]:
    """One logged model that no test harms, registered as version 1."""
    found = logged.log()
    logged.tracker.registry.register("vgg16-patches", found[2], found[0])
    return found


def test_it_is_loaded_as_it_was_saved_by_this_project_by_keras_and_by_tensorflow(
    logged: Logged, whole: tuple[str, Path, str]
) -> None:
    import mlflow

    wanted = logged.model.predict(logged.images, verbose=0)
    ours, names, framing, _ = logged.tracker.registry.load(whole[0])
    assert (names, framing) == (NAMES, FRAMING)
    for model in (ours, mlflow.keras.load_model(whole[0]), mlflow.tensorflow.load_model(whole[0])):
        assert np.abs(model.predict(logged.images, verbose=0) - wanted).max() < 1e-6


def test_served_it_answers_the_names_and_probabilities_of_the_same_classes(
    logged: Logged, whole: tuple[str, Path, str]
) -> None:
    import mlflow

    wanted = logged.tracker.registry.load(whole[0]).model.predict(logged.images, verbose=0)
    served = mlflow.pyfunc.load_model("models:/vgg16-patches/1")
    answers = served.predict(logged.images)
    found = np.array([[each["probabilities"][name] for name in NAMES] for each in answers])
    assert np.abs(found - wanted).max() < 1e-6
    assert [each["label"] for each in answers] == [NAMES[row.argmax()] for row in wanted]
    assert [each["probability"] for each in answers] == pytest.approx(wanted.max(axis=1), abs=1e-6)
    outputs = [each["name"] for each in served.metadata.signature.outputs.to_dict()]
    assert outputs == list(answers[0])


def test_more_images_than_a_batch_are_answered_in_their_order(
    logged: Logged, whole: tuple[str, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    served = mlflow.pyfunc.load_model(whole[0])
    wanted = served.predict(logged.images)
    monkeypatch.setattr(sys.modules["vgg16_serving"], "_BATCH", 3)
    found = served.predict(logged.images)
    assert [each["probability"] for each in found] == pytest.approx([each["probability"] for each in wanted], abs=1e-6)


def test_images_of_fractions_are_refused_instead_of_answered_as_black(
    logged: Logged, whole: tuple[str, Path, str]
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    served = mlflow.pyfunc.load_model(whole[0])
    with pytest.raises(MlflowException, match="whole numbers from 0 to 255") as refused:
        served.predict((logged.images / 255).astype(np.uint8))
    assert refused.value.get_http_status_code() == 400


ALONE = """
import sys
sys.modules["vgg16"] = None  # as where it is not installed
import mlflow, numpy
served = mlflow.pyfunc.load_model(sys.argv[1])
print(served.predict(numpy.load(sys.argv[2]))[0]["label"])
"""


def test_it_is_served_where_this_project_is_not_installed(
    logged: Logged, whole: tuple[str, Path, str], tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", logged.images)
    command = [sys.executable, "-c", ALONE, str(whole[1]), str(tmp_path / "images.npy")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [NAMES[logged.model.predict(logged.images, verbose=0)[0].argmax()]]
    assert "cudart" not in done.stderr
    assert "oneDNN" not in done.stderr


def test_none_of_its_files_is_a_pickle_or_has_one_inside(whole: tuple[str, Path, str]) -> None:
    files = {path.relative_to(whole[1]).as_posix(): path.read_bytes() for path in whole[1].rglob("*") if path.is_file()}
    with zipfile.ZipFile(whole[1] / "data" / "model.keras") as packed:
        files |= {f"model.keras/{name}": packed.read(name) for name in packed.namelist()}
    assert {"MLmodel", "code/vgg16_serving.py", "data/model.keras", "model.keras/config.json"} <= set(files)
    for name, content in files.items():
        assert not name.endswith(("pkl", "pickle"))
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, ImportError)):
            pickle.loads(content)


def test_requirements_are_pinned_and_name_nothing_of_this_project(whole: tuple[str, Path, str]) -> None:
    lines = (whole[1] / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in lines} == {"mlflow", "tensorflow", "keras", "numpy"}
    assert all("==" in line for line in lines)


def test_a_model_of_the_layout_before_is_still_loaded(logged: Logged) -> None:
    import mlflow

    with logged.tracker.runs.start(TrainingRequest(experiment=logged.experiment, dataset=logged.ref), {}):
        info = mlflow.tensorflow.log_model(
            logged.model,
            name="model",
            signature=mlflow.models.infer_signature(logged.images, logged.model.predict(logged.images, verbose=0)),
            pip_requirements=["tensorflow"],
            metadata={"class_names": json.dumps(NAMES)},
        )
    file = Path(mlflow.artifacts.download_artifacts(info.model_uri), "data", "model.keras")
    logged.tracker.registry.client.set_logged_model_tags(info.model_id, {"vgg16.sha256": sha256_of(file)})
    model, names, framing, _ = logged.tracker.registry.load(info.model_uri)
    assert (names, framing) == (NAMES, Framing())
    assert np.array_equal(model.predict(logged.images, verbose=0), logged.model.predict(logged.images, verbose=0))
    assert logged.tracker.registry.megabytes(info.model_uri) == file.stat().st_size / 1e6


def test_it_is_found_by_every_kind_of_address(logged: Logged, whole: tuple[str, Path, str]) -> None:
    uri, folder, run_id = whole
    logged.tracker.registry.client.set_registered_model_alias("vgg16-patches", "tried", "1")
    megabytes = (folder / "data" / "model.keras").stat().st_size / 1e6
    for address in (uri, "models:/vgg16-patches/1", "models:/vgg16-patches@tried", f"runs:/{run_id}/model"):
        assert logged.tracker.registry.load(address).class_names == NAMES
        assert logged.tracker.registry.megabytes(address) == megabytes


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("models:/vgg16-none/1", "not found"),
        ("models:/vgg16-patches/99", "not found"),
        ("models:/vgg16-patches@nobody", "nobody not found"),
        ("models:/vgg16-patches/Production", "No versions"),
        ("models:/m-0123", "not found"),
        ("models:/", "expected models:/NAME/VERSION"),
        ("models:/a/b/c", "expected models:/NAME/VERSION"),
        ("vgg16-patches/1", "expected models:/NAME/VERSION"),
        ("/", "expected models:/NAME/VERSION"),
        ("s3://bucket/model", "expected models:/NAME/VERSION"),
        ("http://127.0.0.1:1/model", "expected models:/NAME/VERSION"),
        ("runs:/0123/model", "not found"),
        ("runs:/0123/other", "expected models:/NAME/VERSION"),
    ],
)
def test_an_address_that_names_no_model_is_a_wrong_request(
    logged: Logged, whole: tuple[str, Path, str], address: str, told: str
) -> None:
    for ask in (logged.tracker.registry.load, logged.tracker.registry.megabytes):
        with pytest.raises(RequestError) as refused:
            ask(address)
        assert address in refused.value.message
        assert told in refused.value.message


def test_a_run_without_a_model_is_a_wrong_request(logged: Logged) -> None:
    with logged.tracker.runs.start(TrainingRequest(experiment=logged.experiment, dataset=logged.ref), {}) as run_id:
        pass
    with pytest.raises(RequestError, match="No model at"):
        logged.tracker.registry.load(f"runs:/{run_id}/model")


def cut_off(folder: Path) -> None:
    file = folder / "data" / "model.keras"
    file.write_bytes(file.read_bytes()[:-1000])


def tampered_with(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data" / "model.keras", "a") as packed:
        packed.writestr("more.txt", "more")


def described(old: str, new: str) -> Callable[[Path], None]:
    """What MLmodel says, changed by somebody."""

    def change(folder: Path) -> None:
        text = (folder / "MLmodel").read_text()
        assert old in text
        (folder / "MLmodel").write_text(text.replace(old, new))

    return change


SWAPPED = described('["dark", "bright", "grey"]', '["bright", "dark", "grey"]')


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "data" / "model.keras").unlink(), r"its file data/model.keras is missing"),
        (shutil.rmtree, r"its files cannot be had: .*"),
        (cut_off, r"its file is not what was logged: expected sha256 \w{12}..., found \w{12}"),
        (tampered_with, r"its file is not what was logged: expected sha256 \w{12}..., found \w{12}"),
        (lambda folder: (folder / "MLmodel").unlink(), r"its MLmodel cannot be read: .*MLmodel"),
        (lambda folder: (folder / "MLmodel").write_text("flavors: ["), r"its MLmodel cannot be read: .+"),
        (described("class_names", "nothing"), r"its MLmodel has no class_names"),
        (SWAPPED, r"class names or framing are not what was logged: expected digest \w{12}..., found \w{12}"),
        (described(', "grey"]', ', "gray"]'), r"its class names or framing are not what was logged"),
        (
            described('"fit":"pad"', '"fit":"crop"'),
            r"its class names or framing are not what was logged",
        ),
        (described('"fit":"pad"', '"fit":"pds"'), r"its MLmodel has no such class names or framing: .+"),
        (described(', "grey"]', ', "dark"]'), r"its MLmodel names several classes 'dark'"),
    ],
    ids=[
        *("file missing", "all missing", "cut off", "tampered with", "no MLmodel", "MLmodel cut off", "no class names"),
        *("names swapped", "name changed", "framing changed", "no framing", "name twice"),
    ],
)
def test_a_damaged_model_is_refused_with_the_reason(logged: Logged, harm: Callable[[Path], None], told: str) -> None:
    uri, folder, _ = logged.log()
    harm(folder)
    for ask in (logged.tracker.registry.load, logged.tracker.registry.check):
        with pytest.raises(Vgg16Error, match=told) as refused:
            ask(uri)
        assert refused.value.status == 1
        assert uri in refused.value.message
        assert "vgg16 models" in refused.value.hint


def of_before(logged: Logged) -> tuple[str, Path]:
    """A model as an earlier version logged it, whose class names had no digest: its address and folder."""
    uri, folder, _ = logged.log()
    logged.tracker.registry.client.delete_logged_model_tag(uri.removeprefix("models:/"), "vgg16.model_digest")
    return uri, folder


def test_class_names_have_a_digest_and_what_was_logged_without_is_still_loaded(
    logged: Logged, whole: tuple[str, Path, str]
) -> None:
    registry = logged.tracker.registry
    uri, folder = of_before(logged)
    assert [registry.check(address).covered for address in (whole[0], uri)] == [True, False]
    assert registry.check("models:/vgg16-patches/1").digest == registry.model_digest("vgg16-patches", "1")
    SWAPPED(folder)
    assert registry.load(uri).class_names == ("bright", "dark", "grey")
    assert registry.load(uri).digest == registry.check(uri).digest != registry.load(whole[0]).digest


@pytest.mark.parametrize("names", ['["dark", "bright"]', '["dark", "bright", "grey", "black"]', '"abc"', "[1, 2, 3]"])
def test_as_many_names_as_answers_are_asked_of_every_model(logged: Logged, names: str) -> None:
    import mlflow

    uri, folder = of_before(logged)
    described('["dark", "bright", "grey"]', names)(folder)
    with pytest.raises(Vgg16Error, match=r"names \d classes, and its answers are of the shape|no such class names"):
        logged.tracker.registry.load(uri)
    if names.startswith('["'):
        with pytest.raises(ValueError, match="Expected a class name for each answer"):
            mlflow.pyfunc.load_model(uri)


@pytest.mark.parametrize("change", [bytes.upper, lambda _: b"", lambda content: content + b"more"])
def test_what_was_held_against_the_digest_is_what_keras_reads(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
) -> None:
    import keras

    uri, folder, _ = logged.log()
    wanted = logged.model.predict(logged.images, verbose=0)
    load, places = keras.models.load_model, []

    def swapped(file: Path, **options: Any) -> Any:
        kept = folder / "data" / "model.keras"
        kept.write_bytes(change(kept.read_bytes()))
        places.append((file.parent.stat().st_mode & 0o777, file.parent.is_relative_to(folder)))
        return load(file, **options)

    monkeypatch.setattr(keras.models, "load_model", swapped)
    loaded = logged.tracker.registry.load(uri)
    assert np.array_equal(loaded.model.predict(logged.images, verbose=0), wanted)
    assert places == [(0o700, False)]
    with pytest.raises(Vgg16Error, match="not what was logged"):
        logged.tracker.registry.load(uri)


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 no archive", "empty archive"])
def test_a_file_that_keras_cannot_read_is_refused_whatever_its_digest(logged: Logged, content: bytes | str) -> None:
    uri, folder, _ = logged.log()
    file = folder / "data" / "model.keras"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        zipfile.ZipFile(file, "w").close()
    digests = {"vgg16.sha256": sha256_of(file), "vgg16.model_digest": digest_of(sha256_of(file), NAMES, FRAMING)}
    logged.tracker.registry.client.set_logged_model_tags(uri.removeprefix("models:/"), digests)
    with pytest.raises(Vgg16Error, match=r"Keras cannot read its file: .+"):
        logged.tracker.registry.load(uri)


def test_a_server_that_is_away_is_not_a_damaged_model(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    uri, _, _ = logged.log()

    def away(*_: object, **__: object) -> None:
        raise MlflowException("API request failed: connection refused")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", away)
    with pytest.raises(MlflowException, match="connection refused"):
        logged.tracker.registry.load(uri)


def test_the_size_of_a_missing_file_is_not_zero(logged: Logged) -> None:
    uri, folder, _ = logged.log()
    (folder / "data" / "model.keras").unlink()
    with pytest.raises(Vgg16Error, match="is missing"):
        logged.tracker.registry.megabytes(uri)
    shutil.rmtree(folder)
    with pytest.raises(Vgg16Error, match=r"is missing|cannot be listed"):
        logged.tracker.registry.megabytes(uri)
