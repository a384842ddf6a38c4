"""Text as a person may see it: addresses without the secrets in them, and nothing that a terminal or a page of Markdown
obeys. Whatever leaves this process for a person, a log or a page goes through here; what is kept for programs does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_STARS = "***"
# The words of our own examples, which are no secret.
_EXAMPLE = "PASSWORD"
# `user:password@` after a scheme, up to the last @: a password that is not quoted as it should be has some of its own.
# What begins with a port and goes on with a path is a server without a login.
_LOGIN = re.compile(r"(?P<begin>[A-Za-z][\w+.-]*://)(?P<user>[^\s/:@\[]*):(?!\d{1,5}[/?#])(?P<secret>(?:(?!://)\S)*)@")
# An access token in the place of a user.
_TOKEN = re.compile(r"(?P<begin>(?<!\w)https?://)[^\s/:@?#]+@", re.IGNORECASE)
# The same login where the scheme was forgotten.
_BARE = re.compile(r"(?<![\w:/.@%+-])(?P<user>[\w.%+-]+):(?P<secret>[^\s:/@'\"]+)@(?=[\w\[])")
# What signs an address, or opens a server, among its parameters: of S3, Google, Azure, CloudFront and databases.
_PARAMETER = re.compile(
    r"(?P<begin>[?&;#](?:amp;)?(?:(?:[\w.-]*[-_.])?(?:sig|signature|token|passwd|password|pwd|secret|credentials?|auth"
    r"|authorization|api[-_]?key|access[-_]?key|secret[-_]?key)|sslpassword|awsaccesskeyid|accesstoken|odbc_connect)=)"
    r"[^&\s#;\"'<>]+",
    re.IGNORECASE,
)
# Webhooks, whose path is the secret: of Slack, Discord, Teams and Mattermost.
_WEBHOOK = re.compile(
    r"(?P<begin>hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/|https?://[^\s/]+/hooks/)"
    r"[^\s?\"'<>]+"
)
_HEADER = re.compile(r"(?P<begin>authorization\W{1,6}(?:b['\"])?(?:basic|bearer)\s+)[\w+/=.~-]+", re.IGNORECASE)

# Control characters, and what turns the order of others or is not seen at all. Joiners stay: scripts and emoji need
# them.
_UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f"
)
_OBEYED = re.compile(f"[{_UNSEEN}]")
_OBEYED_IN_LINES = re.compile(f"(?![\n\t])[{_UNSEEN}]")
# What HTML, Markdown around it, and a table's row give a meaning to.
_ENTITY, _TAG = re.compile(r"&(?=[#A-Za-z])"), re.compile(r"<(?=[A-Za-z/!?])")
_MARKS = re.compile(r"[\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def without_secrets(text: str) -> str:
    """A text with the password, the token and the signature of each address in it replaced by stars."""
    if not any(mark in text for mark in ("@", "=", "hook", "uthorization")):
        return text
    text = _LOGIN.sub(_starred_login, text)
    text = _TOKEN.sub(rf"\g<begin>{_STARS}@", text)
    text = _BARE.sub(rf"\g<user>:{_STARS}@", text)
    for pattern in (_PARAMETER, _WEBHOOK, _HEADER):
        text = pattern.sub(rf"\g<begin>{_STARS}", text)
    return text


def _starred_login(match: re.Match[str]) -> str:
    secret = _EXAMPLE if match["secret"] == _EXAMPLE else _STARS
    return f"{match['begin']}{match['user']}:{secret}@"


def address(value: str) -> str:
    """The same of a text that is one address and nothing else, whatever is in it."""
    begin, found, rest = value.partition("://")
    if not found:
        begin, rest = "", value
    login, at, place = rest.rpartition("@")
    # An @ of a path belongs to no login.
    if at and not re.match(r"[^@:]*(:\d{1,5})?[/?#]", login):
        user, colon, _ = login.partition(":")
        rest = f"{user}:{_STARS}@{place}" if colon else f"{_STARS if found else user}@{place}"
    return without_secrets(f"{begin}{found}{rest}")


def visible(text: str) -> str:
    """A text on one line, each character that a terminal would obey, or that would not be seen, as an escape: `\\x1b`.
    Text that is so already stays as it is."""
    return _OBEYED.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """The same of a text of several lines."""
    return _OBEYED_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def message(text: str) -> str:
    """A text of ours, with whatever it repeats of others', for a terminal or a log. Further lines are indented: none
    that another wrote looks like one of ours."""
    return trace(text).replace("\n", "\n  ")


def trace(text: str) -> str:
    """The same of a trace, whose lines stay as they are."""
    return visible_lines(without_secrets(text))


def answer(value: Any) -> Any:
    """A command's answer, with every text in it for a terminal: on one line each, without secrets."""
    return _each_text(value, lambda text: visible(without_secrets(text)))


def secretless(value: Any) -> Any:
    """A command's answer for a program: its addresses without secrets, and names of files as they are."""
    return _each_text(value, lambda text: without_secrets(text) if "://" in text else text)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_each_text(key, change): _each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(inner, change) for inner in value]
    return value


def markdown(text: object) -> str:
    """A text that Markdown shows as it is, in a sentence or a cell of a table: no mark, no HTML, no link, one line."""
    shown = visible(" ".join(without_secrets(str(text)).split("\n")))
    shown = _TAG.sub("&lt;", _ENTITY.sub("&amp;", shown))
    return _MARKS.sub(r"\\\g<0>", shown)
