"""Addresses of pages of MLflow's UI, as a browser takes them: each opens what MLflow calls model training, for without
that word its pages are laid out for traces of language models; none has a password in it."""

from __future__ import annotations

import re
from urllib.parse import quote

from vgg16 import shown as text

_TRAINING = "workflowType=machine_learning"


def runs(experiment_id: str, shown: str) -> str:
    """The path of an experiment's list of runs; `shown` are the parameters that say how it is laid out."""
    return _training(f"/#/experiments/{experiment_id}/runs", shown)


def run(experiment_id: str, run_id: str) -> str:
    """The path of a run's page."""
    return _training(f"/#/experiments/{experiment_id}/runs/{run_id}")


def version(name: str, number: str) -> str:
    """The path of a registered version's page."""
    return _training(f"/#/models/{quote(name)}/versions/{quote(number)}")


def artifact(page: str, name: str) -> str:
    """The address of a file beside a run, by that of the run's page."""
    return _training(f"{page.partition('?')[0]}/artifacts/{quote(name)}")


def at(server: str, path: str) -> str:
    """The address of a path on an MLflow server, "" where `server` is a database."""
    return without_login(server).rstrip("/") + path if server.startswith(("http://", "https://")) else ""


def without_login(address: str) -> str:
    """An address without the user and the password that a person may have written into it."""
    return re.sub(r"://[^/@]*@", "://", text.address(address))


def _training(page: str, shown: str = "") -> str:
    return f"{page}?{shown}{shown and '&'}{_TRAINING}"
