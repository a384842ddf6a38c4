"""Fine-tuning from weights that are not ours, and CIFAR through the whole chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import as_seen_by
from vgg16.errors import Vgg16Error
from vgg16.storage import addresses
from vgg16.storage.s3 import S3Store

Command = Callable[..., Any]
WEIGHTS = "vgg16_weights_tf_dim_ordering_tf_kernels_notop_fp16.h5"


@pytest.fixture(scope="module")
def weights(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG-16's base as keras.applications keeps it, with random weights."""
    import keras

    path = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3)).save_weights(path)
    return path


def settings(base: str | Path, **more: object) -> list[str]:
    """Of digits-finetune on few images: a head on the frozen base, seen flipped too, then its last block."""
    chosen = {
        "base": base, "dataset.limit": 100, "backbone.width": 1, "backbone.batch_norm": "none", "phases.0.epochs": 1,
        "phases.1.epochs": 1, "phases.1.trains": "block5", "augmentation.shift": 0, "augmentation.flip": "true",
    } | more  # fmt: skip
    return [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.system
@pytest.mark.nightly
def test_features_of_a_base_are_computed_once_and_found_by_the_next_run_that_has_its_weights_from_s3(
    vgg16: Command, weights: Path, s3: S3Store, tmp_path: Path
) -> None:
    home = {"VGG16_HOME": str(tmp_path)}
    first = vgg16("run", "digits-finetune", *settings(weights), "--json", **home)
    assert first.status == 0, first.stderr
    assert first.stderr.count("computed once") == 2  # in front of the head, and in front of block5
    assert len(list((tmp_path / "store" / "features" / "digits").glob("*/manifest.json"))) == 2
    s3.client.upload_file(str(weights), s3.bucket, "bases/base.weights.h5")
    there = settings(f"s3://{s3.bucket}/bases/base.weights.h5", batch_size=20)
    again = vgg16("run", "digits-finetune", *there, "--json", **home, **as_seen_by(s3))
    assert again.status == 0, again.stderr
    assert "computed once" not in again.stderr
    assert again.stderr.count("kept in the store") == 2


def test_a_base_that_is_not_in_s3_is_named(s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in as_seen_by(s3).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Vgg16Error, match=r"s3://tests/bases/none.h5 cannot be read"):
        addresses.download(f"s3://{s3.bucket}/bases/none.h5", tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()


def test_imagenet_weights_know_photographs_after_a_minute_on_a_few_of_them(
    vgg16: Command, real_data: Path, tmp_path: Path
) -> None:
    archive = real_data / "cifar-10-binary.tar.xz"
    fetched = vgg16("data", "fetch", "cifar10", "--source", str(archive), "--json", VGG16_HOME=str(tmp_path))
    assert fetched.status == 0, fetched.stderr
    few = {
        "base": real_data / WEIGHTS, "dataset.limit": 600, "image_size": 48, "gate.floor": 0.3,
        "phases.1.trains": "head", "phases.1.epochs": 1,
    }  # fmt: skip
    chosen = [part for key, value in few.items() for part in ("--set", f"{key}={value}")]
    done = vgg16("run", "cifar10-finetune-fast", *chosen, "--json", VGG16_HOME=str(tmp_path))
    assert done.status == 0, done.stderr
    (run,) = done.json["runs"]
    assert run["metrics"]["test_top1"] > 0.4
    assert done.json["stage"] == "Production"
    samples = sorted((tmp_path / "samples" / "cifar10").glob("*.png"))
    answers = vgg16("predict", str(samples[0].parent), "--json", VGG16_HOME=str(tmp_path)).json["predictions"]
    assert len(answers) == len(samples) == 10
    assert sum(each["label"] in each["image"] for each in answers) >= 4
