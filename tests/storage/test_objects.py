"""Somebody's objects are read whole or said to be missing; a network that fails for a moment loses none of them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    FlexibleChecksumError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.response import StreamingBody

from vgg16.errors import RequestError, Vgg16Error
from vgg16.storage import objects
from vgg16.storage.addresses import open_prefix
from vgg16.storage.objects import Objects

CONTENT = b"a picture"


def answer(content: bytes = CONTENT) -> dict[str, Any]:
    return {"Body": StreamingBody(io.BytesIO(content), len(CONTENT))}


def refusal(status: int, code: str, message: str = "") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "GetObject")


class Client:
    """A client whose server answers this, in turn."""

    class meta:  # noqa: N801
        endpoint_url = "http://s3"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def get_object(self, **_: str) -> Any:
        first = self.answers.pop(0)
        if isinstance(first, Exception):
            raise first
        return first

    list_objects_v2 = get_object


def opened(*answers: Any) -> Objects:
    client: Any = Client(*answers)
    return Objects("bucket", "photos", client)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PAUSES", (0.0, 0.0, 0.0))


PASSING: dict[str, Any] = {
    "a body that breaks off": answer(CONTENT[:3]),
    "a server's own error": refusal(500, "InternalError"),
    "a busy server": refusal(503, "SlowDown"),
    "too many requests": refusal(429, "TooManyRequests"),
    "no answer": ReadTimeoutError(endpoint_url="http://s3"),
    "no connection": EndpointConnectionError(endpoint_url="http://s3"),
    "flipped bits": FlexibleChecksumError(error_msg="differs"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again_and_what_stays_is_no_fault_of_the_file(name: str) -> None:
    def faults(count: int) -> list[Any]:
        return [answer(CONTENT[:3]) if "Body" in str(PASSING[name]) else PASSING[name] for _ in range(count)]

    assert opened(*faults(3), answer()).read("ant/1.png") == CONTENT
    with pytest.raises(Vgg16Error, match="s3://bucket/photos failed 4 times") as ended:
        opened(*faults(4), answer()).read("ant/1.png")
    assert not isinstance(ended.value, RequestError)
    page = {"Contents": [{"Key": "photos/ant/1.png", "Size": 9, "ETag": '"e"'}]}
    if "Body" not in str(PASSING[name]):
        assert [each.key for each in opened(*faults(3), page).all()] == ["ant/1.png"]


REFUSED: dict[str, tuple[BotoCoreError | ClientError, type[Vgg16Error], str]] = {
    "gone": (refusal(404, "NoSuchKey"), RequestError, "it is not there"),
    "not allowed": (refusal(403, "AccessDenied", "Access Denied."), RequestError, "S3: Access Denied."),
    "frozen": (refusal(403, "InvalidObjectState", "archived"), RequestError, "S3: archived"),
    "no bucket": (refusal(404, "NoSuchBucket"), RequestError, "There is no bucket bucket at http://s3."),
    "nobody": (NoCredentialsError(), Vgg16Error, "s3://bucket/photos cannot be read: Unable to locate credentials."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_will_not_pass_is_told_at_once(name: str) -> None:
    error, kind, message = REFUSED[name]
    with pytest.raises(kind) as refused:
        opened(error, answer()).read("ant/1.png")
    assert refused.value.message == message
    assert type(refused.value) is kind


def test_what_must_be_restored_first_is_told_by_the_listing() -> None:
    row = {"Key": "photos/1.png", "Size": 9, "ETag": '"e"'}
    page = {"Contents": [row | {"StorageClass": "DEEP_ARCHIVE"}, row | {"StorageClass": "STANDARD"}]}
    assert [each.frozen for each in opened(page).all()] == [True, False]


@pytest.mark.parametrize("address", ["s3:///photos", "https://bucket/photos", "photos"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(RequestError, match="Expected s3://bucket/prefix"):
        open_prefix(address)
