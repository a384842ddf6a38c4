"""Shadow mode: the challenger answers what the champion answered, what differs is counted exactly, and nothing that it
does, or fails to do, reaches an answer."""

from __future__ import annotations

import gc
import io
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.test_follow import BAD, until, version
from tests.serving.tiny import (
    CLASSES,
    NAME,
    ask,
    challenge,
    in_production,
    keep,
    onnx_file,
    picture,
    promote,
    sample,
    serving,
    tensor,
)
from vgg16.config.types import Framing
from vgg16.data.decode import decode
from vgg16.exports.session import Session
from vgg16.serving.metrics import Metrics
from vgg16.serving.service import Service
from vgg16.serving.shadow.comparison import ANOTHER, MOST_CLASSES, Comparison
from vgg16.statistics import proportion_interval
from vgg16.storage.store import FolderStore

DARK, GREEN, BRIGHT = CLASSES
# Of greys below 32 the champion says dark, above 96 bright, between both green; the challenger below 64, above 128.
CHAMPION, CHALLENGER = (2.0, 1.5, 0.0), (3.0, 2.0, 0.0)


def store_of(folder: Path) -> FolderStore:
    """A store with that champion, version 1."""
    store = FolderStore(folder / "store")
    promote(store, "1", keep(store, onnx_file("1", bias=CHAMPION), folder))
    return store


@contextmanager
def shadowed(folder: Path, content: bytes, said: list[str] | None = None, **limits: float) -> Iterator[Service]:
    """A service of that champion, beside which version 2 answers, from this file."""
    store = store_of(folder)
    challenge(store, "2", keep(store, content, folder), folder)
    with serving(store, folder, say=(said if said is not None else []).append, **limits) as running:
        until(lambda: running.shadow.comparison is not None)
        yield running


def counted(running: Service, images: int) -> dict[str, Any]:
    """The facts, once so many images are compared or dropped."""
    until(lambda: running.shadow.facts()["images"] + sum(running.shadow.facts()["dropped"].values()) >= images)
    return running.shadow.facts()


def session_of(running: Service) -> Session:
    assert running.shadow.comparison
    return running.shadow.comparison.challenger.session


def softmax(grey: int, bias: tuple[float, ...]) -> np.ndarray:
    logits = np.array([-1, 0, 1]) * grey / 64 + bias
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_planted_differences_are_counted_exactly(tmp_path: Path) -> None:
    greys = [10] * 3 + [50] * 5 + [80] * 2 + [110] * 4 + [200]
    said: list[str] = []
    with shadowed(tmp_path, onnx_file("2", bias=CHALLENGER), said) as running, ask(running.url) as client:
        answers = client.post("/predict", files=[("file", picture(grey)) for grey in greys]).json()
        assert {answer["version"] for answer in answers} == {"1"}
        images = np.array([np.full((8, 8, 3), grey, np.uint8) for grey in (50, 110)])
        client.post(f"/v2/models/{NAME}/infer", content=tensor(images))
        greys += [50, 110]
        facts = counted(running, len(greys))
        apart = [
            np.abs(softmax(grey, CHAMPION).max() - softmax(grey, CHALLENGER)[np.argmax(softmax(grey, CHAMPION))])
            for grey in greys
        ]
        assert facts["probability_difference"] == pytest.approx(np.mean(apart), abs=1e-6)
        assert facts == {
            "version": "2",
            "since": "2026-01-02T00:00:00+00:00",
            "problem": "",
            "champion": "1",
            "counted_since": facts["counted_since"],
            "images": 17,
            "same": {"share": 6 / 17, "interval": pytest.approx(proportion_interval(6, 17), abs=1e-12)},
            "probability_difference": facts["probability_difference"],
            "differences": [
                {"champion_label": GREEN, "challenger_label": DARK, "images": 6},
                {"champion_label": BRIGHT, "challenger_label": GREEN, "images": 5},
            ],
            "dropped": {},
        }
        assert client.get("/model").json()["challenger"] == facts
        page = client.get("/metrics").text
        assert sample(page, 'vgg16_shadow_images_total{version="2"}') == 17
        labels = f'{{challenger_label="{DARK}",champion_label="{GREEN}"}}'
        assert sample(page, f"vgg16_shadow_differences_total{labels}") == 6
        assert sample(page, "vgg16_shadow_agreement") == pytest.approx(6 / 17)
        assert os.getpriority(os.PRIO_PROCESS, running.shadow.native_id or 0) == 19
    assert said == ["version 2, which waits in Staging, answers beside version 1, unheard"]
    assert not running.shadow.is_alive()


