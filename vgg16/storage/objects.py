"""Somebody's objects below a prefix of an S3 bucket, listed and read: what a store does not do, for they are not ours.

It imports boto3: this module is imported when a prefix is opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from vgg16.errors import RequestError, Vgg16Error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

Result = TypeVar("Result")

# Seconds before each further try.
PAUSES = (1.0, 2.0, 4.0)
# So many threads may read at once.
CONNECTIONS = 16
# What S3 answers only after it was asked to restore the object.
_FROZEN = ("GLACIER", "DEEP_ARCHIVE")
_PASSING = (exceptions.ConnectionError, FlexibleChecksumError, HTTPClientError, IncompleteReadError)
_HINT = "boto3's variables and profiles name the server and the credentials: AWS_ENDPOINT_URL_S3, AWS_PROFILE."


class Object(NamedTuple):
    """An object's key below the prefix, its size in bytes, and its ETag, which changes with the content; `frozen` for
    one in a class of storage that cannot be read at once."""

    key: str
    size: int
    etag: str
    frozen: bool


class Objects:
    """What lies below `s3://bucket/prefix/`; it is never written to. Its methods may be called from several threads."""

    def __init__(self, bucket: str, prefix: str, client: S3Client) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.address = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.client = client

    def all(self) -> Iterator[Object]:
        """Every object below the prefix, in the order of the keys.

        Raises RequestError for a bucket that is not there or not to be listed, Vgg16Error for a server that fails.
        """
        token = ""
        while True:
            page = self._retried(partial(self._page, token))
            for item in page.get("Contents", []):
                frozen = item.get("StorageClass", "") in _FROZEN
                yield Object(item["Key"].removeprefix(self.prefix), item["Size"], item["ETag"].strip('"'), frozen)
            token = page.get("NextContinuationToken", "")
            if not token:
                return

    def read(self, key: str) -> bytes:
        """An object's bytes, whole.

        Raises RequestError, whose message is the reason alone, for an object that is not there or may not be read,
        Vgg16Error for a server that fails.
        """
        return self._retried(partial(self._content, key), of_object=True)

    def _content(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()

    def _page(self, token: str) -> ListObjectsV2OutputTypeDef:
        if token:
            return self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, ContinuationToken=token)
        return self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix)

    def _retried(self, call: Callable[[], Result], *, of_object: bool = False) -> Result:
        reason = ""
        for pause in (0.0, *PAUSES):
            time.sleep(pause)
            try:
                return call()
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
                if status < 500 and status not in (408, 429):
                    self._refuse(error, of_object)
                reason = str(error)
            except _PASSING as error:
                reason = str(error)
            except BotoCoreError as error:
                raise Vgg16Error(f"{self.address} cannot be read: {str(error).rstrip('.')}.", _HINT) from None
        raise Vgg16Error(f"{self.address} failed {len(PAUSES) + 1} times: {reason.rstrip('.')}.", _HINT)

    def _refuse(self, error: ClientError, of_object: bool) -> NoReturn:
        code = error.response["Error"].get("Code", "")
        reason = error.response["Error"].get("Message") or code
        if code == "NoSuchBucket":
            where = self.client.meta.endpoint_url
            raise RequestError(f"There is no bucket {self.bucket} at {where}.", _HINT) from None
        if of_object:
            raise RequestError("it is not there" if code in ("NoSuchKey", "404") else f"S3: {reason}") from None
        raise RequestError(f"{self.address} may not be listed: {reason.rstrip('.')} ({code}).", _HINT) from None


def open_objects(bucket: str, prefix: str) -> Objects:
    """What lies below that prefix of a bucket, by the standard AWS variables and profiles."""
    config = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}, max_pool_connections=CONNECTIONS)
    return Objects(bucket, prefix, boto3.client("s3", config=config))
