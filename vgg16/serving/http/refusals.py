"""How a request is refused: a status, and in JSON what was expected, what was found and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

# The protocol's own clients read `error` as a text there.
PROTOCOL = "/v2"
# MLflow's read `message`.
INVOCATIONS = "/invocations"
HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
_KINDS = {401: "refused", 403: "refused", 429: "busy", 503: "busy"}


class RefusalError(Exception):
    """A request that is not answered. `reason` is a short name of why, for counting."""

    def __init__(
        self, status: int, reason: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, reason, message, hint, headers)
        self.status = status
        self.reason = reason
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    @property
    def kind(self) -> str:
        """What the command line would call it: `request`, `refused`, `failed`; or `busy`, to be asked again."""
        return _KINDS.get(self.status, "request" if self.status < 500 else "failed")

    def facts(self) -> dict[str, str]:
        """What is told of it."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint}


def as_json(refusal: RefusalError, path: str) -> JSONResponse:
    """The response to a request for this path."""
    told: dict[str, object] = {"error": refusal.facts()}
    text = f"{refusal.message} {refusal.hint}".strip()
    if path == INVOCATIONS:
        told |= {"error_code": "BAD_REQUEST" if refusal.status < 500 else "INTERNAL_ERROR", "message": text}
    if path.startswith(PROTOCOL):
        told = {"error": text, "kind": refusal.kind, "hint": refusal.hint}
    return JSONResponse(told, refusal.status, HEADERS | refusal.headers)


def busy(status: int, reason: str, message: str, seconds: int = 1) -> RefusalError:
    """What may be asked again in so many seconds, one at least."""
    return RefusalError(status, reason, message, "Ask again in a moment.", {"retry-after": str(max(seconds, 1))})


def too_large(reason: str, what: str, most: str) -> RefusalError:
    """What is above a limit."""
    return RefusalError(413, reason, f"{what}: expected at most {most}.", "Send less at a time, or smaller pictures.")
