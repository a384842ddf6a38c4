"""GET /: the page, on which pictures are dropped and read. Its files hold nothing of the model: what it shows it asks
for by the other routes, as any client does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from vgg16.serving.http.refusals import HEADERS, RefusalError

_FOLDER = Path(__file__).parents[1] / "page"
_INDEX = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# Pictures are shown by blob: and data:, everything else is one of these files or an answer of this service.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_HEADERS = HEADERS | {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


async def page(request: Request) -> Response:  # noqa: ARG001  # whoever may call the service by its name
    """The page."""
    return _files()[_INDEX]


async def file(request: Request) -> Response:
    """A file that the page is made of. Raises RefusalError, 404, for another one."""
    answer = _files().get(request.path_params["file"])
    if answer is None:
        raise RefusalError(404, "address", "There is no such file of the page.", f"There are: {', '.join(_files())}.")
    return answer


@cache
def _files() -> dict[str, Response]:
    """Each file by its name; they are small, and read once."""
    return {
        path.name: Response(path.read_bytes(), headers=_HEADERS, media_type=_TYPES[path.suffix])
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }
