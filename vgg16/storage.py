"""Objects by address, in a local folder or in S3. Publishing writes the data first and its manifest last, so that
a reader meets either a whole object or none. The one door to boto3."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from vgg16.errors import RequestError, Vgg16Error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MANIFEST = "manifest.json"


class ExistsError(Exception):
    """`create` met an object of that key."""


@dataclass(frozen=True)
class Stream:
    """The bytes of a file elsewhere from `start` on. `total` is the size of the whole, None where it is not told;
    `entity` tells this content from another that comes to have the same address, "" where nothing does."""

    start: int
    total: int | None
    entity: str
    chunks: Iterator[bytes]


class Store(Protocol):
    """Bytes under keys such as `ledger/vgg16-digits/000001.json`. Every write is whole or absent."""

    address: str

    def read(self, key: str) -> bytes | None:
        """The object's bytes, None where there is none."""

    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not exist yet, else ExistsError: of two writers one wins."""

    def upload(self, source: Path, key: str) -> None:
        """Write a file's content, replacing what was there."""

    def download(self, key: str, target: Path) -> None:
        """Write the object's content to a new file."""

    def delete(self, key: str) -> None:
        """Remove the object, where there is one."""

    def keys(self, prefix: str) -> list[str]:
        """All keys below the prefix, sorted."""


class FolderStore:
    """A store in a local folder; a write is a temporary file beside its target, then a rename or a link."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)

    def path(self, key: str) -> Path:
        return self.folder / key

    def read(self, key: str) -> bytes | None:
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, key: str, content: bytes) -> None:
        with _draft(self.path(key).parent) as draft:
            draft.write_bytes(content)
            try:
                # A link fails where the name is taken, and until then nobody sees half a file.
                os.link(draft, self.path(key))
            except FileExistsError:
                raise ExistsError(key) from None

    def upload(self, source: Path, key: str) -> None:
        with _draft(self.path(key).parent) as draft:
            shutil.copyfile(source, draft)
            draft.replace(self.path(key))

    def download(self, key: str, target: Path) -> None:
        shutil.copyfile(self.path(key), target)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        files = (path for path in self.path(prefix).rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder).as_posix() for path in files)


class S3Store:
    """A store in an S3 bucket; credentials and endpoint are those of the standard AWS variables and profiles."""

    def __init__(self, bucket: str, prefix: str, client: S3Client) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.address = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.client = client

    def read(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def create(self, key: str, content: bytes) -> None:
        from botocore.exceptions import ClientError

        try:
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise ExistsError(key) from None
            raise

    def upload(self, source: Path, key: str) -> None:
        self.client.upload_file(str(source), self.bucket, self.prefix + key)

    def download(self, key: str, target: Path) -> None:
        # Into the open file: by its name, boto3 would write to another beside it, which a kill leaves there.
        with target.open("wb") as file:
            self.client.download_fileobj(self.bucket, self.prefix + key, file)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        found = (item["Key"] for page in pages for item in page.get("Contents", []))
        return sorted(key.removeprefix(self.prefix) for key in found)

    @contextmanager
    def stream(self, key: str, start: int, entity: str) -> Iterator[Stream]:
        """The object's bytes from `start` on where it is still that `entity`, else from 0 on.

        Raises ConnectionError for what may pass, and Vgg16Error for an object that is not there or not to be read.
        """
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

        bucket, name = self.bucket, f"s3://{self.bucket}/{self.prefix}{key}"
        hint = "boto3's variables and profiles name the server and the credentials: AWS_ENDPOINT_URL_S3, AWS_PROFILE."
        try:
            found = self.client.head_object(Bucket=bucket, Key=self.prefix + key)
            same = found["ETag"] == entity and start <= found["ContentLength"]
            begin, total = start if same else 0, found["ContentLength"]
            chunks: Iterator[bytes] = iter(())
            if begin < total:
                answer = self.client.get_object(
                    Bucket=bucket, Key=self.prefix + key, Range=f"bytes={begin}-", IfMatch=found["ETag"]
                )
                chunks = answer["Body"].iter_chunks(1 << 16)
            yield Stream(begin, total, found["ETag"], chunks)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if status >= 500 or status == 412:
                raise ConnectionError(f"{name}: {error}") from None
            raise Vgg16Error(f"{name} cannot be read: {error}.", hint) from None
        except (HTTPClientError, IncompleteReadError) as error:
            raise ConnectionError(f"{name}: {error}") from None
        except BotoCoreError as error:
            raise Vgg16Error(f"{name} cannot be read: {error}", hint) from None


def open_store(address: str) -> Store:
    """The store at `s3://bucket/prefix` or in a folder. Raises RequestError for any other kind of address."""
    parts = urlsplit(address)
    if parts.scheme == "s3" and parts.netloc:
        return _bucket(parts.netloc, parts.path)
    if parts.scheme:
        raise RequestError(f"VGG16_STORE: expected a folder or s3://bucket/prefix, found {address}.")
    return FolderStore(Path(address).expanduser().absolute())


def download(address: str, target: Path) -> None:
    """Copy the object at s3://bucket/key to a new file. Raises Vgg16Error for one that is not there."""
    with open_object(address, 0, "") as stream, target.open("wb") as file:
        for chunk in stream.chunks:
            file.write(chunk)


