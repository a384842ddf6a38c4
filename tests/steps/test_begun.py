"""A chain that was cut off is gone on with, and a damaged note of it stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.test_folder import at_home
from vgg16.steps import chain


def test_a_chain_without_a_verdict_is_gone_on_with_until_it_has_one(tmp_path: Path) -> None:
    workplace = at_home(tmp_path)
    assert chain.begin("request", "first", False, workplace) == "first"
    assert chain.begin("request", "second", False, workplace) == "first"
    assert chain.begin("request", "third", True, workplace) == "third"
    chain.end(workplace.store, "request")
    assert chain.begin("request", "fourth", False, workplace) == "fourth"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"chain": 1}', b"\xff"])
def test_a_damaged_note_is_passed_over(tmp_path: Path, content: bytes) -> None:
    workplace = at_home(tmp_path)
    workplace.store.create("chains/begun/request.json", content)
    assert chain.begin("request", "mine", False, workplace) == "mine"
