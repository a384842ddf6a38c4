"""A service under a steady load while versions come and go: what its clients, and its process, have to say of that."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.serve_clients import Load, Reply, replies
from benchmarks.serve_models import Version
from benchmarks.service_start import resident, served
from tests.serving.tiny import NAME, promote
from vgg16.data.decode import decode
from vgg16.exports.session import open_session
from vgg16.promotion.challengers import Challenger
from vgg16.storage.store import FolderStore

# After version 1: five promotions and two rollbacks.
MOVES = (
    *((2, "promote"), (3, "promote"), (2, "rollback"), (4, "promote")),
    *((5, "promote"), (4, "rollback"), (6, "promote")),
)
VERSIONS = 8
REPOSITORY = Path(__file__).parents[1]
# An answer's version was in production at some moment of so many seconds before it.
PROMISED = 10.0
# Batches of other sizes round in another order.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger: which version, and when it was begun and done."""

    version: str
    begun: float
    done: float


class Followed:
    """A service of these versions, the first of which is in production, in a home of its own. With `shadow` the others
    wait in Staging in turn."""

    def __init__(self, program: Path, home: Path, versions: Sequence[Version], *, shadow: bool) -> None:
        self.program, self.home, self.versions, self.shadow = program, home, versions, shadow
        self.store = FolderStore(home / "store")
        self.url = ""
        self.entries: list[Entry] = []
        self.memory: list[tuple[float, int]] = []
        for version in versions:
            self.store.upload(version.file, f"exports/{version.sha256}.onnx")
        self.move(1, "promote")

    def run(
        self, files: Sequence[Path], rate: float, seconds: float, moves: Sequence[Callable[[], None]]
    ) -> dict[str, object]:
        """Figures of so many seconds, in which moves are made one after the other. Raises SystemExit where a request
        failed, or its answer was another version's."""
        output = self.home / "replies"
        with served(self.program, self.home) as (process, self.url, _):
            port = int(self.url.rpartition(":")[2])
            load = Load(port, "/predict", "application/octet-stream", [str(file) for file in files], seconds, rate)
            command = [sys.executable, "-m", "benchmarks.serve_clients", json.dumps(asdict(load)), str(output)]
            used = processor(process.pid)
            with subprocess.Popen(command, cwd=REPOSITORY) as clients:
                self._go_on(clients, process, seconds, moves)
            used = processor(process.pid) - used
            counted = httpx.get(f"{self.url}/metrics").text
        kept = list(replies(output))
        self._check(kept, files)
        return self._figures(kept, seconds) | {
            "service CPU ms a request": round(1000 * used / len(kept), 2),
            "swaps": sample(counted, "vgg16_swaps_total"),
            "looks at the ledger that failed": sample(counted, "vgg16_follow_failures_total"),
            "shadow images since the last swap": sample(counted, "vgg16_shadow_images_total"),
            "shadow images dropped": sample(counted, "vgg16_shadow_dropped_total"),
        }

    def _go_on(
        self,
        clients: subprocess.Popen[bytes],
        service: subprocess.Popen[str],
        seconds: float,
        moves: Sequence[Callable[[], None]],
    ) -> None:
        begin, made = time.monotonic(), 0
        while clients.poll() is None:
            after = time.monotonic() - begin
            self.memory.append((after, resident(service)))
            if made < len(moves) and after > seconds * (made + 1) / (len(moves) + 1):
                moves[made]()
                made += 1
            time.sleep(0.25)
        if clients.returncode or made < len(moves):
            raise SystemExit("The clients ended too early.")

    def move(self, number: int, action: str) -> None:
        """Put a version into production, by an entry of the ledger; with `shadow`, the next one waits from now on."""
        version = self.versions[number - 1]
        begun = time.monotonic()
        promote(self.store, version.number, version.sha256, action=action, digest=version.digest)
        self.entries.append(Entry(version.number, begun, time.monotonic()))
        if self.shadow:
            other = self.versions[-1 - len(self.entries) % 2]
            record = Challenger(
                name=NAME, version=other.number, model_digest=other.digest, onnx=other.sha256, at="2026-11-27T00:00:00Z"
            )
            draft = self.home / "challenger.json"
            draft.write_text(record.model_dump_json())
            self.store.upload(draft, f"challengers/{NAME}.json")

    def _check(self, kept: Sequence[Reply], files: Sequence[Path]) -> None:
        failed = [reply for reply in kept if reply.status != 200]
        if failed:
            raise SystemExit(f"{len(failed)} of {len(kept)} requests failed: {failed[0]}")
        right = {version.number: expected(version.file, files) for version in self.versions}
        apart = math.inf
        for file in range(len(files)):
            rows = np.stack([right[version.number][file] for version in self.versions])
            distances = np.abs(rows[:, None] - rows[None]).max(axis=2)
            apart = min(apart, float(distances[~np.eye(len(rows), dtype=bool)].min()))
        if apart < 10 * TOLERANCE:
            raise SystemExit(f"The versions cannot be told apart: they differ by {apart}.")
        for reply in kept:
            answer = json.loads(reply.answer)
            version, probabilities = answer["version"], np.array([*answer["probabilities"].values()])
            if not self._was_champion(version, reply.at):
                raise SystemExit(f"Version {version} answered, which was not in production: {reply}")
            if np.abs(probabilities - right[version][reply.file]).max() > TOLERANCE:
                raise SystemExit(f"This is no answer of version {version}: {reply}")

    def _was_champion(self, version: str, at: float) -> bool:
        ends = [*(entry.done for entry in self.entries[1:]), math.inf]
        return any(
            entry.version == version and entry.begun <= at and end >= at - PROMISED
            for entry, end in zip(self.entries, ends, strict=True)
        )

    def _figures(self, kept: Sequence[Reply], seconds: float) -> dict[str, object]:
        answered = [(reply.at, json.loads(reply.answer)["version"]) for reply in kept]
        swaps = [
            min(at for at, version in answered if version == entry.version and at > entry.begun) - entry.done
            for entry in self.entries[1:]
        ]
        early = next(megabytes for after, megabytes in self.memory if after >= min(60, seconds / 4))
        milliseconds = [1000 * reply.seconds for reply in kept]
        return {
            "requests": len(kept),
            "swap s, entry to first answer": [round(swap, 2) for swap in swaps],
            **{f"p{of} ms": round(float(np.percentile(milliseconds, of)), 2) for of in (50, 95, 99, 100)},
            "MB after a minute or a quarter": early,
            "MB at the end": self.memory[-1][1],
            "MB at most": max(megabytes for _, megabytes in self.memory),
        }


def expected(model: Path, files: Sequence[Path]) -> list[np.ndarray]:
    """The probabilities of each picture by the file's own session."""
    session = open_session(model)
    images = [decode(file.read_bytes()).square(session.side, session.framing) for file in files]
    return [session.answer(image[None])[0][0] for image in images]


def processor(pid: int) -> float:
    """Seconds of the processors that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def sample(page: str, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = [line for line in page.splitlines() if line.partition(" ")[0].partition("{")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
