"""Addresses that a person wrote, taken apart or refused."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from vgg16.errors import RequestError


def split(name: str, address: str) -> SplitResult:
    """The parts of the address that the setting of that name holds. Raises RequestError where it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
        address.encode()
    except ValueError as error:
        reason = f"{name}: {hidden(address)!r} is no address: {error}."
        raise RequestError(reason, f"Correct or unset {name}." if name.isupper() else "") from None
    return parts


def hidden(address: str) -> str:
    """The address as it may be shown: without the password in it."""
    return re.sub(r"(://[^:/@]*):[^/@]*@", r"\1:***@", address)


def server(name: str, address: str) -> SplitResult:
    """The same of a server's address, `http://HOST` or `https://HOST`."""
    parts = split(name, address)
    if parts.scheme in ("http", "https") and parts.hostname:
        return parts
    bare = hidden(address).partition("://")[2] if "://" in address else address
    hint = f"Did you mean http://{bare.lstrip('/')}?" if bare.strip("/") else ""
    raise RequestError(f"{name}: expected http://HOST:PORT or https://HOST, found {hidden(address)!r}.", hint)
