"""A registered model behind MLflow's own scoring server: a team's registry and S3, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.conftest import ENVIRONMENT, QUIET, free_port, wait_for
from tests.system.conftest import SERVED, Stack
from tests.system.servers import BIN
from tests.system.team import wait_for_it
from vgg16.stack import kept

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Served:
    """Where the model answers, its address in the registry, the run that made it, and ten digits by their labels."""

    url: str
    model: str
    run_id: str
    digits: list[tuple[str, Any]]

    def ask(self, body: object) -> httpx.Response:
        return httpx.post(f"{self.url}/invocations", json=body, timeout=60)


@pytest.fixture(scope="module")
def served(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`mlflow models serve` on a version that `vgg16 run` registered; ended with all that it started."""
    made = stack.command("run", "digits-scratch", "--json")
    assert made.status == 0, made.stderr
    (run,) = made.json["runs"]
    model = f"models:/{run['model']['name']}/{run['model']['version']}"
    samples = sorted((stack.home / "samples" / "digits").glob("*.png"))
    digits = [(path.stem.split("-")[1], np.asarray(Image.open(path).convert("RGB"))) for path in samples]
    port, log = free_port(), tmp_path_factory.mktemp("served") / "log"
    environment = ENVIRONMENT | QUIET | stack.environment | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    command = [f"{BIN}/mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/ping").is_success
        except httpx.HTTPError:
            return False

    try:
        wait_for(ready, server, log, 180)
        yield Served(f"http://127.0.0.1:{port}", model, run["run_id"], digits)
    finally:
        started = psutil.Process(server.pid).children(recursive=True)
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        psutil.wait_procs(started, 30)
    assert "cudart" not in log.read_text()
    assert not any(each.is_running() for each in started)


def test_raw_digits_are_answered_with_their_labels_as_the_command_line_does(stack: Stack, served: Served) -> None:
    answered = served.ask({"inputs": [image.tolist() for _, image in served.digits]})
    assert answered.status_code == 200, answered.text
    found = answered.json()["predictions"]
    labels = [label for label, _ in served.digits]
    assert sorted(labels) == list("0123456789")
    assert sum(each["label"] == label for label, each in zip(labels, found, strict=True)) >= 9
    folder = str(stack.home / "samples" / "digits")
    told = stack.command("predict", folder, "--model", served.model, "--json").json["predictions"]
    assert [each["label"] for each in found] == [each["label"] for each in told]
    assert [each["probability"] for each in found] == pytest.approx([each["probability"] for each in told], abs=1e-5)
    for each in found:
        assert set(each["probabilities"]) == set("0123456789")
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_the_stacks_own_service_answers_with_what_was_promoted_as_the_command_line_does(
    stack: Stack, served: Served
) -> None:
    folder, asked = stack.home / "samples" / "digits", {"name": "vgg16-digits", "alias": "champion"}
    # Of this test's run, or of one before it in this stack.
    champion = stack.mlflow.get("api/2.0/mlflow/registered-models/alias", params=asked).raise_for_status().json()
    version = champion["model_version"]["version"]
    assert "vgg16-digits" in kept.champions(stack.environment)
    wait_for_it(lambda: stack.served.get("v2/health/ready").is_success, 20)
    pictures = [("file", path.read_bytes()) for path in sorted(folder.glob("*.png"))]
    answered = stack.served.post("predict", files=pictures).json()
    predicted = stack.command("predict", str(folder), "--model", "models:/vgg16-digits@champion", "--json")
    told = predicted.json["predictions"]
    assert [(each["label"], each["version"]) for each in answered] == [(each["label"], version) for each in told]
    assert [each["probability"] for each in answered] == pytest.approx([each["probability"] for each in told], abs=1e-4)
    (shown,) = stack.command("status", "--json").json["services"]
    assert (shown["name"], shown["url"], shown["version"]) == (SERVED, stack.urls[SERVED], version)
    assert (shown["ready"], shown["current"], shown["images"] >= len(pictures)) == (True, True, True)
    checks = {check["name"]: check for check in stack.command("doctor", "--json").json["checks"]}
    assert checks["services"]["detail"].endswith(f"answers with version {version}, which is in production")