def open_object(address: str, start: int, entity: str) -> AbstractContextManager[Stream]:
    """The bytes of the object `s3://bucket/key`, as S3Store.stream gives them."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return _bucket(bucket, "").stream(key, start, entity)


def make_bucket(name: str, endpoint: str, key_id: str, secret: str) -> bool:
    """Whether the S3 server at this endpoint takes objects into the bucket, which is made if missing."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token="",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=3),
    )
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key=".probe", Body=b"")
        client.delete_object(Bucket=name, Key=".probe")
    except (BotoCoreError, ClientError):
        return False
    return True


def _bucket(name: str, prefix: str) -> S3Store:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}))
    return S3Store(name, prefix, client)


def publish(store: Store, key: str, folder: Path) -> None:
    """Upload a folder's files below `key`, each with its size and digest in the manifest that comes last.

    Running twice is running once: a key that has its manifest is left as it is.
    """
    if store.read(f"{key}/{MANIFEST}") is not None:
        return
    files = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        store.upload(path, f"{key}/{path.name}")
    manifest = json.dumps({"files": files}, indent=1).encode()
    try:
        store.create(f"{key}/{MANIFEST}", manifest)
    except ExistsError:
        return


def fetch(store: Store, key: str, cache: Path) -> Path:
    """A local folder with a published object's files, each checked against the manifest.

    Raises Vgg16Error where the manifest is missing (an interrupted publish) or a file differs from it.
    """
    manifest = store.read(f"{key}/{MANIFEST}")
    if manifest is None:
        raise Vgg16Error(
            f"{store.address}/{key} is not whole: it has no {MANIFEST}.",
            "Its publishing was interrupted; ask for it again (`vgg16 data fetch`) and it is completed.",
        )
    folder = store.path(key) if isinstance(store, FolderStore) else cache / key
    folder.mkdir(parents=True, exist_ok=True)
    for name, facts in json.loads(manifest)["files"].items():
        path = folder / name
        if not isinstance(store, FolderStore) and not _same(path, facts):
            with _draft(folder) as draft:
                store.download(f"{key}/{name}", draft)
                draft.replace(path)
        if not _same(path, facts):
            raise Vgg16Error(
                f"{store.address}/{key}/{name} differs from its manifest: expected {facts['bytes']} bytes with "
                f"sha256 {facts['sha256'][:12]}..., found {_found(path)}.",
                f"Remove {store.address}/{key} and fetch it again.",
            )
    return folder


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A new empty file that nobody else writes to and no reader looks at, with the rights of an ordinary file.

    It is locked while it is in use, and a kill unlocks it: so the drafts below the folder that are not locked are those
    of killed processes, and are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.rglob(".draft-*"):
        _remove_unlocked(left)
    while True:
        draft = folder / f".draft-{uuid.uuid4().hex}"
        with draft.open("xb") as file:
            with suppress(OSError):  # a file system without locks keeps what a kill leaves
                fcntl.flock(file, fcntl.LOCK_EX)
            if not draft.exists():  # another process took it for one that was left, before it was locked
                continue
            try:
                yield draft
            finally:
                draft.unlink(missing_ok=True)
            return


def _remove_unlocked(draft: Path) -> None:
    with suppress(OSError), draft.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()


@contextmanager
def alone(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on this machine, whose kernel releases it however the process ends; `on_wait` is called where
    another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _same(path: Path, facts: dict[str, object]) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256_of(path) == facts["sha256"]


def _found(path: Path) -> str:
    return f"{path.stat().st_size} bytes with {sha256_of(path)[:12]}..." if path.is_file() else "no file"


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
