"""A tiny model as an exported file, a ledger that puts it into production, and a service of it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from vgg16.config.types import Framing
from vgg16.exports.metadata import Metadata
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.serving import service
from vgg16.serving.follow import Source
from vgg16.serving.limits import Limits
from vgg16.serving.service import Door, Service
from vgg16.storage.store import FolderStore, Store

NAME = "vgg16-pets"
CLASSES = ("dark", "grün", "<b>bright</b>")
SIDE = 8


def onnx_file(
    version: str,
    *,
    side: int = SIDE,
    typicality: bool = True,
    digest: str = "",
    broken: bool = False,
    bias: Sequence[float] = (),
    classes: tuple[str, ...] = CLASSES,
    fit: Literal["crop", "pad"] = "crop",
) -> bytes:
    """A model whose probabilities follow from the mean of an image, and from its version or `bias`; NaN where it is
    `broken`."""
    shift = np.array(bias or [0.0, 0.01 * int(version), np.nan if broken else 0.02], np.float32)
    weights = [
        numpy_helper.from_array(np.array([[-1.0, 0.0, 1.0]], np.float32) / 64, "slope"),
        numpy_helper.from_array(shift, "shift"),
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
        numpy_helper.from_array(np.array([-1], np.int64), "row"),
        numpy_helper.from_array(np.array(255, np.float32), "most"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["means"]),
        helper.make_node("MatMul", ["means", "slope"], ["sloped"]),
        helper.make_node("Add", ["sloped", "shift"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Div", ["mean", "most"], ["typicality"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])]
    if typicality:
        outputs.append(helper.make_tensor_value_info("typicality", TensorProto.FLOAT, ["n"]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", side, side, 3])
    graph = helper.make_graph(nodes if typicality else nodes[:-1], "tiny", [images], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = Metadata(
        model=NAME,
        version=version,
        digest=digest or f"digest-{version}",
        class_names=classes,
        side=side,
        framing=Framing(fit=fit),
    )
    helper.set_model_props(model, metadata.texts())
    content: bytes = model.SerializeToString()
    return content


def keep(store: Store, content: bytes, folder: Path) -> str:
    """Write an exported file into a store; its sha256."""
    sha256 = hashlib.sha256(content).hexdigest()
    file = folder / "made.onnx"
    file.write_bytes(content)
    store.upload(file, f"exports/{sha256}.onnx")
    return sha256


def promote(
    store: Store, version: str, sha256: str, *, action: str = "promote", name: str = NAME, digest: str | None = None
) -> LedgerEntry:
    """Append the entry that puts a version into production, with the file of this digest, "" for none."""
    history = ledger.entries(store, name)
    return ledger.append(
        store,
        LedgerEntry.model_validate(
            {
                "number": len(history) + 1,
                "name": name,
                "action": action,
                "version": version,
                "previous": history[-1].version if history else "",
                "by": "me",
                "at": "2026-01-01T00:00:00+00:00",
                "verdict": None,
                "reasons": (),
                "model_digest": f"digest-{version}" if digest is None else digest,
                "exports": {"onnx": sha256} if sha256 else {},
            }
        ),
    )


def challenge(store: Store, version: str, sha256: str, folder: Path) -> None:
    """Write down that a version waits in Staging, with its file, "" for none; version "" for nobody."""
    record = folder / "challenger.json"
    told = {"name": NAME, "version": version, "model_digest": f"digest-{version}", "onnx": sha256}
    record.write_text(json.dumps(told | {"at": "2026-01-02T00:00:00+00:00"}))
    store.upload(record, f"challengers/{NAME}.json")


def in_production(folder: Path, *versions: str) -> FolderStore:
    """A store in which these versions came into production, one after the other."""
    store = FolderStore(folder / "store")
    for version in versions:
        promote(store, version, keep(store, onnx_file(version), folder))
    return store


@contextmanager
def serving(
    store: Store,
    folder: Path,
    door: Door | None = None,
    say: Callable[[str], None] = print,
    *,
    wait: bool = False,
    shadow: bool = True,
    **limits: float,
) -> Iterator[Service]:
    """A service of what is in production, which looks at the ledger twenty times a second."""
    bounds = Limits(**limits)  # type: ignore[arg-type]  # sizes are whole numbers
    source = Source(store, NAME, folder / "drafts")
    running = service.start(source, door or Door(port=0), say, bounds, poll=0.05, wait=wait, shadow=shadow)
    try:
        yield running
    finally:
        running.stop()


def picture(value: int, side: int = SIDE, kind: str = "PNG") -> bytes:
    """A picture file of one grey."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(file, kind)
    return file.getvalue()


def ask(url: str, **options: Any) -> httpx.Client:
    """A client of a service."""
    return httpx.Client(base_url=url, timeout=20, **options)


def sample(page: str, name: str) -> float:
    """A value of a page of metrics, by its name and labels."""
    return next(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.rpartition(" ")[0] == name)


def tensor(images: np.ndarray, **more: object) -> bytes:
    """The body of a request of protocol v2."""
    data = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    return json.dumps({"inputs": [data], **more}).encode()
