"""Addresses and limits, read once from the environment; and what must be in it before heavy imports."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from vgg16 import shown
from vgg16.config import project_file
from vgg16.errors import RequestError
from vgg16.storage import addresses, urls
from vgg16.workplace import foreign, stack_file

HOME = ".vgg16"
_PROFILES = Path("~/.prefect/profiles.toml")
_S3_SERVERS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

# The variables of ours that a person sets, and what each means. The reference of the docs is made of these two tables.
VARIABLES = {
    "VGG16_HOME": "the home; else the nearest `.vgg16` upward from the working folder, else a new one beside the "
    "nearest `vgg16.toml` upward, else a new one there",
    "VGG16_STORE": "where data, checkpoints, Data Docs and ledgers are: a folder or `s3://bucket/prefix`; else the "
    "home's `store`",
    "VGG16_TRAIN_ON": "`inline`, the default: a run trains by itself; `pool`: it sends each training to the workers of "
    "the pool `gpu` and waits for them",
    "VGG16_CHECKPOINT_MINUTES": "how often a checkpoint is written mid-epoch, 5 by default; at an epoch's end always, "
    "where that costs less than a twentieth",
    "VGG16_DASK": "the scheduler of a Dask cluster, `tls://HOST:PORT`, that reads the pictures of `data add` and "
    "answers those of `score`; else this machine does",
    "VGG16_MOVED_BY_HAND": "what becomes of a stage or alias that somebody moved in MLflow: `undo`, the default, or "
    "`adopt` into the ledger",
    "VGG16_SERVE_TOKEN": "read by `vgg16 serve`, and by `status` and `doctor`, which ask it: what each request must "
    "have as `Authorization: Bearer TOKEN`, 16 characters or more",
    "VGG16_WEBHOOK": "read by `python -m vgg16.flows.deploy` and `vgg16 up`: the address that is told of failures, "
    'promotions, rollbacks, moves by hand, models that got worse and pictures that drift, as `{"text": ...}`',
}
# Those of others that we honour.
HONOURED = {
    "PREFECT_API_URL": "the Prefect server that shows the flows; Prefect's profiles and the files that it reads in the "
    "working folder (`.env`, `prefect.toml`, `pyproject.toml`) name one too",
    "PREFECT_API_AUTH_STRING": "its `user:password`",
    "MLFLOW_TRACKING_URI": "the MLflow server or database that keeps runs and models; else the home's `mlflow.db`",
    "MLFLOW_TRACKING_USERNAME": "its user; `MLFLOW_TRACKING_PASSWORD` and `MLFLOW_TRACKING_TOKEN` belong to it",
    "AWS_ENDPOINT_URL_S3": "the S3 server, where it is not Amazon's; keys and `AWS_PROFILE` as boto3 reads them",
    "NO_COLOR": "of any value: no colours; where `TERM` is `dumb`, neither colours nor bars",
    "PROJECT_DIR": "the folder that the runs of a Prefect worker work in; else where the worker was started",
}


@dataclass(frozen=True)
class Settings:
    """Where everything is. `artifacts` is None where an MLflow server keeps the files itself; `train_on` says whether
    `retrain` trains by itself or sends each experiment to the work pool `gpu`; `checkpoint_minutes` is how long an
    epoch goes on without a checkpoint; `moved_by_hand` what becomes of a stage or alias that somebody moved in MLflow;
    `dask` is the address of the scheduler of a Dask cluster, "" for none; `supplied` are the variables that the home's
    own stack adds to the environment, secrets among them; `logins` those that say apart from a server's address what
    stood in it, user and password: MLflow and boto3 write the address into their errors and pages."""

    home: Path
    store: str
    tracking_uri: str
    artifacts: Path | None
    train_on: Literal["inline", "pool"]
    checkpoint_minutes: float
    moved_by_hand: Literal["undo", "adopt"]
    dask: str = ""
    supplied: dict[str, str] = field(default_factory=dict, repr=False)
    logins: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def owns_database(self) -> bool:
        """Whether runs and models are in the home's own `mlflow.db`."""
        return self.tracking_uri == addresses.sqlite(self.home / "mlflow.db")


