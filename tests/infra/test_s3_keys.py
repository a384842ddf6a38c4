"""The S3 server of compose.yaml by its own command, as a process: what each of its four keys may do, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import ENVIRONMENT, free_port
from tests.infra.compose import required, services
from tests.serving.tiny import ask, keep, onnx_file, picture, promote, serving
from tests.system.servers import BIN, started
from vgg16.storage.s3 import S3Store

SECRETS = {name: f"the-{name.lower()}" for name in required()}
KEYS = {
    "admin": "S3_ADMIN_SECRET_KEY",
    "vgg16": "S3_SECRET_KEY",
    "mlflow": "S3_MLFLOW_SECRET_KEY",
    "serve": "S3_SERVE_SECRET_KEY",
}
OWN = {"admin": {"store", "photographs", "mlflow", "else"}, "vgg16": {"store", "photographs"}, "mlflow": {"mlflow"}}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A client for each key, and the bucket that the job `bucket` makes."""
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    moved = {"/data": str(folder), "/tmp/identities.json": str(folder / "identities.json"), "0.0.0.0": "127.0.0.1"}
    found = services(SECRETS, {"//s3:8333": f"//127.0.0.1:{port}", "8333": str(port), **moved})
    parts = [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
    parts += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
    environment = ENVIRONMENT | {"PATH": f"{BIN}:{ENVIRONMENT['PATH']}"}
    s3 = found["s3"] | {"command": found["s3"]["command"] + parts}
    with started("s3", s3, environment, folder), started("bucket", found["bucket"], environment, folder):
        assert (folder / "identities.json").stat().st_mode & 0o777 == 0o600
        yield {
            key: boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=key,
                aws_secret_access_key=SECRETS[KEYS[key]],
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            )
            for key in KEYS
        }
        # Told to end, it would hand over its data for 15 seconds.
        for child in psutil.Process().children():
            if f"-dir={folder}" in child.cmdline():
                child.kill()


def refused(call: Any, **arguments: Any) -> bool:
    try:
        answer = call(Bucket="vgg16", **arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    errors = answer.get("Errors", [])
    return bool(errors) and all(error["Code"] == "AccessDenied" for error in errors)


def test_a_key_reads_writes_lists_and_deletes_in_its_own_folders_alone(clients: dict[str, Any]) -> None:
    for key, folders in OWN.items():
        client = clients[key]
        for folder in OWN["admin"]:
            name, no = f"{folder}/a/object", folder not in folders
            clients["admin"].put_object(Bucket="vgg16", Key=name, Body=b"one")
            assert refused(client.get_object, Key=name) == no, (key, folder)
            assert refused(client.put_object, Key=name, Body=b"two") == no
            assert refused(client.put_object, Key=f"{folder}/{key}", Body=b"", IfNoneMatch="*") == no
            assert refused(client.list_objects_v2, Prefix=f"{folder}/") == no
            assert refused(client.create_multipart_upload, Key=f"{folder}/large") == no
            for own in folders:
                assert refused(client.copy_object, Key=f"{own}/copy", CopySource=f"vgg16/{name}") == no
            assert refused(client.delete_objects, Delete={"Objects": [{"Key": name}]}) == no
            assert refused(client.delete_object, Key=name) == no
        assert refused(client.list_objects_v2) == (key != "admin")
        assert key == "admin" or refused(client.delete_bucket)


def test_the_services_key_reads_what_it_serves_and_writes_nothing(clients: dict[str, Any]) -> None:
    admin, client = clients["admin"], clients["serve"]
    for folder, no in {
        **dict.fromkeys(("store/ledger", "store/exports", "store/challengers"), False),
        **dict.fromkeys(("store", "store/datasets", "photographs", "mlflow", "else"), True),
    }.items():
        name = f"{folder}/an-object"
        admin.put_object(Bucket="vgg16", Key=name, Body=b"one")
        assert refused(client.get_object, Key=name) == no, folder
        assert refused(client.list_objects_v2, Prefix=f"{folder}/") == no, folder
        assert refused(client.put_object, Key=name, Body=b"two")
        assert refused(client.put_object, Key=f"{name}-2", Body=b"", IfNoneMatch="*")
        assert refused(client.create_multipart_upload, Key=f"{folder}/large")
        assert refused(client.delete_object, Key=name)
        admin.delete_object(Bucket="vgg16", Key=name)
    assert refused(client.list_objects_v2)


def test_with_that_key_a_service_waits_for_the_champion_and_follows(clients: dict[str, Any], tmp_path: Path) -> None:
    team, own = (S3Store("vgg16", "store", clients[key]) for key in ("vgg16", "serve"))
    with serving(own, tmp_path, wait=True) as running, ask(running.url) as client:
        assert client.get("/v2/health/ready").status_code == 503
        for version in ("1", "2"):
            promote(team, version, keep(team, onnx_file(version), tmp_path))
            deadline = time.monotonic() + 20
            while (answer := client.post("/predict", content=picture(9)).json()).get("version") != version:
                assert time.monotonic() < deadline, answer
                time.sleep(0.05)
