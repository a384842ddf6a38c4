"""What is reachable, missing or broken, and the fix: a table of checks.

A check imports its own framework itself: where that cannot be imported, no other check fails.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import requires, version
from typing import Any

import click
import httpx
from packaging.requirements import Requirement

from vgg16.cli import prepare
from vgg16.cli import services as of_models
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import servers as show_servers
from vgg16.config import project as project_file
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Frozen, GateRules
from vgg16.errors import Vgg16Error
from vgg16.exports import formats
from vgg16.flows import progress
from vgg16.promotion import reconcile, soundness
from vgg16.stack.leftovers import sweep
from vgg16.steps.exporting import promoted
from vgg16.storage import probing
from vgg16.workplace import installation, reach, settings
from vgg16.workplace.tensorflow import import_tensorflow
from vgg16.workplace.workplace import open_workplace


class Check(Frozen):
    """One check's result; `detail` says what was seen and, where it is not ok, the fix."""

    name: str
    ok: bool
    detail: str


def python() -> str:
    """The interpreter is one that the lock was made for."""
    here = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Vgg16Error(f"Python {here}, expected 3.11 to 3.13.", "Remove .venv and run make with PYTHON=python3.12.")
    return f"Python {here} in {sys.prefix}"


def packages() -> str:
    """The installed packages are those that this version was made for, and those that a promotion needs are there."""
    wanted = [Requirement(text) for text in requires("vgg16") or []]
    wrong = [
        f"{package.name} {version(package.name)} (expected {package.specifier})"
        for package in wanted
        if package.marker is None and not package.specifier.contains(version(package.name))
    ]
    if wrong:
        install = "from the lock: make setup" if installation.checkout() else "the wheel again, with its dependencies."
        raise Vgg16Error(f"{', '.join(wrong)}.", f"Install {install}")
    promoted.check_possible([GateRules()])
    frameworks = ("prefect", "mlflow", "tensorflow", "keras", "great-expectations")
    return ", ".join(f"{name} {version(name)}" for name in frameworks)


def exports() -> str:
    """What makes and proves exported files is there: no promotion is without one."""
    formats.check_installed(formats.FORMATS.values())
    names = sorted({name.replace("_", "-") for row in formats.FORMATS.values() for name in row.packages})
    return ", ".join(f"{name} {version(name)}" for name in names)


def home() -> str:
    """The home can be written to; what is said of one that other accounts may enter, as earlier versions made it."""
    folder = reach.prepare().home
    free = shutil.disk_usage(folder).free / 1e9
    open_to_others = folder.stat().st_mode & 0o007
    close = f"; other accounts of this machine may enter it: chmod 700 {shlex.quote(str(folder))}"
    return f"{folder} ({free:.1f} GB free){close if open_to_others else ''}"


def project() -> str:
    """The project file, where there is one, can be read."""
    ours = project_file.load()
    if ours.path is None:
        return ours.note or "no vgg16.toml: the shipped experiments"
    own = [name for name in ours.catalog.experiments if name not in SHIPPED.experiments]
    return f"{ours.path} ({', '.join(own) or 'no experiments'})"


def store() -> str:
    """The store answers, and lets one of several writers win."""
    store = open_workplace().store
    probing.check(store)
    return f"{store.address} ({len(store.keys('ledger/'))} ledger entries)"


def tensorflow() -> str:
    """TensorFlow is there, its fast kernels are on, and which devices it sees."""
    import_tensorflow()
    import tensorflow as tf

    from vgg16.training.devices import fastest

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    fast = os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    device = ", ".join(gpus) or f"no GPU, {os.cpu_count()} CPU cores"
    return f"{device}; oneDNN {'on' if fast else 'off'}; precision=auto is {fastest('auto')}"


def mlflow() -> str:
    """The tracking server or database answers."""
    uri = settings.load().tracking_uri
    if settings.load().artifacts is None:
        reach.prepare(writes=False)
    return f"{uri} ({len(open_workplace().tracker.registry.names())} registered models)"


def prefect() -> str:
    """The Prefect server answers; without one, flows run in this process."""
    server = prepare.prefect_server()
    return f"{server.address} ({server.named_by})" if server else "no server named: flows run in this process"


def leftovers() -> str:
    """No temporary server is there whose run was killed: those that are, end here."""
    ended = sweep(settings.load().home)
    return f"{ended} temporary servers of killed runs: ended" if ended else "nothing is left of killed runs"


def servers() -> str:
    """The servers are of the versions that this code was made for."""
    named = settings.load()
    versions = []
    if named.artifacts is None:
        page = f"{named.tracking_uri.rstrip('/')}/version"
        versions.append(("mlflow", httpx.get(page, headers=reach.login("MLflow"), timeout=5).text.strip()))
    if prepare.prefect_server():
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            versions.append(("prefect", client.request("GET", "/admin/version").json()))
    other = [f"{name} {there}, here {version(name)}" for name, there in versions if not _alike(there, version(name))]
    if other:
        raise Vgg16Error(f"{'; '.join(other)}.", "Bring server and client to the same minor version.")
    return ", ".join(f"{name} {there}" for name, there in versions) or "none named"


