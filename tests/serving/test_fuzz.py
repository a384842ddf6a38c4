"""Whatever the bytes: a form is read or refused, a tensor too, and a connection is answered or closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.attacks import FORM, GOOD, form, raw, refusals
from tests.serving.test_wire import WIRE
from tests.serving.tiny import NAME, SIDE, in_production, onnx_file, serving
from vgg16.exports.session import open_session
from vgg16.serving.champion import Served, Wanted
from vgg16.serving.http import multipart
from vgg16.serving.http.refusals import RefusalError
from vgg16.serving.limits import Limits
from vgg16.serving.routes import pixels, tensors
from vgg16.serving.service import Service

quickly = settings(max_examples=60, deadline=None)
Read = TypeVar("Read")
PIECES = (b"--xyz", b"--xyz--", b"\r\n", b"\n", b"\r\n\r\n", b"Content-Disposition: form-data; ", b'name="file"')
PIECES += (
    b"; filename=",
    b'"',
    b"\\",
    b"a.png",
    b";",
    b"--",
    b" ",
    b"\0",
    b"\xff",
    b"content-disposition:form-data;name=x",
)


def outcome(read: Callable[[], Read]) -> Read | RefusalError:
    try:
        return read()
    except RefusalError as refusal:
        return refusal


def is_told(refusal: RefusalError, *statuses: int) -> bool:
    """Whether it has one of these statuses, and words that can be written and are few."""
    words = json.dumps(refusal.facts(), ensure_ascii=False).encode()
    return refusal.status in statuses and len(words) < 1000


@quickly
@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=60).map(b"".join), st.sampled_from([FORM, "x"])
)
def test_any_form_is_read_or_refused(body: bytes, kind: str) -> None:
    limits = Limits(images=4, part_bytes=100)
    found = outcome(lambda: multipart.parts(body, kind, limits))
    if isinstance(found, RefusalError):
        assert is_told(found, 400, 413)
        return
    assert len(found) <= 4
    assert all(part.content in body and len(part.content) <= 100 for part in found)


@quickly
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.binary(max_size=80)), max_size=4))
def test_any_files_arrive_as_they_were_sent(files: list[tuple[str, bytes]]) -> None:
    import httpx

    names = [name.replace("\r", "").replace("\n", "") or "x" for name, _ in files]
    sent = [("file", (name, content)) for name, (_, content) in zip(names, files, strict=True)]
    request = httpx.Request("POST", "http://localhost", files=sent or {"none": b""})
    found = multipart.parts(request.read(), request.headers["content-type"], Limits())
    assert [part.content for part in found if part.name == "file"] == [content for _, content in files]


def anything() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.integers(0, 255)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=12,
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    file = tmp_path_factory.mktemp("fuzz") / "model.onnx"
    file.write_bytes(onnx_file("1"))
    return Served(Wanted(NAME, "1", "", "", 1), open_session(file), has_typicality=True)


def given_requests(test: Any) -> Any:
    tensor = st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("images") | anything(),
            "datatype": st.just("UINT8") | anything(),
            "shape": st.just([1, SIDE, SIDE, 3]) | anything(),
            "data": st.just([7] * (SIDE * SIDE * 3)) | anything(),
            "parameters": st.just({"binary_data_size": SIDE * SIDE * 3}) | anything(),
        },
    )
    body = st.fixed_dictionaries(
        {"inputs": st.lists(tensor, max_size=2) | anything()},
        optional={"id": anything(), "outputs": anything(), "parameters": anything()},
    )
    tail = st.sampled_from([b"", bytes(SIDE * SIDE * 3), b"abc"])
    head = st.sampled_from([None, "0", "5", "-1", "x", "", "all"])
    return given(body, tail, head)(test)


def test_any_tensor_is_read_or_refused(served: Served) -> None:
    @quickly
    @given_requests
    def check(body: Any, tail: bytes, head: str | None) -> None:
        text = json.dumps(body).encode()
        asked = outcome(lambda: tensors.read(text + tail, str(len(text)) if head == "all" else head, served))
        if isinstance(asked, RefusalError):
            assert is_told(asked, 400)
            return
        assert asked.images.shape == (1, SIDE, SIDE, 3)
        json.dumps(asked.id, ensure_ascii=False).encode()

    check()


@quickly
@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_numbers_are_read_as_numpy_reads_them(count: int, seed: int, nested: bool) -> None:
    images = np.random.RandomState(seed).randint(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    data = images.tolist() if nested else images.ravel().tolist()
    assert np.array_equal(pixels.images(data, (count, 4, 4, 3)), images)


@quickly
@given(anything())
def test_any_numbers_are_read_or_refused(data: Any) -> None:
    if isinstance(data, list):
        with pytest.raises(pixels.PixelsError):
            pixels.images(data, (1, 4, 4, 3))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("serving")
    limits = {
        "request_bytes": 100_000,
        "json_bytes": 100_000,
        "head_seconds": 0.2,
        "body_seconds": 0.2,
        "idle_seconds": 0.2,
    }
    with serving(in_production(folder, "1"), folder, **limits) as service:
        yield service


def test_any_bytes_are_answered_or_the_connection_is_closed(running: Service, caplog: pytest.LogCaptureFixture) -> None:
    wire = st.sampled_from([sent for sent, *_ in WIRE.values() if len(sent) < 5000])

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(wire, wire, st.integers(0, 5000), st.integers(0, 5000), st.binary(max_size=8))
    def check(first: bytes, second: bytes, begin: int, end: int, between: bytes) -> None:
        answer = raw(running, first[:begin] + between + second[end % (len(second) + 1) :], half=True)
        assert all(status < 500 for status, _ in refusals(answer))

    check()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert refusals(raw(running, form(b"")))[0][0] == 400
    assert raw(
        running, b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    ).startswith(b"HTTP/1.1 200")
