"""Addresses that a person wrote, taken apart or refused."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

from vgg16 import shown
from vgg16.errors import RequestError


def split(name: str, address: str) -> SplitResult:
    """The parts of the address that the setting of that name holds. Raises RequestError where it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
        address.encode()
    except ValueError as error:
        # Of an address with a login the reason may repeat the password.
        why = "" if "@" in address else f": {error}"
        reason = f"{name}: {shown.address(address)!r} is no address{why}."
        raise RequestError(reason, f"Correct or unset {name}." if name.isupper() else "") from None
    return parts


def server(name: str, address: str) -> SplitResult:
    """The same of a server's address, `http://HOST` or `https://HOST`."""
    parts = split(name, address)
    if parts.scheme in ("http", "https") and parts.hostname:
        return parts
    bare = shown.address(address).rpartition("://")[2]
    hint = f"Did you mean http://{bare.lstrip('/')}?" if bare.strip("/") else ""
    raise RequestError(f"{name}: expected http://HOST:PORT or https://HOST, found {shown.address(address)!r}.", hint)


def without_login(address: str) -> tuple[str, str, str]:
    """A server's address without user and password, and both, "" where there are none."""
    parts = urlsplit(address)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return parts._replace(netloc=place).geturl() if login else address, unquote(user), unquote(password)