def test_a_challenger_that_blocks_changes_no_answer_and_no_wait_and_what_it_misses_is_counted(tmp_path: Path) -> None:
    goes_on = threading.Event()
    with shadowed(tmp_path, onnx_file("2"), shadow_images=5) as running, ask(running.url) as client:
        slowest, right = asks(client, 60)
        before = counted(running, 60)["images"]
        begun = block(running, goes_on)
        slowest_beside, beside = asks(client, 60)
        assert begun.is_set()
        assert beside == right
        assert slowest_beside < max(10 * slowest, 1.0)
        facts = running.shadow.facts()
        # One is being answered, and five wait.
        assert (facts["images"], facts["dropped"]["full"]) == (before, 120 - before - 6)
        assert sample(client.get("/metrics").text, 'vgg16_shadow_dropped_total{reason="full"}') == 114 - before
        goes_on.set()
        assert counted(running, 120)["images"] == before + 6


def block(running: Service, goes_on: threading.Event) -> threading.Event:
    """Let the challenger answer nothing until then; what is returned is set once it is asked."""
    session, begun = session_of(running), threading.Event()
    answer = session.answer

    def blocked(images: np.ndarray) -> Any:
        begun.set()
        goes_on.wait(20)
        return answer(images)

    session.answer = blocked  # type: ignore[method-assign]
    return begun


def asks(client: httpx.Client, requests: int) -> tuple[float, list[Any]]:
    """The longest of so many answers in seconds, and the answers."""
    seconds, answers = [], []
    for grey in range(requests):
        begun = time.perf_counter()
        answers.append(client.post("/predict", content=picture(grey)).json())
        seconds.append(time.perf_counter() - begun)
    return max(seconds), answers


