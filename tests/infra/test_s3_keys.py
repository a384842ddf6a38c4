"""The S3 server of compose.yaml by its own command, as a process: what each of its three keys may do, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import ENVIRONMENT, free_port
from tests.infra.compose import required, services
from tests.system.servers import BIN, started

SECRETS = {name: f"the-{name.lower()}" for name in required()}
KEYS = {"admin": "S3_ADMIN_SECRET_KEY", "vgg16": "S3_SECRET_KEY", "mlflow": "S3_MLFLOW_SECRET_KEY"}
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
    for key, client in clients.items():
        for folder in OWN["admin"]:
            name, no = f"{folder}/a/object", folder not in OWN[key]
            clients["admin"].put_object(Bucket="vgg16", Key=name, Body=b"one")
            assert refused(client.get_object, Key=name) == no, (key, folder)
            assert refused(client.put_object, Key=name, Body=b"two") == no
            assert refused(client.put_object, Key=f"{folder}/{key}", Body=b"", IfNoneMatch="*") == no
            assert refused(client.list_objects_v2, Prefix=f"{folder}/") == no
            assert refused(client.create_multipart_upload, Key=f"{folder}/large") == no
            for own in OWN[key]:
                assert refused(client.copy_object, Key=f"{own}/copy", CopySource=f"vgg16/{name}") == no
            assert refused(client.delete_objects, Delete={"Objects": [{"Key": name}]}) == no
            assert refused(client.delete_object, Key=name) == no
        assert refused(client.list_objects_v2) == (key != "admin")
        assert key == "admin" or refused(client.delete_bucket)
