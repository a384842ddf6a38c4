"""The files of what comes into production: of the judged model, found again, and told of where they are lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from tests.exported import keep
from vgg16.config.types import GateRules
from vgg16.config.types.gate import ExportFormat
from vgg16.errors import RefusedError, Vgg16Error
from vgg16.exports import formats
from vgg16.exports.formats import FORMATS
from vgg16.exports.records import Parity
from vgg16.promotion.records import LedgerEntry
from vgg16.records import ModelVersion
from vgg16.steps.exporting import export as exporting
from vgg16.steps.exporting import kept, promoted
from vgg16.steps.exporting.records import Exported
from vgg16.storage.store import FolderStore, Store, sha256_in

NAME = "vgg16-pets"
VERSION = ModelVersion(name=NAME, version="3", stage="Staging", run_id="r", experiment="pets-scratch")
DIGEST = "d" * 64
PARITY = Parity(images=143, singles=100, same_top1=1.0, max_difference=1e-6)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the files of a promotion need of a workplace: `rules` of its gate, `asked` what was exported."""
    store = FolderStore(tmp_path / "store")
    place = SimpleNamespace(store=store, rules=GateRules(), asked=[], said=[])
    place.tracker = SimpleNamespace(
        results=SimpleNamespace(experiment=lambda run: SimpleNamespace(gate=place.rules)),
        registry=SimpleNamespace(version=lambda name, version: VERSION),
    )
    place.say = place.said.append

    def export(version: ModelVersion, names: tuple[str, ...], workplace: Any) -> tuple[Exported, ...]:
        place.asked.append(names)
        return tuple(made(store, name) for name in names)

    monkeypatch.setattr(exporting, "export", export)
    return place


def made(store: Store, name: str) -> Exported:
    """A file that is kept as an export keeps it."""
    row = FORMATS[name]
    content = f"{name} of {DIGEST}".encode()
    (Path(store.address).parent / "made").write_bytes(content)
    sha256 = promoted.sha256_in(FolderStore(Path(store.address).parent), "made")
    exported = Exported(
        model=NAME,
        version="3",
        digest=DIGEST,
        format=name,
        quantize=row.quantize,
        sha256=sha256,
        bytes=len(content),
        parity=PARITY,
        latency_ms=1.0,
        key=kept.key_of(sha256, row.suffix),
    )
    kept.keep(store, Path(store.address).parent / "made", exported)
    return exported


def entry(number: int, version: str = "3", **facts: Any) -> LedgerEntry:
    known = {"number": number, "name": NAME, "action": "promote", "version": version, "previous": "", "by": "me"}
    return LedgerEntry.model_validate(known | {"at": "now", "verdict": "promote", "reasons": ("good",)} | facts)


def test_a_gate_may_ask_for_every_format_but_the_one_that_each_promotion_has() -> None:
    assert {promoted.ONNX, *get_args(ExportFormat)} == set(FORMATS)


def test_what_is_proven_is_onnx_and_what_the_gate_asks_for_of_the_model_that_was_judged(place: Any) -> None:
    assert promoted.prove(VERSION, DIGEST, place) == {"onnx": made(place.store, "onnx").sha256}
    assert "ONNX float32, 0.0 MB, proven on 143 images of gate, probabilities differ by 1e-06 at most" in place.said[0]
    place.rules = GateRules(exports=("litert-int8", "savedmodel"))
    assert [*promoted.prove(VERSION, "", place)] == ["onnx", "litert-int8", "savedmodel"]
    assert place.asked == [("onnx",), ("onnx", "litert-int8", "savedmodel")]
    with pytest.raises(
        RefusedError, match=r"has been changed: expected a model with digest eeeeeeeeeeee\.\.\., found d"
    ):
        promoted.prove(VERSION, "e" * 64, place)


