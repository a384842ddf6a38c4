"""Whether the home can be written to and the servers answer, asked before their clients would try for minutes."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

import httpx

from vgg16 import shown
from vgg16.errors import Vgg16Error
from vgg16.storage import files
from vgg16.workplace import scratch, stack_file
from vgg16.workplace.settings import Settings, apply

# A run of the digits writes about 60 MB; with less than this a disk is as good as full.
FREE_BYTES = 200_000_000
# What names the servers of the home's own stack.
STACK = "this home's stack"


def prepare(*, writes: bool = True, reads: bool = True) -> Settings:
    """Apply, make the home, and refuse a full or read-only home for what `writes`, and for what `reads` what is kept a
    home whose data are behind a stack that is down, and a silent server. Prefect's server is of no concern here:
    `workplace.prefect` is for what starts flows."""
    settings = apply()
    if reads:
        stack_file.check(settings.home)
    _check_home(settings.home, writes)
    with suppress(OSError):  # a home that is only read
        scratch.work_below(settings.home)
    if not reads:
        return settings
    if settings.artifacts is None:
        reach(settings.tracking_uri, "MLflow", _named_by("MLFLOW_TRACKING_URI", settings))
    if "AWS_ENDPOINT_URL_S3" in settings.supplied:
        reach(settings.supplied["AWS_ENDPOINT_URL_S3"], "S3", STACK)
    return settings


def _named_by(variable: str, settings: Settings) -> str:
    return STACK if variable in settings.supplied else variable


def reach(address: str, what: str, named_by: str) -> None:
    """Raises Vgg16Error where the server at this address does not answer, or does not let us in, before its client
    would try for minutes. `named_by` is the variable, file or profile that names it, or STACK."""
    page, secrets = _CLOSED_PAGES[what]
    server = f"The {what} server at {shown.address(address)}" + ("" if named_by == STACK else f", named by {named_by},")
    try:
        answer = httpx.get(f"{address.rstrip('/')}/{page}", headers=login(what), timeout=5)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # certificates that are no file, too
        ours = "This home's stack has it: `vgg16 up` starts it again, `vgg16 down` goes without."
        raise Vgg16Error(
            f"{server} does not answer: {error}.",
            ours if named_by == STACK else f"Start it, or correct or unset {named_by}.",
        ) from None
    if answer.status_code == 401:
        raise Vgg16Error(f"{server} refuses the user name or the password.", f"Set {secrets}.")
    if answer.status_code == 403 and "Invalid Host" in answer.text:
        raise Vgg16Error(
            f"{server} does not answer to that name.",
            "Correct the address, or start the server with that name among its --allowed-hosts.",
        )


# The health pages are open to all; these are closed to whoever is not let in.
_CLOSED_PAGES = {
    "MLflow": (
        "api/2.0/mlflow/experiments/get?experiment_id=0",
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    "Prefect": ("version", "PREFECT_API_AUTH_STRING=NAME:PASSWORD"),
    "S3": ("", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
}


def login(what: str) -> dict[str, str]:
    """The header that the client of "MLflow", "Prefect" or "S3" would send; S3's signs each request, and any answer of
    the server will do."""
    if what == "S3":
        return {}
    if what == "MLflow":
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        name, password = _mlflow_login()
        basic = f"{name}:{password}" if name else ""
    else:
        from prefect.settings import get_current_settings

        api = get_current_settings().api
        token = api.key.get_secret_value() if api.key else ""
        basic = api.auth_string.get_secret_value() if api.auth_string else ""
    if basic:
        return {"Authorization": f"Basic {b64encode(basic.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _mlflow_login() -> tuple[str, str]:
    """MLflow's user name and password: the variables, else the file that `mlflow login` writes."""
    file = ConfigParser()
    file.read(Path("~/.mlflow/credentials").expanduser())

    def one(name: str) -> str:
        return os.environ.get(name.upper()) or file.get("mlflow", name, fallback="") or ""

    return one("mlflow_tracking_username"), one("mlflow_tracking_password")


def _check_home(home: Path, writes: bool) -> None:
    try:
        files.private_folder(home)
        if not writes:
            return
        probe = home / f".probe-{os.getpid()}"
        probe.write_bytes(b"vgg16")
        probe.unlink()
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise Vgg16Error(
            f"The home {home} cannot be written to: {error.strerror}.", "Choose another home with VGG16_HOME=FOLDER."
        ) from None
    if free < FREE_BYTES:
        raise Vgg16Error(
            f"The home {home} is on a full disk: expected {FREE_BYTES // 10**6} MB free, found {free // 10**6} MB.",
            "Free some, or choose another home with VGG16_HOME=FOLDER.",
        )