@cache
def load() -> Settings:
    """Read the environment. Writes nothing."""
    foreign.check_ours(os.environ, VARIABLES)
    home = _home()
    supplied = _supplied(home)
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or supplied.get("MLFLOW_TRACKING_URI", "")
    _check_tracking_uri(tracking_uri)
    for name in (*_S3_SERVERS, "VGG16_WEBHOOK"):
        if address := os.environ.get(name):
            urls.server(name, address)
    logins = _logins(tracking_uri)
    tracking_uri = logins.get("MLFLOW_TRACKING_URI", tracking_uri)
    _check_store(os.environ.get("VGG16_STORE", ""))
    train_on = os.environ.get("VGG16_TRAIN_ON") or "inline"
    if train_on not in ("inline", "pool"):
        raise RequestError(f"VGG16_TRAIN_ON: expected inline or pool, found {train_on!r}.")
    moved_by_hand = os.environ.get("VGG16_MOVED_BY_HAND") or "undo"
    if moved_by_hand not in ("undo", "adopt"):
        raise RequestError(f"VGG16_MOVED_BY_HAND: expected undo or adopt, found {moved_by_hand!r}.")
    minutes = os.environ.get("VGG16_CHECKPOINT_MINUTES") or "5"
    try:
        checkpoint_minutes = float(minutes)
    except ValueError:
        checkpoint_minutes = -1.0
    if not 0 <= checkpoint_minutes < math.inf:
        raise RequestError(f"VGG16_CHECKPOINT_MINUTES: expected minutes, 0 or more, found {minutes!r}.")
    return Settings(
        home=home,
        store=os.environ.get("VGG16_STORE") or supplied.get("VGG16_STORE") or str(home / "store"),
        tracking_uri=tracking_uri or addresses.sqlite(home / "mlflow.db"),
        artifacts=None if tracking_uri.startswith(("http://", "https://")) else home / "mlflow",
        train_on="pool" if train_on == "pool" else "inline",
        checkpoint_minutes=checkpoint_minutes,
        moved_by_hand="adopt" if moved_by_hand == "adopt" else "undo",
        dask=_dask(),
        supplied=supplied,
        logins=logins,
    )


def _dask() -> str:
    """The address of a cluster's scheduler, which is trusted with passwords: what goes there is encrypted."""
    address = os.environ.get("VGG16_DASK", "")
    parts = urls.split("VGG16_DASK", address)
    if address and not (
        (parts.scheme == "tls" and parts.hostname) or (parts.scheme == "tcp" and parts.hostname in ("127.0.0.1", "::1"))
    ):
        raise RequestError(
            f"VGG16_DASK: expected tls://HOST:PORT, found {shown.address(address)!r}.",
            "What is sent to a cluster is not encrypted otherwise; on this machine tcp://127.0.0.1:PORT will do.",
        )
    return address


def apply() -> Settings:
    """Set what libraries read when they are imported, and set aside, with a word, what would lead them elsewhere.
    Writes no file. Raises RequestError for a proxy that is none."""
    settings = load()
    _set_others_aside()
    os.environ.update(settings.supplied | settings.logins)
    for name, value in _environment(settings).items():
        os.environ.setdefault(name, value)
    return settings


@cache
def _set_others_aside() -> None:
    foreign.warn(foreign.set_aside(os.environ))
    foreign.ask_loopback_directly(os.environ)


