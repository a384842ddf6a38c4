"""What is reachable, missing or broken, and the mend: a table of checks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import requires, version

from flows import settings
from vgg16.config import Frozen
from vgg16.errors import Vgg16Error


class Check(Frozen):
    """One check's answer; `detail` says what was found and, where it is not ok, the mend."""

    name: str
    ok: bool
    detail: str


def python() -> str:
    """The interpreter is one that the lock was made for."""
    found = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Vgg16Error(f"Python {found}, expected 3.11 to 3.13.", "Remove .venv and run make with PYTHON=python3.12.")
    return f"Python {found} in {sys.prefix}"


def packages() -> str:
    """The installed packages are those that this version was made for."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in requires("vgg16") or []]
    wrong = [
        f"{each.name} {version(each.name)} (expected {each.specifier})"
        for each in wanted
        if each.marker is None and not each.specifier.contains(version(each.name))
    ]
    if wrong:
        raise Vgg16Error(f"{', '.join(wrong)}.", "Install from the lock: make setup")
    shown = ("prefect", "mlflow", "tensorflow", "keras", "great-expectations")
    return ", ".join(f"{name} {version(name)}" for name in shown)


def home() -> str:
    """The home can be written to."""
    known = settings.prepare()
    free = shutil.disk_usage(known.home).free / 1e9
    return f"{known.home} ({free:.1f} GB free)"


def store() -> str:
    """The store answers."""
    from flows.tasks import open_store

    opened = open_store()
    return f"{opened.address} ({len(opened.keys('ledger/'))} ledger entries)"


def tensorflow() -> str:
    """TensorFlow is there, its fast kernels are on, and which devices it sees."""
    settings.import_tensorflow()
    import tensorflow as tf

    from vgg16.devices import fastest

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    fast = os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    device = ", ".join(gpus) or f"no GPU, {os.cpu_count()} CPU cores"
    return f"{device}; oneDNN {'on' if fast else 'off'}; precision=auto is {fastest('auto')}"


def mlflow() -> str:
    """The tracking server or database answers."""
    from flows.tasks import open_registry

    known = settings.load()
    if known.artifacts is None:
        settings.reach(known.tracking_uri, "MLflow", "MLFLOW_TRACKING_URI")
    return f"{known.tracking_uri} ({len(open_registry().names())} registered models)"


def prefect() -> str:
    """The Prefect server answers; without one, flows run in this process."""
    if not settings.load().prefect_server:
        return "no server named: flows run in this process"
    from prefect.settings import PREFECT_API_URL

    settings.reach(PREFECT_API_URL.value() or "", "Prefect", "PREFECT_API_URL")
    return str(PREFECT_API_URL.value())


def stages() -> str:
    """Every registered model has in production what its ledger says."""
    from flows.tasks import open_registry, open_store
    from vgg16 import ledger

    registry, store = open_registry(), open_store()
    wrong = []
    for name in registry.names():
        said = ledger.productions(ledger.entries(store, name))[-1:]
        versions = registry.versions(name)
        found = [each.version for each in versions if each.stage == "Production"]
        decides = registry.ledger_address(name)
        if decides not in ("", store.address):
            wrong.append(f"{name}: its ledger is in {decides}, set VGG16_STORE to it")
        elif said and said[0] not in [each.version for each in versions]:
            wrong.append(f"{name}: version {said[0]}, in production, was deleted in MLflow; promote or roll back")
        elif said != found:
            mend = "the next promote, rollback or run puts that back"
            wrong.append(
                f"{name}: in production is {said or 'none'} by the ledger, {found or 'none'} in MLflow; {mend}"
            )
    if wrong:
        raise Vgg16Error(f"{'; '.join(wrong)}.")
    return "every model has in production what its ledger says"


CHECKS: tuple[Callable[[], str], ...] = (python, packages, home, store, tensorflow, mlflow, prefect, stages)


def checks() -> list[Check]:
    """Every check's answer; one that fails keeps no other from being made."""
    return [_answer(check) for check in CHECKS]


def _answer(check: Callable[[], str]) -> Check:
    try:
        return Check(name=check.__name__, ok=True, detail=check())
    except Exception as error:
        return Check(name=check.__name__, ok=False, detail=str(error))