def _prefect() -> Any:
    """What asks Prefect's server, which reads its address when it is imported."""
    from vgg16.flows import server

    return server


def services() -> str:
    """Every service of a model answers with what is in production."""
    workplace = open_workplace()
    return of_models.check(workplace.home, workplace.store)


def workers() -> str:
    """Every work pool of ours has a worker, and no run waits for one."""
    if not prepare.prefect_server():
        return "none needed: no Prefect server is named"
    server = _prefect()
    pools = server.workers()
    idle = [f"{pool} has no worker" for pool, online in pools.items() if not online]
    late = server.late()
    if idle or late:
        problems = [*idle, *(f"{name} has waited since {when}" for name, when in late)]
        raise Vgg16Error(f"{'; '.join(problems)}.", "Start one on any machine: prefect worker start --pool POOL")
    online_pools = ", ".join(f"{pool}: {', '.join(online)}" for pool, online in pools.items())
    return online_pools or "no pools; make them: python -m vgg16.flows.deploy"


def runs() -> str:
    """No flow run is called running that has fallen silent, and no slot is held by a run that has ended."""
    if not prepare.prefect_server():
        return "no Prefect server is named"
    stale = _prefect().stale_slots()
    if stale:
        problems = [f"{name} holds {held} of {limit} for {used} running" for name, held, limit, used in stale]
        fix = "It is freed by itself within five minutes, or by: prefect gcl update NAME --active-slots 0"
        raise Vgg16Error(f"{'; '.join(problems)}.", fix)
    return "every slot belongs to a run"


def trainings() -> str:
    """No training was left: none without an owner in the store, none called running in MLflow."""
    from vgg16.training import checkpoints

    workplace = open_workplace()
    store = workplace.store
    kept = checkpoints.unfinished(store)
    logged = {training.request: checkpoints.noted_run(store, training.request) for training in kept}
    left = [
        f"run {logged[training.request][:8] or '(none)'} stopped after epoch {training.epochs} and keeps "
        f"{training.bytes / 1e6:.0f} MB in {store.address}/checkpoints/{training.request}"
        for training in kept
        if training.lapsed
    ]
    running = workplace.tracker.runs.running()
    left += [
        f"{name} is called running, and nobody trains it" for run, name in running.items() if run not in logged.values()
    ]
    if left:
        raise Vgg16Error(
            f"{'; '.join(left)}.",
            "The same `vgg16 run` goes on with it; or remove that folder, and end the run in MLflow.",
        )
    return ", ".join(f"{training.owner} trains" for training in kept) or "none is unfinished"


def _alike(there: str, here: str) -> bool:
    return there.split(".")[:2] == here.split(".")[:2]


def stages() -> str:
    """Every registered model has in production what its ledger says."""
    workplace = open_workplace()
    registry, by_hand = workplace.tracker.registry, workplace.settings.moved_by_hand
    models = (reconcile.trouble(registry, workplace.store, name, by_hand) for name in registry.names())
    if problems := [problem for problem in models if problem]:
        raise Vgg16Error(f"{'; '.join(problems)}.")
    return "every model has in production what its ledger says"


def models() -> str:
    """What is in production, or waits for it, is what was logged and promoted, and its proven files are there."""
    workplace = open_workplace()
    registry = workplace.tracker.registry
    looks = [soundness.look(registry, workplace.store, name) for name in registry.names()]
    looks += [promoted.look(workplace.store, name) for name in registry.names()]
    if problems := [problem for each, _ in looks for problem in each]:
        raise Vgg16Error("; ".join(problems))
    notes = [note for _, each in looks for note in each]
    sound = (
        "every version in production or Staging is what was logged, and the files that are proven are there; vgg16 "
        "verify NAME follows one to its data"
    )
    return "; ".join(notes) or sound


CHECKS: tuple[Callable[[], str], ...] = (
    python,
    packages,
    exports,
    home,
    project,
    store,
    tensorflow,
    mlflow,
    prefect,
    leftovers,
    servers,
    services,
    workers,
    runs,
    trainings,
    stages,
    models,
)


def checks(say: Callable[[str], None]) -> list[Check]:
    """Every check's result, said before it is made; one that fails keeps no other from being made."""
    return [_result(check, say) for check in CHECKS]


def _result(check: Callable[[], str], say: Callable[[str], None]) -> Check:
    say(f"checking {check.__name__}")
    try:
        return Check(name=check.__name__, ok=True, detail=check())
    except Exception as error:
        return Check(name=check.__name__, ok=False, detail=" ".join(str(error).split()))


@click.command()
@answers(show_servers.checks, refused=show_servers.checks)
def doctor() -> Answer:
    """What is reachable, missing or broken, and the fix."""
    with progress.working("checking") as say:
        made = [check.model_dump() for check in checks(say)]
    broken = [check["name"] for check in made if not check["ok"]]
    if broken:
        raise Vgg16Error(f"{len(broken)} of {len(made)} checks failed: {', '.join(broken)}.", "", {"checks": made})
    return {"checks": made}
