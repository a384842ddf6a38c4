"""Requests and responses of the protocol's inference: JSON, whose tensors may follow it as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.responses import JSONResponse, Response

from vgg16.serving.batching import Answer, Image
from vgg16.serving.champion import Served
from vgg16.serving.http.refusals import HEADERS, RefusalError
from vgg16.serving.routes import pixels

IMAGES, PROBABILITIES, TYPICALITY = "images", "probabilities", "typicality"
# The header of the extension: how many bytes of the body are JSON.
HEAD_LENGTH = "inference-header-content-length"
# It is returned as it came.
_LONGEST_ID = 1000


class Asked(NamedTuple):
    """What a request asks: images uint8 [n, side, side, 3], which outputs, and which of them as bytes; its name for
    itself, "" for none."""

    images: Image
    outputs: tuple[str, ...]
    binary: frozenset[str]
    id: str


def read(body: bytes, head: str | None, served: Served) -> Asked:
    """A request's body; `head` is how many of its bytes are JSON, None for all. Raises RefusalError for anything
    else than one tensor of images."""
    length = len(body) if head is None else _length(head, len(body))
    try:
        asked = pixels.parse(body[:length])
    except pixels.PixelsError as error:
        raise _wrong(f"the body is {error}") from None
    match asked:
        case {"inputs": [{"name": str(), "datatype": str(), "shape": [*_]} as tensor]}:
            pass
        case _:
            raise _wrong("the body has no list `inputs` of one object with `name`, `shape` and `datatype`")
    if tensor["name"] != IMAGES:
        raise _wrong(f"the input is called {tensor['name'][:40]!r}")
    if tensor["datatype"] != "UINT8":
        raise _wrong(f"the datatype is {tensor['datatype'][:40]!r}")
    shape = _shape(tensor["shape"], served.session.side)
    images = _pixels(tensor, shape, body[length:])
    outputs, binary = _outputs(asked, served)
    return Asked(images, outputs, binary, _name(asked))


def response(asked: Asked, answers: Sequence[Answer], served: Served) -> Response:
    """The answers in the form that was asked for."""
    values: dict[str, NDArray[np.float32]] = {PROBABILITIES: np.stack([answer[0] for answer in answers])}
    if TYPICALITY in asked.outputs:
        values[TYPICALITY] = np.array([answer[1] for answer in answers], np.float32)
    outputs, tail = [], b""
    for name in asked.outputs:
        value = values[name]
        told: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(value.shape)}
        if name in asked.binary:
            content = value.astype("<f4").tobytes()
            told["parameters"] = {"binary_data_size": len(content)}
            tail += content
        else:
            told["data"] = value.ravel().tolist()
        outputs.append(told)
    whole: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    whole |= {"id": asked.id} if asked.id else {}
    answer = JSONResponse(whole | {"outputs": outputs}, headers=HEADERS)
    if not asked.binary:
        return answer
    head = bytes(answer.body)
    headers = HEADERS | {HEAD_LENGTH: str(len(head))}
    return Response(head + tail, media_type="application/octet-stream", headers=headers)


def _length(head: str, most: int) -> int:
    if not head.isascii() or not head.isdigit() or int(head[:12]) > most:
        raise _wrong(f"{HEAD_LENGTH} is {head[:20]!r} for a body of {most} bytes")
    return int(head)


def _shape(shape: Sequence[object], side: int) -> tuple[int, ...]:
    count, *rest = shape or (0,)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1 or rest != [side, side, 3]:
        raise _wrong(f"the shape is {str(shape)[:60]}; expected [n, {side}, {side}, 3]")
    return (count, side, side, 3)


def _pixels(tensor: Mapping[str, Any], shape: tuple[int, ...], tail: bytes) -> Image:
    count = int(np.prod([*map(int, shape)], dtype=object))
    match tensor.get("parameters"):
        case {"binary_data_size": int(size)}:
            if size != count or len(tail) != count:
                raise _wrong(f"{len(tail)} bytes follow, of which {size} are said to be pixels; expected {count}")
            return np.frombuffer(tail, np.uint8).reshape(shape)
    if tail:
        raise _wrong(f"{len(tail)} bytes follow, and the input has no `binary_data_size`")
    data = tensor.get("data")
    if not isinstance(data, list):
        raise _wrong("the input has no list `data`")
    try:
        return pixels.images(data, shape)
    except pixels.PixelsError as error:
        raise _wrong(f"`data` has {error}") from None


def _outputs(asked: Mapping[str, Any], served: Served) -> tuple[tuple[str, ...], frozenset[str]]:
    there = (PROBABILITIES, TYPICALITY) if served.has_typicality else (PROBABILITIES,)
    all_binary = _says(asked, "binary_data_output")
    wanted = asked.get("outputs")
    if not wanted:
        return there, frozenset(there if all_binary else ())
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise _wrong("`outputs` is no list of objects")
    names = [each.get("name") for each in wanted]
    if len({*map(str, names)}) < len(names) or not all(name in there for name in names):
        raise _wrong(f"`outputs` names {str(names)[:80]}; there are {', '.join(there)}")
    binary = {each["name"] for each in wanted if _says(each, "binary_data", default=all_binary)}
    return tuple(map(str, names)), frozenset(binary)


def _name(asked: Mapping[str, Any]) -> str:
    name = asked.get("id", "")
    # Half a surrogate can be said in JSON, and cannot be written.
    if not isinstance(name, str) or len(name) > _LONGEST_ID or name.encode(errors="replace").decode() != name:
        raise _wrong(f"`id` is no text of at most {_LONGEST_ID} characters")
    return name


def _says(of: Mapping[str, Any], parameter: str, *, default: bool = False) -> bool:
    parameters = of.get("parameters")
    return bool(parameters.get(parameter, default)) if isinstance(parameters, dict) else default


def _wrong(why: str) -> RefusalError:
    hint = '{"inputs": [{"name": "images", "shape": [n, side, side, 3], "datatype": "UINT8", "data": [...]}]}'
    return RefusalError(400, "tensor", f"Expected one tensor of images, uint8; {why}.", hint)
