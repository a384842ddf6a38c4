"""Parts that a cluster answers are the file that one machine writes, byte for byte."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_folder import at_home
from tests.steps.colours import MODEL, ByColour, scored
from vgg16.errors import Vgg16Error
from vgg16.steps.scoring import elsewhere, score
from vgg16.steps.scoring.records import ScoreRequest
from vgg16.workplace.workplace import Workplace

Calls = Sequence[Sequence[int]]


class Cluster:
    """One that runs each call in this process, the last one first, with a home of the worker's own."""

    def __init__(self, folder: Path) -> None:
        self.worker = at_home(folder / "worker")
        self.calls: list[Sequence[int]] = []
        self.most = 99

    def each(self, address: str, call: Callable[[Any], None], items: Calls) -> Iterator[Sequence[int]]:
        assert address == "tcp://127.0.0.1:8786"
        for numbers in reversed(items):
            if len(self.calls) == self.most:
                raise KeyboardInterrupt
            pickle.loads(pickle.dumps(call))(numbers)
            self.calls.append(numbers)
            yield numbers


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    here = Cluster(tmp_path)
    monkeypatch.setattr(elsewhere, "on_cluster", here.each)
    monkeypatch.setattr(score, "open_workplace", lambda: here.worker)
    return here


def clustered(home: Path) -> Workplace:
    own = at_home(home)
    return Workplace(replace(own.settings, dask="tcp://127.0.0.1:8786"), own.display)


def test_a_cluster_writes_the_file_that_one_machine_does_and_leaves_nothing(
    cluster: Cluster, engine: ByColour, photos: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.parquet"
    scored(photos, alone, tmp_path / "here", probabilities=True)
    together = tmp_path / "together.parquet"
    request = ScoreRequest(source=str(photos), output=str(together), model=MODEL.requested, probabilities=True)
    result = score.score(request, clustered(tmp_path / "home"))
    assert [len(numbers) for numbers in cluster.calls] == [1] * 4
    assert together.read_bytes() == alone.read_bytes()
    assert result.scored == result.rows
    assert [path for path in (tmp_path / "home" / "store" / "scoring").rglob("*") if path.is_file()] == []


def test_what_was_cut_off_goes_on_with_what_workers_have_sent(
    cluster: Cluster, engine: ByColour, photos: Path, tmp_path: Path
) -> None:
    request = ScoreRequest(source=str(photos), output=str(tmp_path / "own.csv"), model=MODEL.requested)
    cluster.most = 2
    with pytest.raises(KeyboardInterrupt):
        score.score(request, clustered(tmp_path / "home"))
    cluster.most = 99
    # Sent for a call that had ended before it was taken.
    (kept,) = (tmp_path / "home" / "scoring").glob("*/*/00000003.parquet")
    sent = tmp_path / "home" / "store" / "scoring" / kept.parent.name / kept.name
    sent.parent.mkdir(parents=True, exist_ok=True)
    kept.rename(sent)
    result = score.score(request, clustered(tmp_path / "home"))
    assert [*cluster.calls[2:]] == [[1], [0]]
    scored(photos, tmp_path / "alone.csv", tmp_path / "here")
    assert (tmp_path / "own.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert result.rows == 32


def test_a_worker_that_would_answer_otherwise_refuses(
    cluster: Cluster, engine: ByColour, photos: Path, tmp_path: Path
) -> None:
    request = ScoreRequest(source=str(photos), output=str(tmp_path / "own.csv"), model=MODEL.requested)
    store = str(tmp_path / "home" / "store")
    with pytest.raises(Vgg16Error, match="would answer otherwise than the machine that asks it"):
        score.answer_parts(request, "0" * 64, store, [0])
    assert not (tmp_path / "home" / "store" / "scoring").exists()
