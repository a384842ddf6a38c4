"""What a person sees of addresses and of other people's text: no secret, nothing that is obeyed."""

from __future__ import annotations

import pickle

import pytest

from vgg16 import shown
from vgg16.errors import RequestError, Vgg16Error, WeightsError

# A text and how it is shown; SECRET and nothing of it stays.
ADDRESSES = {
    "http://u:SECRET@h:5000/x": "http://u:***@h:5000/x",
    "API request to http://u:SECRET@h/api failed": "API request to http://u:***@h/api failed",
    "found 'postgresql+psycopg2://u:SECRET@h/db'.": "found 'postgresql+psycopg2://u:***@h/db'.",
    # Characters that an address should quote, and people do not.
    "postgresql://u:SEC@RET/SECRET@h:1/db": "postgresql://u:***@h:1/db",
    "http://u:SEC'RET@h": "http://u:***@h",
    "mysql://:SECRET@h": "mysql://:***@h",
    "http://u:SECRET@h,http://v:SECRET@g": "http://u:***@h,http://v:***@g",
    "https://SECRET@github.com/me/it.git": "https://***@github.com/me/it.git",
    "expected a server, found 'u:SECRET@h:5000'": "expected a server, found 'u:***@h:5000'",
    "s3://b/k?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&x=1": "s3://b/k?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
    "https://h/x?sv=1&sig=SECRET": "https://h/x?sv=1&sig=***",
    "https://h/x?token=SECRET#access_token=SECRET": "https://h/x?token=***#access_token=***",
    "postgresql://h/db?user=u&password=SECRET": "postgresql://h/db?user=u&password=***",
    "mssql+pyodbc:///?odbc_connect=PWD%3DSECRET": "mssql+pyodbc:///?odbc_connect=***",
    "https://hooks.slack.com/services/T/B/SECRET": "https://hooks.slack.com/***",
    "https://h/hooks/SECRET": "https://h/hooks/***",
    "{'Authorization': b'Basic SECRET=='}": "{'Authorization': b'Basic ***'}",
}
# What looks alike and holds no secret.
HARMLESS = (
    "http://127.0.0.1:5000/#/models/vgg16-digits@champion",
    "http://[::1]:5000/x@y",
    "models:/vgg16-digits@champion",
    "git@github.com:me/it.git",
    "postgresql://USER:PASSWORD@HOST/NAME",
    "s3://bucket/design=3&resignation=4/a@b.png",
    "phases.0.epochs=2; token = 3",
    "/data/me@home:here/pictures",
)


def test_no_secret_of_an_address_is_shown_wherever_it_stands() -> None:
    for text, safe in ADDRESSES.items():
        assert shown.without_secrets(text) == safe
        assert shown.without_secrets(safe) == safe
    for text in HARMLESS:
        assert shown.without_secrets(text) == text


def test_of_an_address_alone_a_password_of_any_characters_is_not_shown() -> None:
    for password in ("a b", "a/b", "a@b", "a\nb", "1234 /x", "a?b#c"):
        assert shown.address(f"http://u:{password}@h:1/x") == "http://u:***@h:1/x"
        assert shown.address(f"u:{password}@h") == "u:***@h"
    for harmless in ("http://h:80/x@y", "s3://b/a@b", "/a/b@c", ""):
        assert shown.address(harmless) == harmless


@pytest.mark.parametrize("kind", [Vgg16Error, RequestError])
def test_an_error_of_ours_has_no_secret_in_any_of_its_texts(kind: type[Vgg16Error]) -> None:
    error = kind("http://u:SECRET@h is away.", "Unset http://u:SECRET@h", {"at": 1})
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert "SECRET" not in f"{each} {each.args} {each.message} {each.hint}"
    weights = WeightsError("read", "vgg16", "a.h5", "base", "http://u:SECRET@h", "http://u:SECRET@h")
    assert "SECRET" not in str(weights)


# What a terminal would obey: a title, the clipboard, a link, a line written over, an 8-bit control, letters in another
# order, letters that are not seen, half a character.
OBEYED = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07": r"\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": r"\x1b]8;;http://x\x1b\link\x1b]8;;\x1b" + "\\",
    "cat\rdog": r"cat\rdog",
    "\x9b31m": r"\x9b31m",
    "\u202egnp.exe\u2066": r"\u202egnp.exe\u2066",
    "a\u200bb\ufeff\U000e0041": r"a\u200bb\ufeff\U000e0041",
    "\udce9": r"\udce9",
    "a\b\x7f\0": r"a\x08\x7f\x00",
    "two\nlines\tapart": r"two\nlines\tapart",
}
PLAIN = (
    "Häuser 猫",
    "👩\u200d🔬",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "a\N{NO-BREAK SPACE}%",
    "[bold] :cat:",
    r"C:\x",
)


def test_nothing_that_a_terminal_obeys_stays_in_a_text() -> None:
    for text, seen in OBEYED.items():
        assert shown.visible(text) == seen
        assert shown.visible(seen) == seen
    for text in PLAIN:
        assert shown.visible(text) == shown.visible_lines(text) == text
    assert shown.visible_lines("two\n\tlines\r\x1b") == "two\n\tlines\\r\\x1b"


def test_an_answer_is_shown_so_in_every_place_and_stays_what_it_was() -> None:
    given = {"a\r": ("\x1b", {"n": 1.5, "none": None, "list": ["http://u:SECRET@h"]})}
    assert shown.answer(given) == {r"a\r": [r"\x1b", {"n": 1.5, "none": None, "list": ["http://u:***@h"]}]}
    assert given["a\r"][0] == "\x1b"
    assert shown.secretless(["a?token=b.png", "x:y@z"]) == ["a?token=b.png", "x:y@z"]
    assert shown.secretless(given) == {"a\r": ["\x1b", {"n": 1.5, "none": None, "list": ["http://u:***@h"]}]}


# What Markdown, or HTML in it, would make of a text.
MARKED = {
    "a | b": r"a \| b",
    "`code` *it* __bold__ ~~no~~": r"\`code\` \*it\* \_\_bold\_\_ \~\~no\~\~",
    "[x](javascript:alert(1))": r"\[x\](javascript:alert(1))",
    "![x](http://x/pixel)": r"!\[x\](http://x/pixel)",
    "<script>x</script>": "&lt;script>x&lt;/script>",
    "<!-- x": "&lt;!-- x",
    "&lt;b>": "&amp;lt;b>",
    "one\n# two\r\x1b": r"one \# two\\r\\x1b",
    "ends\\": "ends\\\\",
    "http://u:SECRET@h": r"http://u:\*\*\*@h",
}


def test_markdown_shows_a_text_as_it_is() -> None:
    for text, marked in MARKED.items():
        assert shown.markdown(text) == marked
    for text in ("top-1 0.9 (0.8 to 1.0) < 1, p < 0.001 & more", "best_val_top1", "Häuser 猫"):
        assert shown.markdown(text) == text
