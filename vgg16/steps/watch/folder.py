"""What to label first, as a folder of pictures with names of ours, and a list of where each came from."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vgg16.data.decode import decode
from vgg16.data.sources.places.bucket import Bucket
from vgg16.data.sources.places.folder import Folder
from vgg16.errors import RequestError
from vgg16.shown import visible
from vgg16.steps.watch.inbox import read_file
from vgg16.storage.store import Store

# Pixels of the longer side: a person, and a model that learns from it, see enough.
_LARGEST_SIDE = 2_048
# What a table takes for a formula.
_FORMULA = ("=", "+", "-", "@")


def write_folder(key: str, pictures: Sequence[tuple[str, str]], place: Bucket | Folder | None, store: Store) -> None:
    """Put pictures, each a path in the inbox and why it is one of them, below a key of the store, encoded anew: nothing
    but their pixels is taken over. The list comes last; with one there, all is there."""
    if store.read(f"{key}/list.csv") is not None:
        return
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "path", "why"))
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        for number, (path, why) in enumerate(pictures, 1):
            name, problem = f"{number:02}-{hashlib.sha256(path.encode(errors='replace')).hexdigest()[:12]}.png", ""
            try:
                content = read_file(place, path) if place else b""
                decode(content).within(_LARGEST_SIDE).save(Path(folder, name), "PNG")
                store.upload(Path(folder, name), f"{key}/{name}")
            except RequestError as error:
                # It was there when it was measured.
                name, problem = "", f"; not here: {error.message}"
            rows.writerow((name, _cell(path), _cell(why + problem)))
        listed = Path(folder, "list.csv")
        listed.write_text(table.getvalue(), encoding="utf-8", newline="")
        store.upload(listed, f"{key}/list.csv")


def _cell(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