FAILURES: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "raises": (lambda images: open("/nowhere/at/all"), "No such file"),  # noqa: PTH123, SIM115
    "is not finite": (lambda images: (np.full((len(images), 3), np.nan, np.float32), None), "finite probabilities"),
    "answers none": (lambda images: (np.zeros((0, 3), np.float32), None), "out of bounds"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_challenger_that_fails_is_told_once_and_counted(case: str, tmp_path: Path) -> None:
    fails, reason = FAILURES[case]
    said: list[str] = []
    with shadowed(tmp_path, onnx_file("2"), said) as running, ask(running.url) as client:
        session_of(running).answer = fails  # type: ignore[method-assign]
        assert [version(client) for _ in range(5)] == ["1"] * 5
        facts = counted(running, 5)
        assert (facts["images"], facts["same"], facts["dropped"]) == (0, None, {"failed": 5})
    assert len(said) == 2
    assert said[1].startswith("version 2, unheard, does not answer: ")
    assert reason in said[1]


@pytest.mark.parametrize("case", [case for case in BAD if case != "none"])
def test_a_bad_file_is_told_and_the_champion_goes_on(case: str, tmp_path: Path) -> None:
    make, reason = BAD[case]
    store, said = store_of(tmp_path), list[str]()
    challenge(store, "2", make(store, tmp_path), tmp_path)
    with serving(store, tmp_path, say=said.append) as running, ask(running.url) as client:
        until(lambda: len(said) > 0)
        assert said[0].startswith("version 2 waits in Staging and cannot answer: ")
        assert reason in said[0]
        assert version(client) == "1"
        page = client.get("/metrics").text
        assert sample(page, "vgg16_champion_current") == 1
        assert sample(page, 'vgg16_follow_failures_total{what="shadow"}') == 1
        facts = running.shadow.facts()
        assert (facts["version"], "images" in facts) == ("2", False)
        assert reason in facts["problem"]
        challenge(store, "3", keep(store, onnx_file("3"), tmp_path), tmp_path)
        until(lambda: running.shadow.facts()["version"] == "3" and not running.shadow.facts()["problem"])
    assert len(said) == 2
    assert [*(tmp_path / "drafts").iterdir()] == []


def test_what_was_exported_since_it_came_to_wait_answers_and_until_then_what_makes_it_is_told(tmp_path: Path) -> None:
    store, said = store_of(tmp_path), list[str]()
    challenge(store, "2", "", tmp_path)
    with serving(store, tmp_path, say=said.append) as running:
        until(lambda: len(said) > 0)
        export = "vgg16 export models:/vgg16-pets/2 --format onnx"
        assert said == [f"version 2 waits in Staging; it has no ONNX file, which `{export}` makes"]
        assert export in running.shadow.facts()["problem"]
        record = tmp_path / "record.json"
        record.write_text(f'{{"model": "{NAME}", "version": "2", "sha256": "{keep(store, onnx_file("2"), tmp_path)}"}}')
        store.upload(record, "exports/of/digest-2/onnx.json")
        until(lambda: running.shadow.comparison is not None)


def test_it_sees_a_picture_as_it_wants_it_and_no_tensor_of_another_side(tmp_path: Path) -> None:
    content = picture_of(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    with shadowed(tmp_path, onnx_file("2", side=16, fit="pad")) as running, ask(running.url) as client:
        shown: list[np.ndarray] = []
        session = session_of(running)
        answer = session.answer

        def seen(images: np.ndarray) -> Any:
            shown.append(images)
            return answer(images)

        session.answer = seen  # type: ignore[method-assign]
        assert client.post("/predict", content=content).status_code == 200
        assert client.post("/predict", content=b"no picture").status_code == 400
        infer = client.post(f"/v2/models/{NAME}/infer", content=tensor(np.zeros((3, 8, 8, 3), np.uint8)))
        assert infer.status_code == 200
        assert client.post("/occlusion", content=content).status_code == 200
        facts = counted(running, 4)
        assert (facts["images"], facts["dropped"]) == (1, {"side": 3})
    (image,) = shown
    assert np.array_equal(image[0], decode(content).square(16, Framing(fit="pad")))


def picture_of(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_pictures_that_wait_to_be_framed_are_bounded_by_their_size(tmp_path: Path) -> None:
    goes_on = threading.Event()
    with shadowed(tmp_path, onnx_file("2", side=16), shadow_bytes=1) as running, ask(running.url) as client:
        begun = block(running, goes_on)
        # One is framed and being answered, one has its place, and for the others there is none.
        version(client)
        assert begun.wait(10)
        for _ in range(4):
            version(client)
        goes_on.set()
        facts = counted(running, 5)
        assert (facts["images"], facts["dropped"]) == (2, {"full": 3})


def test_classes_are_compared_by_name(tmp_path: Path) -> None:
    """The same answers, of classes in another order, of which the champion does not know one."""
    content = onnx_file("2", bias=CHAMPION, classes=(DARK, "other", BRIGHT))
    with shadowed(tmp_path, content) as running, ask(running.url) as client:
        for grey in (10, 50, 200):
            client.post("/predict", content=picture(grey))
        facts = counted(running, 3)
        assert facts["differences"] == [{"champion_label": GREEN, "challenger_label": "other", "images": 1}]
        # What it does not know has no probability.
        assert facts["probability_difference"] == pytest.approx(softmax(50, CHAMPION).max() / 3, abs=1e-6)


def test_a_promotion_of_the_challenger_or_another_challenger_begin_the_counts_anew(tmp_path: Path) -> None:
    said: list[str] = []
    with shadowed(tmp_path, onnx_file("2", bias=CHALLENGER), said) as running, ask(running.url) as client:
        store, first = running.follower.source.store, weakref.ref(session_of(running))
        client.post("/predict", content=picture(50))
        counted(running, 1)
        promote(store, "2", keep(store, onnx_file("2", bias=CHALLENGER), tmp_path))
        until(lambda: running.shadow.facts() == {} and version(client) == "2")
        gc.collect()
        assert first() is None
        page = client.get("/metrics").text
        assert "vgg16_shadow_images_total{" not in page
        assert "challenger_label=" not in page
        for number in ("3", "4"):
            challenge(store, number, keep(store, onnx_file(number), tmp_path), tmp_path)
            until(
                lambda number=number: (
                    running.shadow.facts().get("images") == 0  # type: ignore[misc]
                    and running.shadow.facts()["version"] == number
                )
            )
            client.post("/predict", content=picture(50))
            facts = counted(running, 1)
            assert (facts["champion"], facts["images"]) == ("2", 1)
        # Beside another champion too.
        promote(store, "1", "", action="rollback")
        until(lambda: running.shadow.facts().get("champion") == "1")
        assert running.shadow.facts()["images"] == 0
        challenge(store, "", "", tmp_path)
        until(lambda: running.shadow.facts() == {})
    assert [line for line in said if "unheard" in line or "no more" in line] == [
        "version 2, which waits in Staging, answers beside version 1, unheard",
        "version 2 answers beside the champion no more",
        "version 3, which waits in Staging, answers beside version 2, unheard",
        "version 3 answers beside the champion no more",
        "version 4, which waits in Staging, answers beside version 2, unheard",
        "version 4, which waits in Staging, answers beside version 1, unheard",
        "version 4 answers beside the champion no more",
    ]


def test_a_record_that_cannot_be_read_changes_nothing_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with shadowed(tmp_path, onnx_file("2"), said) as running, ask(running.url) as client:
        store = running.follower.source.store
        failing = 'vgg16_follow_failures_total{what="challenger"}'
        with monkeypatch.context() as away:
            away.setattr(store, "read", lambda _: open("/nowhere/at/all"))  # noqa: PTH123, SIM115
            until(lambda: sample(client.get("/metrics").text, failing) > 2)
            assert version(client) == "1"
            assert counted(running, 1)["images"] == 1
        until(lambda: running.shadow.facts()["images"] == 1 and "the ledger is read again" in said)
        record = tmp_path / "damaged.json"
        record.write_text("{")
        store.upload(record, f"challengers/{NAME}.json")
        until(lambda: "cannot be read: Invalid JSON" in said[-1])
        assert version(client) == "1"
        challenge(store, "2", keep(store, onnx_file("2"), tmp_path), tmp_path)
        until(lambda: "the challenger is looked up again" in said)
    # Where all of the store was away, that was said of the ledger.
    assert sum("cannot be looked up" in line for line in said) == 1


def test_without_shadow_mode_the_challenger_is_neither_opened_nor_told_of(tmp_path: Path) -> None:
    store = in_production(tmp_path, "1")
    challenge(store, "2", keep(store, onnx_file("2"), tmp_path), tmp_path)
    with serving(store, tmp_path, shadow=False) as running, ask(running.url) as client:
        assert version(client) == "1"
        assert client.get("/model").json()["challenger"] == {}
        assert not running.shadow.is_alive()


def test_of_many_classes_differences_are_counted_by_the_champions_alone() -> None:
    names = tuple(f"class {index}" for index in range(MOST_CLASSES + 1))
    metrics = Metrics()
    comparison = Comparison(served("1", names), served("2", names), metrics)
    for index in range(MOST_CLASSES):
        comparison.count(np.eye(len(names), dtype=np.float32)[0], np.eye(len(names), dtype=np.float32)[index])
    difference = {"champion_label": "class 0", "challenger_label": ANOTHER, "images": MOST_CLASSES - 1}
    assert comparison.facts()["differences"] == [difference]


def served(number: str, names: tuple[str, ...]) -> Any:
    wanted = SimpleNamespace(sha256="")
    return SimpleNamespace(version=number, wanted=wanted, session=SimpleNamespace(class_names=names))
