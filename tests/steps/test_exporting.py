"""A version's exports: made in a process of their own, kept once, and nowhere where they are not proven."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vgg16.config.types import GateRules
from vgg16.data.images import Arrays
from vgg16.errors import RefusedError, Vgg16Error
from vgg16.exports.formats import FORMATS
from vgg16.exports.parity import Parity
from vgg16.records import DatasetRef
from vgg16.steps.exporting import export as exporting
from vgg16.steps.exporting import kept
from vgg16.steps.exporting.messages import Failed, Line, Lines, read
from vgg16.steps.exporting.records import Exported, Question
from vgg16.storage.files import sha256_of
from vgg16.storage.store import FolderStore
from vgg16.workplace.workplace import Silence

DIGEST = "d" * 64
REF = DatasetRef(name="pets", digest="e" * 64, key="datasets/pets/1", class_names=("cat", "dog"), splits={"gate": 60})


def exported(file: Path, **changes: Any) -> Exported:
    """The record of a file."""
    facts = {
        "model": "vgg16-pets",
        "version": "3",
        "digest": DIGEST,
        "format": "onnx",
        "quantize": None,
        "sha256": sha256_of(file),
        "bytes": file.stat().st_size,
        "parity": Parity(images=60, singles=60, same_top1=1.0, max_difference=1e-6),
        "latency_ms": 1.5,
        "key": kept.key_of(sha256_of(file), ".onnx"),
    }
    return Exported.model_validate({**facts, **changes})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made.onnx"
    path.write_bytes(b"a proven file")
    return path


def test_what_is_kept_is_found_while_it_is_what_was_proven(store: FolderStore, file: Path, tmp_path: Path) -> None:
    one = exported(file)

    def find(version: str = "3", digest: str = DIGEST) -> Exported | None:
        return kept.find(store, "vgg16-pets", version, digest, "onnx")

    assert find() is None
    for _ in range(2):
        kept.keep(store, file, one)
        assert store.keys("exports") == sorted([one.key, f"exports/of/{DIGEST}/onnx.json"])
    assert find() == one
    # The file says which version it is.
    assert find(version="4") is None
    assert find(digest="f" * 64) is None
    kept.download(store, one, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"a proven file"
    store.local_path(one.key).write_bytes(b"another file")
    assert find() is None
    with pytest.raises(Vgg16Error, match="is not what was proven"):
        kept.download(store, one, tmp_path / "other")
    store.delete(one.key)
    assert find() is None
    kept.keep(store, file, one)
    store.local_path(f"exports/of/{DIGEST}/onnx.json").write_text("{")
    assert find() is None


class Registry:
    """A registry of one version, of which a process is asked."""

    def __init__(self) -> None:
        self.version = SimpleNamespace(name="vgg16-pets", version="3", uri="models:/vgg16-pets/3", run_id="r")

    def check(self, uri: str) -> Any:
        assert uri == self.version.uri
        return SimpleNamespace(digest=DIGEST)


@pytest.fixture
def workplace(store: FolderStore) -> Any:
    run = SimpleNamespace(trained_on=REF, metrics={"temperature": 1.4})
    tracker = SimpleNamespace(
        registry=Registry(),
        runs=SimpleNamespace(get=lambda run_id: run),
        results=SimpleNamespace(experiment=lambda run_id: SimpleNamespace(gate=GateRules())),
    )
    return SimpleNamespace(tracker=tracker, store=store, display=Silence())


def test_asked_again_no_process_is_started(
    workplace: Any, store: FolderStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Question] = []

    def ask(question: Question, _: Any) -> list[Exported]:
        asked.append(question)
        made = [exported(file, format=name) for name in question.formats]
        for one in made:
            kept.keep(store, file, one)
        return made

    monkeypatch.setattr(exporting, "_ask", ask)
    version = workplace.tracker.registry.version
    assert [one.format for one in exporting.export(version, ["savedmodel", "onnx"], workplace)] == [
        "savedmodel",
        "onnx",
    ]
    assert (asked[0].temperature, asked[0].alpha, asked[0].margin) == (1.4, 0.025, 0.005)
    assert exporting.export(version, ["onnx"], workplace)[0].format == "onnx"
    assert len(asked) == 1


def test_a_gate_too_small_for_int8_is_refused_before_anything_is_made(
    workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_ask", lambda *_: pytest.fail("a process was asked"))
    with pytest.raises(RefusedError, match="60 images cannot tell") as told:
        exporting.export(workplace.tracker.registry.version, ["onnx", "litert-int8"], workplace)
    assert "At least 553" in told.value.hint


def test_how_the_process_ends_is_told(
    workplace: Any, store: FolderStore, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In place of the process another one, which says or does the same."""
    refused = Line(failed=Failed(kind="refused", message="It differs.", hint="Ask.", format="onnx"))
    for does, kind, message in (
        (f"print({refused.model_dump_json()!r})", RefusedError, "vgg16-pets version 3, ONNX float32: It differs."),
        ("sys.stderr.write('no memory'); sys.exit(4)", Vgg16Error, "ended with 4: no memory"),
        ("import os; os.abort()", Vgg16Error, "ended with -6"),
        ("pass", Vgg16Error, "ended with 0"),
    ):
        script = tmp_path / "stand_in.py"
        script.write_text(f"import sys\nsys.stdin.read()\n{does}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(exporting, "_CHILD", "stand_in")
        with pytest.raises(Vgg16Error) as told:
            exporting.export(workplace.tracker.registry.version, ["onnx"], workplace)
        assert type(told.value) is kind, does
        assert message in told.value.message
    assert store.keys("exports") == []


def test_progress_crosses_from_one_process_to_the_other(file: Path) -> None:
    out = io.StringIO()
    lines = Lines(out)
    lines.say("export      ONNX is written")
    with lines.counting("asking the model") as on_step:
        on_step(64, 100)
        on_step(100, 100)
    with lines.counting("asking ONNX") as on_step:
        on_step(7, 100)
    lines.send(Line(exported=exported(file)))
    shown: list[Any] = []

    class Shows(Silence):
        def say(self, text: str) -> None:
            shown.append(text)

        def counting(self, what: str) -> Any:
            shown.append(what)
            return super().counting(what)

    assert read(out.getvalue().splitlines(), Shows()) == ([exported(file)], None)
    assert shown == ["export      ONNX is written", "asking the model", "asking ONNX"]
    assert all(json.loads(line) for line in out.getvalue().splitlines())


def test_a_file_that_is_not_proven_is_nowhere(
    tensorflow: Any, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from vgg16.exports import expected, files, metadata
    from vgg16.steps.exporting import child

    random = np.random.RandomState(0)
    images = random.randint(0, 256, (80, 8, 8, 3)).astype(np.uint8)
    given = keras.Input((8, 8, 3), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(given))
    model = keras.Model(given, keras.layers.Dense(2, activation="softmax", name="predictions")(flat))
    describes = metadata.Metadata(model="vgg16-pets", version="3", digest=DIGEST, class_names=("cat", "dog"), side=8)
    subject = expected.Subject(model, None, describes, images, images)
    data = Arrays(images, np.arange(80) % 2, np.full(80, 2, np.int8), ("cat", "dog"))
    question = Question(
        name="vgg16-pets",
        version="3",
        digest=DIGEST,
        dataset=REF,
        formats=("onnx",),
        temperature=1.0,
        alpha=0.025,
        margin=0.005,
        folder=tmp_path,
    )
    workplace: Any = SimpleNamespace(store=store, display=Silence())
    work = child.Work(question, subject, data, workplace)
    write, row = files.write, FORMATS["onnx"]

    def wrong(row: Any, subject: Any, path: Path) -> None:
        weights = model.get_weights()
        model.set_weights([1.5 * array for array in weights])
        write(row, subject, path)
        model.set_weights(weights)

    monkeypatch.setattr(files, "write", wrong)
    with pytest.raises(RefusedError, match="does not answer as the model does"):
        child.make(row, work)
    assert store.keys("exports") == []
    other = describes.model_copy(update={"class_names": ("dog", "cat")})
    monkeypatch.setattr(files, "write", lambda row, subject, path: write(row, renamed(subject, other), path))
    with pytest.raises(RefusedError, match="says of itself"):
        child.make(row, work)
    assert store.keys("exports") == []
    monkeypatch.setattr(files, "write", write)
    one = child.make(row, work)
    assert kept.find(store, "vgg16-pets", "3", DIGEST, "onnx") == one
    assert one.parity.images == 80
    assert one.latency_ms > 0


def renamed(subject: Any, other: Any) -> Any:
    """The subject with other metadata."""
    return type(subject)(subject.model, subject.reference, other, subject.train, subject.val)
