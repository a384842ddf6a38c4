"""Objects in S3: the one door to boto3, whose import takes a while: this module is imported when a bucket is opened."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage.store import ExistsError, Stream

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The name, in the metadata of an object that is created, of who created it.
_WRITER = "vgg16-writer"
_PROBE = "probes/written-once"
# What servers say that do not know the condition.
_UNKNOWN = ("NotImplemented", "InvalidArgument", "InvalidRequest")
# Seconds before each try of a write that met another one at work.
_CONFLICT_PAUSES = (0.0, 0.2, 0.5, 1.0)


class S3Store:
    """A store in an S3 bucket; credentials and endpoint are those of the standard AWS variables and profiles."""

    def __init__(self, bucket: str, prefix: str, client: S3Client, transfer: TransferConfig | None = None) -> None:
        self.transfer = transfer
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.address = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.client = client
        self._honest = False

    def local_path(self, key: str) -> None:  # noqa: ARG002  # the signature is the protocol's
        return None

    def read(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def create(self, key: str, content: bytes) -> None:
        if not self._honest:
            self._probe()
        if not self._put_new(key, content):
            raise ExistsError(key)

    def _put_new(self, key: str, content: bytes) -> bool:
        """Write an object on condition that there is none; whether it is ours. Raises Vgg16Error for a server that
        knows no such condition."""
        token = uuid.uuid4().hex
        for pause in _CONFLICT_PAUSES:
            time.sleep(pause)
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + key,
                    Body=content,
                    IfNoneMatch="*",
                    Metadata={_WRITER: token},
                )
                return True
            except (BotoCoreError, ClientError) as error:
                # A write whose answer was lost is repeated, and refused for being there already.
                writer = self._writer(key)
                if writer is not None and writer == token:
                    return True
                code = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""
                if code in _UNKNOWN:
                    raise self._unfit(f"answers {code} to a conditional write") from None
                if isinstance(error, ClientError) and code not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise
                if writer is not None:
                    return False
                if isinstance(error, BotoCoreError):
                    raise
                # Another write was at work, and did not end well.
        return False

    def _writer(self, key: str) -> str | None:
        """What the writer of an object called itself, "" for one that did not; None where there is no object."""
        try:
            return self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)["Metadata"].get(_WRITER, "")
        except (BotoCoreError, ClientError):
            return None

    def _probe(self) -> None:
        """Raises Vgg16Error where the server does not honour conditions: each of two writers would take itself for the
        first. The object of the probe stays, so that one more write of it, which must be refused, tells."""
        if all(
            self._put_new(_PROBE, b"Written once: a second write on condition must be refused.\n") for _ in range(2)
        ):
            raise self._unfit("writes over what is there though it was asked not to")
        self._honest = True

    def _unfit(self, what: str) -> Vgg16Error:
        return Vgg16Error(
            f"The S3 server of {self.address} {what}: it does not honour If-None-Match, by which of two writers one "
            "wins, and two would overwrite each other's work.",
            "Use a server that does (Amazon S3, MinIO, SeaweedFS 4, Ceph 20), without a proxy that drops the header.",
        )

    def check(self) -> None:
        """Raises RequestError where the bucket is not there, Vgg16Error where the server fails."""
        hint = "boto3's variables and profiles name the server and the credentials: AWS_ENDPOINT_URL_S3, AWS_PROFILE."
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if status == 404:
                where = self.client.meta.endpoint_url
                raise RequestError(f"There is no bucket {self.bucket} at {where}.", hint) from None
            # Who may write need not be one who may look.
            if status != 403:
                raise Vgg16Error(f"{self.address} failed: {error}.", hint) from None
        except BotoCoreError as error:
            raise Vgg16Error(f"{self.address} cannot be reached: {str(error).rstrip('.')}.", hint) from None

    def validator(self, key: str) -> str:
        """The object's ETag, "" where there is none that can be asked for."""
        try:
            return str(self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)["ETag"])
        except (BotoCoreError, ClientError):
            return ""

    def upload(self, source: Path, key: str) -> None:
        self.client.upload_file(str(source), self.bucket, self.prefix + key)

    def download(self, key: str, target: Path) -> None:
        # Into the open file: by its name, boto3 would write to another beside it, which a kill leaves there.
        with target.open("wb") as file:
            self.client.download_fileobj(self.bucket, self.prefix + key, file, Config=self.transfer)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        names = (item["Key"] for page in pages for item in page.get("Contents", []))
        return sorted(name.removeprefix(self.prefix) for name in names)

    @contextmanager
    def stream(self, key: str, start: int, validator: str) -> Iterator[Stream]:
        """The object's bytes from `start` on where its ETag is still `validator`, else from 0 on.

        Raises ConnectionError for what may pass, and Vgg16Error for an object that is not there or not to be read.
        """
        bucket, name = self.bucket, f"s3://{self.bucket}/{self.prefix}{key}"
        hint = "boto3's variables and profiles name the server and the credentials: AWS_ENDPOINT_URL_S3, AWS_PROFILE."
        try:
            head = self.client.head_object(Bucket=bucket, Key=self.prefix + key)
            same = head["ETag"] == validator and start <= head["ContentLength"]
            begin, total = start if same else 0, head["ContentLength"]
            chunks: Iterator[bytes] = iter(())
            if begin < total:
                answer = self.client.get_object(
                    Bucket=bucket, Key=self.prefix + key, Range=f"bytes={begin}-", IfMatch=head["ETag"]
                )
                chunks = answer["Body"].iter_chunks(1 << 16)
            yield Stream(begin, total, head["ETag"], chunks)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if status >= 500 or status == 412:
                raise ConnectionError(f"{name}: {error}") from None
            raise Vgg16Error(f"{name} cannot be read: {error}.", hint) from None
        except (HTTPClientError, IncompleteReadError) as error:
            raise ConnectionError(f"{name}: {error}") from None
        except BotoCoreError as error:
            raise Vgg16Error(f"{name} cannot be read: {error}", hint) from None


def make_bucket(name: str, endpoint: str, key_id: str, secret: str) -> bool:
    """Whether the S3 server at this endpoint takes objects into the bucket, which is made if missing."""
    client = _client_at(endpoint, key_id, secret)
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key=".probe", Body=b"")
        client.delete_object(Bucket=name, Key=".probe")
    except (BotoCoreError, ClientError):
        return False
    return True


def is_empty(name: str, endpoint: str, key_id: str, secret: str) -> bool:
    """Whether the bucket at this endpoint has no object. Raises OSError where it cannot be asked."""
    try:
        page = _client_at(endpoint, key_id, secret).list_objects_v2(Bucket=name, MaxKeys=1)
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from None
    return not page.get("Contents")


def _client_at(endpoint: str, key_id: str, secret: str) -> S3Client:
    """A client of this server alone, whatever the environment names; it tries once."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token="",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=3),
    )


def open_bucket(name: str, prefix: str, patience: float | None = None) -> S3Store:
    """The store below that prefix of a bucket, by the standard AWS variables and profiles. With a `patience` in seconds
    no answer is waited for longer, and what fails is tried once more; without it, boto3's minutes."""
    config = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"})
    if patience is None:
        return S3Store(name, prefix, boto3.client("s3", config=config))
    hasty = Config(
        connect_timeout=patience, read_timeout=patience, retries={"mode": "standard", "total_max_attempts": 2}
    )
    # Its threads would keep a process from ending that has no more time for this.
    transfer = TransferConfig(use_threads=False, num_download_attempts=1)
    return S3Store(name, prefix, boto3.client("s3", config=config.merge(hasty)), transfer)
