"""The Prefect server that flows report to: asked of Prefect's own settings, which read variables, files of the working
folder and profiles; and a home without one. Only what starts flows, or asks how they went, needs to know: importing
this imports Prefect, which has to find what `settings.apply` sets."""

from __future__ import annotations

import os
import secrets
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dotenv

from vgg16.errors import RequestError
from vgg16.quiet import muted
from vgg16.storage import addresses, urls
from vgg16.workplace import foreign, reach
from vgg16.workplace.settings import Settings, apply

URL = "PREFECT_API_URL"


def _unreadable(error: Exception) -> RequestError:
    """What Prefect says of its settings, without the values, which may be secrets."""
    urls.server(URL, os.environ.get(URL) or "http://127.0.0.1")
    lines = [line.partition("[type=")[0].strip() for line in str(error).splitlines() if "pydantic.dev" not in line]
    return RequestError(
        f"Prefect cannot read its settings: {' '.join(lines)}.",
        "They are the variables that begin with PREFECT_, the files .env, prefect.toml and pyproject.toml of the "
        "working folder, and its profiles.",
    )


try:
    with muted(2):  # of wrong settings it prints the values
        from prefect.context import refresh_global_settings_context
        from prefect.settings import Settings as PrefectSettings
        from prefect.settings import load_profiles
except (OSError, ValueError) as refused:  # pydantic's and TOML's are ValueErrors
    raise _unreadable(refused) from None

# What a person may say to Prefect's client in a home without a server; the rest is of servers, or leads to one.
_OF_THE_CLIENT = (
    *("PREFECT_HOME", "PREFECT_DEBUG_MODE", "PREFECT_API_REQUEST_TIMEOUT"),
    *("PREFECT_LOGGING_", "PREFECT_CLIENT_", "PREFECT_INTERNAL_", "PREFECT_TELEMETRY_", "PREFECT_TASKS_RUNNER_"),
    *("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "PREFECT__"),
)


@dataclass(frozen=True)
class NamedServer:
    """A server's address, and what names it, for a person who has to change that."""

    address: str
    named_by: str


@cache
def named() -> NamedServer | None:
    """The Prefect server that this process's settings name, None for none. Raises RequestError for settings that
    Prefect cannot read, a profile that there is not, and an address that is none."""
    settings = apply()
    try:
        address, profiles = PrefectSettings().api.url, load_profiles()
    except (OSError, ValueError) as error:
        raise _unreadable(error) from None
    profile = os.environ.get("PREFECT_PROFILE") or profiles.active_name or ""
    if profile and profile not in profiles.names:
        raise RequestError(f"Prefect has no profile {profile!r}.", f"There are: {', '.join(profiles.names)}.")
    if not address:
        return None
    server = NamedServer(address, _named_by(settings, profile))
    urls.server(server.named_by, address)
    return server


def _named_by(settings: Settings, profile: str) -> str:
    """What names the server, in Prefect's order: a variable, a file, or a profile in a file."""
    if own := os.environ.get(URL):
        return reach.STACK if settings.supplied.get(URL) == own else URL
    here = Path.cwd()
    if dotenv.dotenv_values(".env").get(URL):
        return f"{URL} in {here / '.env'}"
    for file, table in (("prefect.toml", ("api",)), ("pyproject.toml", ("tool", "prefect", "api"))):
        if _names_one(Path(file), table):
            return f"[{'.'.join(table)}] url in {here / file}"
    return f"{URL} of the profile {profile} in {PrefectSettings().profiles_path}"


def _names_one(path: Path, table: tuple[str, ...]) -> bool:
    try:
        values: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return False
    for key in table:
        values = values.get(key, {})
    return "url" in values


@cache
def prepare() -> NamedServer | None:
    """Be ready to import Prefect and start a flow: a server that is named answers; without one, nothing that is meant
    for another leads this home's temporary server elsewhere. Raises as `named`, and Vgg16Error for a silent server."""
    settings, server = apply(), named()
    if server:
        reach.reach(server.address, "Prefect", server.named_by)
        return server
    if settings.train_on == "pool":
        raise RequestError(
            "VGG16_TRAIN_ON=pool sends training to the workers of a Prefect server, but none is named.",
            f"Set {URL}, or start one with `vgg16 up`.",
        )
    # A profile that names no server has nothing for us, and is not in this home's file.
    os.environ.pop("PREFECT_PROFILE", None)
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    ours = _temporary(Path(os.environ["PREFECT_HOME"]))
    others = [name for name in os.environ if name.startswith("PREFECT_") and not name.startswith(_OF_THE_CLIENT)]
    foreign.warn([name for name in others if os.environ[name] not in ("", ours.get(name))])
    for name in others:
        del os.environ[name]
    os.environ.update(ours)
    # It has read the variables when it was imported.
    refresh_global_settings_context()
    return None


def _temporary(folder: Path) -> dict[str, str]:
    """What a flow with a temporary server needs, whatever the files of the working folder say."""
    # Prefect would take a question mark for the end of its database's path.
    database = addresses.sqlite(folder / "prefect.db", "aiosqlite") if "?" in str(folder) else ""
    return {
        **({"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_API_AUTH_STRING": f"vgg16:{secrets.token_hex(16)}",
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        # A flow that failed is not begun again by itself, and its results stay in memory.
        "PREFECT_FLOWS_DEFAULT_RETRIES": "0",
        "PREFECT_TASKS_DEFAULT_RETRIES": "0",
        "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }
