"""What identifies a chain and the code that ran it, and how a chain of the same data, code and settings ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError

from vgg16.config import canonical
from vgg16.config.types import Experiment, Frozen
from vgg16.records import DatasetRef, TrackedRun
from vgg16.storage.store import ExistsError, Store
from vgg16.workplace import installation
from vgg16.workplace.workplace import Workplace


class Begun(Frozen):
    """A chain that has no verdict yet, and when it began."""

    chain: str
    at: str


def request_digest(experiments: Sequence[Experiment], dataset: DatasetRef) -> str:
    """What a chain was asked for: its experiments with all settings, and the data's content. 32 hex digits."""
    return _requested(experiments, dataset).hexdigest()[:32]


def chain_digest(experiments: Sequence[Experiment], dataset: DatasetRef) -> str:
    """What identifies a chain: its request, this code and its packages."""
    digest = _requested(experiments, dataset)
    package = installation.PACKAGE
    # In a checkout the flows are a link, which is not followed from above. Rows are TOML.
    code = {
        file for folder in (package, package / "flows") for kind in ("*.py", "*.toml") for file in folder.rglob(kind)
    }
    for file in sorted(code):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    for library in ("tensorflow", "keras", "numpy"):
        digest.update(version(library).encode())
    return digest.hexdigest()[:32]


def _requested(experiments: Sequence[Experiment], dataset: DatasetRef) -> hashlib._Hash:
    digest = hashlib.sha256(dataset.digest.encode())
    for experiment in experiments:
        digest.update(canonical.experiment_json(experiment).encode())
    return digest


def begin(request: str, chain: str, fresh: bool, workplace: Workplace) -> str:
    """The chain that works on a request from now on: the one that began it and came to no end, whose trained members
    are not trained again, else `chain`; always that where it is to be `fresh`."""
    store, key = workplace.store, _begun_key(request)
    if fresh:
        store.delete(key)
    mine = Begun(chain=chain, at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
    try:
        store.create(key, mine.model_dump_json().encode())
    except ExistsError:
        begun = _begun(store, key) or mine
        if begun.chain != chain:
            workplace.say(f"chain       goes on with what was begun on {begun.at} and has no verdict yet")
        return begun.chain
    return chain


def _begun(store: Store, key: str) -> Begun | None:
    """What was begun, None where it came to its end meanwhile or its note is damaged."""
    try:
        return Begun.model_validate_json(store.read(key) or b"")
    except ValidationError:
        return None


def end(store: Store, request: str) -> None:
    """A chain of this request came to an end: the same request is another chain from now on."""
    store.delete(_begun_key(request))


def _begun_key(request: str) -> str:
    return f"chains/begun/{request}.json"


def earlier_end(store: Store, digest: str) -> str:
    """How and when a chain of this digest ended, "" where none did."""
    content = store.read(f"chains/{digest}.json")
    try:
        return str(json.loads(content)["ended"]) if content else ""
    except (ValueError, TypeError, KeyError):  # damaged: it is done again, and kept again
        store.delete(f"chains/{digest}.json")
        return ""


def keep_end(store: Store, digest: str, ended: str) -> None:
    """Keep how a chain of this digest ended; the first time counts."""
    with contextlib.suppress(ExistsError):
        store.create(f"chains/{digest}.json", json.dumps({"ended": ended}).encode())


def run_answer(run: TrackedRun) -> dict[str, Any]:
    """A run as commands answer it."""
    return {
        "experiment": run.experiment,
        "run_id": run.run_id,
        "model": {"name": run.model.name, "version": run.model.version} if run.model else None,
        "metrics": run.metrics,
        "status": run.status,
        "cause": run.cause,
    }


def code_tags() -> dict[str, str]:
    """The tags of a run that name this code: the package's version, and the commit where it is a checkout."""
    commit = _commit()
    return {"vgg16.version": version("vgg16")} | ({"vgg16.commit": commit} if commit else {})


def _commit() -> str:
    """The commit of the checkout, "" where there is none."""
    answer = git("describe", "--always", "--dirty")
    return answer.stdout.strip() if answer else ""


def git(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """What git answers of the checkout, None where there is none: not of a repository that other folders are in."""
    checkout = installation.checkout()
    if not (checkout and (checkout / ".git").exists() and shutil.which("git")):
        return None
    # Those that git gives its hooks would lead to the repository that these belong to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