def test_what_waits_has_its_onnx_file_alone_and_waits_without_where_none_can_be_proven(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.rules = GateRules(exports=("litert-int8",))
    promoted.prove_waiting(VERSION, DIGEST, place)
    assert place.asked == [("onnx",)]
    assert sha256_in(place.store, made(place.store, "onnx").key)
    for problem in (RefusedError("it answers otherwise", "a hint"), OSError("the disk is full")):

        def fails(*_: object, problem: Exception = problem) -> None:
            raise problem

        with monkeypatch.context() as failing:
            failing.setattr(exporting, "export", fails)
            promoted.prove_waiting(VERSION, DIGEST, place)
    promoted.prove_waiting(VERSION, "e" * 64, place)
    begins = f"waiting     {NAME} version 3 has no ONNX file, so no service can try it: "
    refused, failed, changed = (text.removeprefix(begins) for text in place.said[1:])
    assert (refused, failed) == ("it answers otherwise a hint", "the disk is full")
    assert "has been changed: expected a model with digest eeeeeeeeeeee" in changed


def test_what_comes_back_has_the_files_that_it_had_and_nothing_is_made(place: Any) -> None:
    files = {name: made(place.store, name).sha256 for name in ("onnx", "litert-int8")}
    history = [entry(1, exports=files, model_digest=DIGEST), entry(2, "4", exports={"onnx": "f" * 64})]
    # The gate's wishes of today are no reason to wait.
    place.rules = GateRules(exports=("savedmodel",))
    assert promoted.prove_again(VERSION, history, place) == files
    assert (place.asked, place.said) == ([], [])
    place.store.delete(kept.key_of(files["litert-int8"], ".tflite"))
    assert promoted.prove_again(VERSION, history, place) == {"onnx": files["onnx"]}
    (said,) = place.said
    file = f"{place.store.address}/{kept.key_of(files['litert-int8'], '.tflite')}"
    assert said.startswith(f"export      {NAME} version 3 comes back without its litert-int8: expected {file} with ")
    assert said.endswith("found no file")


@pytest.mark.parametrize("damage", ["lost", "changed", "of an earlier version"])
def test_what_comes_back_without_its_onnx_file_has_it_made_anew(place: Any, damage: str) -> None:
    onnx = made(place.store, "onnx")
    if damage == "lost":
        place.store.delete(onnx.key)
    elif damage == "changed":
        place.store.local_path(onnx.key).write_bytes(b"changed")
    history = [
        entry(1, model_digest=DIGEST) if damage == "of an earlier version" else entry(1, exports={"onnx": onnx.sha256})
    ]
    assert promoted.prove_again(VERSION, history, place) == {"onnx": onnx.sha256}
    assert place.asked == [("onnx",)]
    assert sha256_in(place.store, onnx.key) == onnx.sha256


def test_the_doctor_tells_where_the_champions_file_is_lost_or_damaged_and_the_fix(place: Any) -> None:
    store = place.store

    def write(**facts: Any) -> None:
        number = len(store.keys("ledger/")) + 1
        store.create(f"ledger/{NAME}/{number:06d}.json", entry(number, **facts).model_dump_json().encode())

    assert promoted.look(store, NAME) == ([], [])
    write(model_digest=DIGEST)
    (note,) = promoted.look(store, NAME)[1]
    assert note.startswith(f"{NAME} version 3 came into production before promotions made an ONNX file")
    assert note.endswith(f"`vgg16 export models:/{NAME}/3 --format onnx`")
    files = {name: made(store, name) for name in ("onnx", "litert-int8")}
    write(model_digest=DIGEST, exports={name: file.sha256 for name, file in files.items()})
    assert promoted.look(store, NAME) == ([], [])

    store.delete(files["onnx"].key)
    store.local_path(files["litert-int8"].key).write_bytes(b"changed")
    lost, damaged = promoted.look(store, NAME)[0]
    assert lost.startswith(
        f"{NAME} version 3, in production, has lost its onnx file: expected {store.address}/exports/"
    )
    assert "found no file. Bring it back from a copy, or make it again: vgg16 export models:/vgg16-pets/3 " in lost
    assert "found sha256 " in damaged
    assert damaged.endswith("--format litert --quantize int8")
    for name in files:
        made(store, name)
    assert promoted.look(store, NAME) == ([], [])
    # A version of 0.1 that was rolled back to has no digest in the ledger.
    write(version="4", exports={"onnx": "0" * 64})
    assert "version 4, in production, has lost its onnx file" in promoted.look(store, NAME)[0][0]
    # Made again elsewhere, its bytes may be others.
    write(model_digest=DIGEST, exports={"onnx": "0" * 64})
    problems, (note,) = promoted.look(store, NAME)
    assert (problems, "another onnx file, as proven" in note) == ([], True)


def test_missing_packages_are_told_before_anything_is_trained_or_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    promoted.check_possible([GateRules(exports=("litert-int8",))])
    there = formats.find_spec
    for missing, rules, told in (
        ("onnxruntime", GateRules(), "onnxruntime"),
        ("ai_edge_litert", GateRules(exports=("litert-int8",)), "ai-edge-litert"),
    ):
        monkeypatch.setattr(
            formats, "find_spec", lambda name, missing=missing: None if name == missing else there(name)
        )
        with pytest.raises(Vgg16Error, match=rf"{told}.*\[export\]"):
            promoted.check_possible([rules])
    promoted.check_possible([GateRules()])


def test_a_link_of_a_file_is_read_where_the_store_is_no_folder(store: Store) -> None:
    (sha256,) = keep(store, NAME, "3", DIGEST).values()
    assert promoted.damaged({"onnx": sha256}, store) == {}
    assert "found no file" in promoted.damaged({"onnx": "0" * 64}, store)["onnx"]
