"""POST /predict: pictures as people have them, with label and probabilities in return."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vgg16.serving.batching import Answer
from vgg16.serving.champion import Served
from vgg16.serving.desk import Desk
from vgg16.serving.http import multipart
from vgg16.serving.http.refusals import HEADERS, RefusalError, too_large
from vgg16.serving.limits import Limits

FIELD = "file"
_HINT = "curl -F file=@photo.jpg, or the picture's bytes as the body: curl --data-binary @photo.jpg"


async def predict(request: Request) -> Response:
    """The answer to a picture; to several files of a form, a list of them, with the reason in the place of each that
    cannot be read. Raises RefusalError where none can be."""
    desk: Desk = request.app.state.desk
    async with desk.room.body(request, desk.limits.request_bytes) as body:
        contents = pictures(body, request.headers.get("content-type", ""), desk.limits)
        answers = await desk.pictures(contents)
    refused = [each for each in answers.each if isinstance(each, RefusalError)]
    # What is raised is counted where all refusals are.
    raised = refused.pop(0) if len(refused) == len(contents) else None
    for refusal in refused:
        desk.metrics.refused.labels(refusal.reason).inc()
    if raised:
        raise raised
    told = [
        {"error": each.facts()} if isinstance(each, RefusalError) else told_of(each, answers.served)
        for each in answers.each
    ]
    return JSONResponse(told[0] if len(told) == 1 else told, headers=HEADERS)


def told_of(answer: Answer, served: Served) -> dict[str, Any]:
    """What is said of one image."""
    probabilities, typicality = answer
    named = dict(zip(served.session.class_names, probabilities.tolist(), strict=True))
    label = served.session.class_names[int(probabilities.argmax())]
    return {
        "label": label,
        "probability": named[label],
        "probabilities": named,
        "typicality": typicality,
        "model": served.name,
        "version": served.version,
    }


def pictures(body: bytes, content_type: str, limits: Limits) -> list[bytes]:
    """The bytes of each picture of a request: the fields `file` of a form, or all of it, whatever it calls itself."""
    if not multipart.is_multipart(content_type):
        if not body:
            raise RefusalError(400, "empty", "Expected a picture, found an empty body.", _HINT)
        if len(body) > limits.part_bytes:
            raise too_large("part_bytes", f"The picture has {len(body):,} bytes", f"{limits.part_bytes:,}")
        return [body]
    fields = multipart.parts(body, content_type, limits)
    pictures = [field.content for field in fields if field.name == FIELD]
    if not pictures:
        others = ", ".join(sorted({field.name[:40] for field in fields})) or "none"
        raise RefusalError(400, "field", f"Expected a field `{FIELD}`, found: {others}.", _HINT)
    return pictures