def test_requests_at_the_same_time_get_their_own_answers(served: Served) -> None:
    def label(image: Any) -> str:
        answer: dict[str, str] = served.ask({"inputs": [image.tolist()]}).json()["predictions"][0]
        return answer["label"]

    images = [image for _, image in served.digits] * 4
    alone = [label(image) for image in images[:10]]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(label, images)) == alone * 4


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (np.zeros((1, 28, 28, 3), int).tolist(), "(1, 28, 28, 3) does not match expected shape (-1, 32, 32, 3)"),
        (np.zeros((32, 32, 3), int).tolist(), "(32, 32, 3) does not match expected shape (-1, 32, 32, 3)"),
        (np.full((1, 32, 32, 3), 256).tolist(), "256 out of bounds for uint8"),
        (np.full((1, 32, 32, 3), -1).tolist(), "-1 out of bounds for uint8"),
        (np.full((1, 32, 32, 3), 0.5).tolist(), "expected whole numbers from 0 to 255, not fractions of 1"),
        ([[1], [1, 2]], "inhomogeneous shape"),
        ([], "Failed to enforce schema"),
        ("seven", "Failed to convert data `seven` to type `Tensor('uint8', (-1, 32, 32, 3))`"),
    ],
)
def test_wrong_images_are_a_bad_request_that_says_why(served: Served, inputs: object, told: str) -> None:
    answered = served.ask({"inputs": inputs})
    assert answered.status_code == 400
    assert told in answered.json()["message"]
    assert "Traceback" not in answered.text


def test_what_is_no_request_is_a_bad_one_too(served: Served) -> None:
    as_json = {"content-type": "application/json"}
    for content in (b"nonsense", b"[]", json.dumps({"images": []}).encode()):
        answered = httpx.post(f"{served.url}/invocations", content=content, headers=as_json)
        assert answered.status_code == 400
        assert "Traceback" not in answered.text


def test_the_command_line_takes_every_kind_of_address_and_refuses_wrong_ones(stack: Stack, served: Served) -> None:
    picture = str(next((stack.home / "samples" / "digits").glob("*.png")))
    address = f"runs:/{served.run_id}/model"
    found = stack.command("predict", picture, "--model", address, "--json")
    assert found.status == 0, found.stderr
    assert found.json["model"] == address
    for address in ("models:/vgg16-digits@nobody", "models:/m-0", "runs:/0/model"):  # as a server tells of them
        refused = stack.command("predict", picture, "--model", address, "--json")
        assert refused.status == 2
        assert address in refused.json["error"]["message"]
        assert "Traceback" not in refused.stderr


@pytest.mark.nightly
def test_a_model_whose_file_was_taken_out_of_s3_is_told(stack: Stack, served: Served) -> None:
    import boto3

    made = stack.command("run", "digits-scratch", "--set", "phases.0.epochs=1", "--set", "dataset.limit=200", "--json")
    version = made.json["runs"][0]["model"]["version"]
    client = boto3.client(
        "s3",
        endpoint_url=stack.urls["s3"],
        aws_access_key_id=stack.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    files = [
        (bucket["Name"], item["Key"], item["LastModified"])
        for bucket in client.list_buckets()["Buckets"]
        for item in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        if item["Key"].endswith("data/model.keras")
    ]
    bucket, key, _ = max(files, key=lambda each: each[2])
    client.delete_object(Bucket=bucket, Key=key)
    picture = str(next((stack.home / "samples" / "digits").glob("*.png")))
    failed = stack.command("predict", picture, "--model", f"models:/vgg16-digits/{version}", "--json")
    assert failed.status == 1
    assert "model.keras" in failed.json["error"]["message"]
    assert "Traceback" not in failed.stderr
