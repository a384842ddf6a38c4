"""A database of MLflow's: asked once, where MLflow would try ten times for two minutes; and what is wrong with one that
MLflow does not take."""

from __future__ import annotations

import socket
from importlib.metadata import version
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from vgg16 import shown
from vgg16.errors import RequestError, Vgg16Error, first_line

CONNECT_SECONDS = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check(address: str) -> None:
    """Raises Vgg16Error for a database server that is away or does not let us in, and RequestError for an address that
    is none."""
    try:
        url = make_url(address)
    except (SQLAlchemyError, ValueError):
        raise RequestError(
            f"MLFLOW_TRACKING_URI: {shown.address(address)!r} is no address of a database.",
            "postgresql://USER:PASSWORD@HOST/NAME",
        ) from None
    if url.get_backend_name() == "sqlite":
        return
    hint = "Start it, or correct or unset MLFLOW_TRACKING_URI."
    name = shown.address(address)
    try:
        socket.create_connection(
            (url.host or "localhost", url.port or _PORTS[url.get_backend_name()]), CONNECT_SECONDS
        ).close()
        with _connect(url):
            pass
    except ModuleNotFoundError as error:
        raise Vgg16Error(f"{name} needs the package {error.name}.", f"pip install {error.name}") from None
    except (OSError, SQLAlchemyError) as error:
        raise Vgg16Error(f"The database {name} does not answer: {first_line(error)}.", hint) from None


def _connect(url: URL) -> Connection:
    timeout = {"connect_timeout": int(CONNECT_SECONDS)} if url.get_backend_name() in ("postgresql", "mysql") else {}
    return create_engine(url, connect_args=timeout).connect()


def explain(address: str, error: MlflowException) -> Vgg16Error:
    """Why MLflow does not take the database: of another schema, else what it said itself."""
    url = make_url(address)
    name, here = shown.address(address), f"MLflow {version('mlflow')}"
    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    ours = script.get_current_head()
    theirs = _schema(url)
    if theirs in (None, ours):
        return Vgg16Error(f"MLflow does not take the database {name}: {first_line(error)}.")
    found = f"expected its schema {ours}, that of {here}, found {theirs}"
    if theirs in {revision.revision for revision in script.walk_revisions()}:
        return Vgg16Error(
            f"The database {name} is of an older MLflow: {found}.",
            f"Keep a copy of it, and then bring it up to date: mlflow db upgrade {name}",
        )
    return Vgg16Error(
        f"The database {name} is of a newer MLflow: {found}.",
        "Use it with the vgg16 and the MLflow that wrote it last, or choose another home with VGG16_HOME=FOLDER.",
    )


def _schema(url: URL) -> str | None:
    try:
        with _connect(url) as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
            return str(row[0]) if row else None
    except SQLAlchemyError:
        return None