def _supplied(home: Path) -> dict[str, str]:
    """The variables of the home's stack while it is up; what the environment says wins.

    Store, endpoint and keys belong together, and a server and its password: all of them are the stack's, or none.
    """
    stack = stack_file.read(home)
    if not stack.get("up"):
        return {}
    variables: dict[str, str] = stack["variables"]
    own: tuple[str, ...] = ()
    if os.environ.get("PREFECT_PROFILE") or _is_elsewhere("PREFECT_API_URL", variables):
        own += ("PREFECT_API_",)
    if _is_elsewhere("MLFLOW_TRACKING_URI", variables):
        own += ("MLFLOW_TRACKING_",)
    if os.environ.get("VGG16_STORE") or os.environ.get("AWS_ENDPOINT_URL_S3"):
        own += ("AWS_", "VGG16_STORE")
    return {name: value for name, value in variables.items() if not name.startswith(own)}


def _is_elsewhere(name: str, variables: Mapping[str, str]) -> bool:
    """Whether the environment leads to another server than the stack's."""
    address = os.environ.get(name, "").replace("://localhost:", "://127.0.0.1:").rstrip("/")
    return address not in ("", variables.get(name))


def _environment(settings: Settings) -> dict[str, str]:
    return {
        # It makes its folder when it is imported: in the person's only where there is something of theirs.
        **({} if _PROFILES.expanduser().is_file() else {"PREFECT_HOME": str(settings.home / "prefect")}),
        "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow leaves it off on many CPUs, where it trains four times as fast
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_HOME": str(settings.home / "keras"),
        "MPLCONFIGDIR": str(settings.home / "matplotlib"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # half a minute; its own seven tries are four minutes of silence
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",  # CPU, memory, disk and network of training runs
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_CLIENT_MAX_RETRIES": "7",  # four minutes: a server that restarts stops no run
    }


def _check_tracking_uri(address: str) -> None:
    scheme = urls.split("MLFLOW_TRACKING_URI", address).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        urls.server("MLFLOW_TRACKING_URI", address)
    # A folder of files is what MLflow itself takes only where it is asked to.
    elif address and scheme not in _DATABASES and not os.environ.get("MLFLOW_ALLOW_FILE_STORE"):
        safe = shown.address(address)
        near = "" if "/" in safe.partition("://")[0] else f" Did you mean http://{safe.rpartition('://')[2]}?"
        raise RequestError(
            f"MLFLOW_TRACKING_URI: expected a server or a database, found {safe!r}.",
            f"http://HOST:PORT, sqlite:////PATH or postgresql://USER:PASSWORD@HOST/NAME.{near}",
        )


def _logins(tracking_uri: str) -> dict[str, str]:
    """The variables that name a server's address without the login in it, and MLflow's login beside; of a database it
    stays where it is."""
    given = {name: os.environ.get(name, "") for name in _S3_SERVERS}
    # S3's clients send no login, but keys.
    apart = {name: urls.without_login(address)[0] for name, address in given.items()}
    server, user, password = urls.without_login(tracking_uri) if tracking_uri.startswith("http") else ("", "", "")
    if user:
        apart["MLFLOW_TRACKING_URI"] = server
        apart |= {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
    return {name: value for name, value in apart.items() if value != given.get(name)}


def _check_store(address: str) -> None:
    if "://" not in address:
        _expanded("VGG16_STORE", address)
    elif address.startswith("s3://") and not re.fullmatch(r"[\w.-]+", address.split("/")[2], re.ASCII):
        raise RequestError(f"VGG16_STORE: {shown.address(address)!r} names no bucket.", "Expected s3://bucket/prefix.")


def _expanded(name: str, folder: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError:
        raise RequestError(
            f"{name}: {folder!r} begins with the home of a user that there is not.", "Name the folder in full."
        ) from None


def _home() -> Path:
    named = os.environ.get("VGG16_HOME")
    if named:
        return _expanded("VGG16_HOME", named)
    here = Path.cwd()
    there = next((folder / HOME for folder in (here, *here.parents) if (folder / HOME).is_dir()), None)
    ours = project_file.find()
    return there or (ours.parent if ours and not project_file.obstacle(ours) else here) / HOME


def as_link(address: str) -> str:
    """An address as a browser takes it; a page of a server may show a file's, but opens it only when it is copied."""
    return address if "://" in address else Path(address).as_uri()
