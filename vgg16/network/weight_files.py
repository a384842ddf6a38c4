"""Weights files as people have them, told apart by what is inside, for a name says little of a layout: models of Keras
3, its weights, and HDF5 as Keras 1 and 2 wrote it. Arrays are found by the names of their layers, not by their order.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

Kind = Literal["model", "weights", "legacy"]
Layers = dict[str, list[NDArray[np.float32]]]
Shapes = Mapping[str, Sequence[tuple[int, ...]]]
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
# What files begin with that are no weights of Keras, without spaces and in lower case.
_OTHERS = {
    b"": "it is empty",
    b"version https://git-lfs": "it is a pointer of Git LFS, and `git lfs pull` fetches the file itself",
    b"<!doctype": "it is a web page: the download was answered with one",
    b"<html": "it is a web page: the download was answered with one",
    b"\x80\x02": "it is a pickle, as PyTorch writes it, which is never opened",
    b"\x1f\x8b": "it is compressed by gzip: unpack it",
}


def kind_of(file: Path) -> Kind:
    """What a file is by its content: a `model` of Keras 3 (.keras), its `weights` (.weights.h5), or HDF5 as Keras wrote
    it before, `legacy`. Raises ValueError for any other, with what it seems to be, and OSError."""
    with file.open("rb") as opened:
        head = opened.read(100)
    if head.startswith(_ZIP):
        with zipfile.ZipFile(file) as packed:
            if any(name.endswith("data.pkl") for name in packed.namelist()):
                raise ValueError("it is a file of PyTorch, whose layers have other names and another order")
        return "model"
    if head.startswith(_HDF5):
        with h5py.File(file) as weights:
            if _legacy(weights) is not None:
                return "legacy"
            if "layers" in weights:
                return "weights"
            if "nb_layers" in weights.attrs:
                raise ValueError("its layers have no names: Keras 1 wrote it, for Theano")
            raise ValueError(f"it is HDF5 without layers of Keras; it has {_some(weights)}")
    begins = head.strip().lower()
    seems = [what for start, what in _OTHERS.items() if (begins.startswith(start) if start else not begins)]
    raise ValueError(seems[0] if seems else f"it is neither HDF5 nor a .keras file; it begins with {head[:8]!r}")


def layers_in(file: Path) -> dict[str, int]:
    """The layers in an HDF5 file, each with how many arrays it has. Raises ValueError for kernels of Theano."""
    with _opened(file) as layers:
        return {name: len(arrays()) for name, arrays in layers.items()}


def read(file: Path, expected: Shapes) -> Layers:
    """The arrays, float32, of the layers that are expected in an HDF5 file.

    Raises ValueError where one is missing or has other shapes, and for kernels of Theano.
    """
    with _opened(file) as layers:
        if missing := [name for name in expected if name not in layers]:
            raise ValueError(f"it has no layer {missing[0]}; it has {_some(layers)}")
        arrays = {}
        for name, shapes in expected.items():
            kept = layers[name]()
            found = [tuple(array.shape) for array in kept]
            if found != list(shapes):
                raise ValueError(f"{name} expects arrays of {list(shapes)}, found {found}")
            arrays[name] = [np.asarray(array[...], np.float32) for array in kept]
    return arrays


def check_values(layers: Layers) -> None:
    """Raises ValueError, which names the layer, for numbers that nothing can be learned from: NaN, infinite, or a
    kernel of one number all over, as a file has that was not written to its end."""
    for name, arrays in layers.items():
        for array in arrays:
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has {'NaN' if np.isnan(array).any() else 'infinite numbers'} in it")
            if array.ndim > 1 and array.size > 1 and array.min() == array.max():
                raise ValueError(f"the kernel of {name} is {array.flat[0]:g} all over")


@contextmanager
def _opened(file: Path) -> Iterator[dict[str, Callable[[], list[Any]]]]:
    """The layers of an HDF5 file by name, each with what finds its arrays."""
    with h5py.File(file) as weights:
        legacy = _legacy(weights)
        if legacy is None:
            yield _of_keras_3(weights)
            return
        backend = weights.attrs.get("backend", legacy.attrs.get("backend", b""))
        if (backend.decode() if isinstance(backend, bytes) else str(backend)) == "theano":
            raise ValueError("its kernels are mirrored: Theano wrote them, which turns them around when it convolves")
        yield {name: partial(_of_group, legacy[name]) for name in _texts(legacy.attrs["layer_names"])}


def _legacy(weights: h5py.File) -> Any:
    """The group whose attribute names the layers, None for none."""
    for group in (weights, weights.get("model_weights")):
        if group is not None and "layer_names" in group.attrs:
            return group
    return None


def _of_group(group: Any) -> list[Any]:
    return [_inside(group, name) for name in _texts(group.attrs.get("weight_names", ()))]


def _of_keras_3(weights: Any) -> dict[str, Callable[[], list[Any]]]:
    layers: dict[str, Callable[[], list[Any]]] = {}
    for title, group in weights["layers"].items():
        held = group.get("vars", {})
        layers[str(getattr(held, "attrs", {}).get("name", title))] = partial(_numbered, held)
    return layers


def _numbered(group: Any) -> list[Any]:
    return [_inside(group, number) for number in sorted(group, key=int)]


def _inside(group: Any, name: str) -> Any:
    array = group[name]
    # HDF5 can point to other files of this machine.
    if array.external or array.is_virtual or array.file.filename != group.file.filename:
        raise ValueError(f"{name} is not in the file itself")
    return array


def _texts(names: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _some(names: Any, most: int = 4) -> str:
    listed = [*names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
