"""A minute of requests at a steady rate, in which versions come and the store goes away for a while."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from benchmarks.serve_follow import Followed
from benchmarks.serve_models import pictures, versions
from tests.serving.tiny import onnx_file

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SECONDS, RATE = 60.0, 30.0


def test_in_a_minute_with_two_promotions_and_a_store_that_is_away_no_request_fails_and_memory_stays(
    tmp_path: Path,
) -> None:
    """Each answer is that of the version it names, which was in production within the 10 s before."""
    first = tmp_path / "first.onnx"
    first.write_bytes(onnx_file("1", side=32))
    program = Path(sys.executable).parent / "vgg16"
    followed = Followed(program, tmp_path, versions(first, tmp_path, 3), shadow=False)
    store, away = tmp_path / "store", tmp_path / "away"

    def still_ready() -> None:
        assert httpx.get(f"{followed.url}/v2/health/ready").status_code == 200
        assert "vgg16_champion_current 1.0" in httpx.get(f"{followed.url}/metrics").text

    def go() -> None:
        store.rename(away)

    def come_back() -> None:
        away.rename(store)

    second, third = (partial(followed.move, number, "promote") for number in (2, 3))
    moves = [second, go, still_ready, come_back, third]
    figures = followed.run(pictures(tmp_path / "pictures"), RATE, SECONDS, moves)
    assert (figures["requests"], figures["swaps"]) == (RATE * SECONDS, 2)
    failed, before, after = (
        float(str(figures[name]))
        for name in ("looks at the ledger that failed", "MB after a minute or a quarter", "MB at the end")
    )
    assert failed > 3
    assert after < 1.1 * before + 5
