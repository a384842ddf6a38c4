"""What `vgg16 serve` takes and gives: beside the bare session, while versions come and go, in shadow mode, and beside
`mlflow models serve` of the same model.

`.venv/bin/python -m benchmarks.serve [--home HOME] [--seconds 600] [latency|swaps|shadow|mlflow ...]`: by default all
four. The home, made where there is none, holds the champion of `vgg16 run digits-scratch`; a VGG-16 of 64 pixels gets
random weights. Clients have a process of their own. A line of JSON for each part; it ends with an error where a request
failed, where an answer was another version's, or where memory grew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import serve_mlflow, serve_pairs
from benchmarks.machine import stamp
from benchmarks.serve_follow import MOVES, VERSIONS, Followed
from benchmarks.serve_models import pictures, versions
from benchmarks.service_start import served
from tests.serving.tiny import promote
from vgg16.promotion import ledger
from vgg16.storage.store import FolderStore

PROGRAM = Path(sys.executable).parent / "vgg16"
# Memory that may come after the first minute: pages of files that were opened and closed.
GROWTH = 1.1
DIGITS = "vgg16-digits"


class Bench:
    """A folder for what is served, and a home whose champion is one of digits."""

    def __init__(self, folder: Path, home: Path, seconds: float, rounds: int) -> None:
        self.folder, self.home, self.seconds, self.rounds = folder, home, seconds, rounds
        self.files = pictures(folder / "pictures")
        store = FolderStore(home / "store")
        if not ledger.entries(store, DIGITS):
            subprocess.run(
                [PROGRAM, "run", "digits-scratch"], env=os.environ | {"VGG16_HOME": str(home)}, cwd=folder, check=True
            )
        digest = ledger.exports(ledger.entries(store, DIGITS), "1")["onnx"]
        self.digits = home / "store" / "exports" / f"{digest}.onnx"

    def own(self, name: str) -> Path:
        """An empty folder."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir()
        return self.folder / name

    def latency(self) -> dict[str, object]:
        """20 requests a second by the service and by the bare session, on pictures of the digits' own size, on all."""
        home = self.own("latency")
        (version,) = versions(self.digits, home, 1)
        store = FolderStore(home / "store")
        store.upload(version.file, f"exports/{version.sha256}.onnx")
        promote(store, "1", version.sha256, digest=version.digest)
        small = [file for file in self.files if file.name.startswith("32-")]
        with served(PROGRAM, home) as (_, url, _):
            port = int(url.rpartition(":")[2])
            return {
                name: serve_pairs.paired(port, version.file, files, self.rounds)
                for name, files in (("32 pixels", small), ("32 to 480 pixels", self.files))
            }

    def swaps(self) -> dict[str, object]:
        """Digits at 50 requests a second."""
        home = self.own("swaps")
        followed = Followed(PROGRAM, home, versions(self.digits, home, VERSIONS), shadow=False)
        return self._steady(followed, 50)

    def shadow(self) -> dict[str, object]:
        """64 pixels at 10 requests a second, which a challenger answers too."""
        model = self.folder / "64.onnx"
        if not model.exists():
            subprocess.run([sys.executable, "-m", "benchmarks.serve_models", str(model)], check=True)
        home = self.own("shadow")
        return self._steady(Followed(PROGRAM, home, versions(model, home, VERSIONS), shadow=True), 10)

    def _steady(self, followed: Followed, rate: float) -> dict[str, object]:
        moves = [partial(followed.move, *move) for move in MOVES]
        figures = followed.run(self.files, rate, self.seconds, moves)
        print(json.dumps(figures), flush=True)
        early, late = (figures[f"MB {when}"] for when in ("after a minute or a quarter", "at the end"))
        assert isinstance(early, int)
        assert isinstance(late, int)
        if late > GROWTH * early:
            raise SystemExit(f"Memory grew from {early} to {late} MB.")
        return {"rate": rate, "seconds": self.seconds, "failed": 0}

    def mlflow(self) -> dict[str, object]:
        """Requests a second, memory and start of both servers."""
        return serve_mlflow.beside(PROGRAM, self.home, DIGITS, self.own("mlflow"), self.rounds)


PARTS: dict[str, Callable[[Bench], dict[str, object]]] = {
    "latency": Bench.latency,
    "swaps": Bench.swaps,
    "shadow": Bench.shadow,
    "mlflow": Bench.mlflow,
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "vgg16-serve"))
    asked.add_argument("--home", type=Path)
    asked.add_argument("--seconds", type=float, default=600, help="of each steady load")
    asked.add_argument("--rounds", type=int, default=12, help="of each pair")
    asked.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    given = asked.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        asked.error(f"there is no part {', '.join(sorted(unknown))}")
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder, given.home or given.folder / "home", given.seconds, given.rounds)
    for name in given.parts or PARTS:
        print(json.dumps({"what": name, **PARTS[name](bench), **stamp()}), flush=True)


if __name__ == "__main__":
    main()
