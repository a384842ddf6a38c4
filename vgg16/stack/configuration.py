"""How a stack is set up: its ports, its secrets, its databases, and the variables that lead a client to it."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgg16.stack import processes
from vgg16.stack.state import read_json
from vgg16.storage import addresses

# Where a service is looked for; SeaweedFS's inner ports are moved away from the usual ones, which others like too.
PORTS = {"prefect": 4200, "mlflow": 5000, "s3": 8333, "postgresql": 5432} | {
    f"s3 {part}": 21333 + number
    for number, part in enumerate(
        ("port.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
    )
}

# How the service of a model is called, and from where on one looks for a free port.
SERVE = "serve "
SERVE_PORT = 8080

# The servers with a database; in PostgreSQL it belongs to a role of the same name.
ROLES = ("prefect", "mlflow")

# Whom Prefect and MLflow let in, each by a password of its own.
USER = "vgg16"
LOGINS = {"prefect": "prefect_login", "mlflow": "mlflow_login"}
# What every request to the service of a model must have.
TOKEN = "serve_token"  # noqa: S105  # a name

# The files of a stack that runs, for its owner: variables for a shell, what is typed into pages, what `curl` sends.
PAPERS = ("env", "login", "authorization")


@dataclass(frozen=True)
class Configuration:
    """What the services of a stack are started with. `database` is "postgresql" or "sqlite"; the keys of `ports` are
    those of PORTS, and the names of the services of these `models`."""

    folder: Path
    database: str
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    models: tuple[str, ...] = ()

    def url(self, name: str) -> str:
        """The address of the service that listens on the port of that name."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def database_url(self, name: str, driver: str, sqlite: str) -> str:
        """Of SQLAlchemy, with the driver for PostgreSQL or the one for SQLite."""
        if self.database == "sqlite":
            return addresses.sqlite(self.folder / name / f"{name}.db", sqlite)
        return f"postgresql+{driver}://{name}:{self.secrets[name]}@127.0.0.1:{self.ports['postgresql']}/{name}"

    @property
    def variables(self) -> dict[str, str]:
        """What leads every command and tool to this stack."""
        return {
            "PREFECT_API_URL": f"{self.url('prefect')}/api",
            "PREFECT_API_AUTH_STRING": f"{USER}:{self.secrets[LOGINS['prefect']]}",
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": self.secrets[LOGINS["mlflow"]],
            "VGG16_STORE": "s3://vgg16/store",
            "AWS_ENDPOINT_URL_S3": self.url("s3"),
            "AWS_ACCESS_KEY_ID": self.secrets["s3_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["s3_secret"],
            "AWS_SESSION_TOKEN": "",  # of other keys
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def papers(self) -> dict[str, str]:
        """What the files PAPERS say."""
        return dict(zip(PAPERS, (self.exports(), self.login(), self.authorization()), strict=True))

    def login(self) -> str:
        """What a person types into the pages of the servers, to be read by its owner alone."""
        lines = [
            f"Prefect  {self.url('prefect')}  password: {self.variables['PREFECT_API_AUTH_STRING']}",
            f"MLflow   {self.url('mlflow')}  user: {USER}  password: {self.secrets[LOGINS['mlflow']]}",
            *(f"{name}  {self.url(SERVE + name)}  token: {self.secrets[TOKEN]}" for name in self.models),
        ]
        return "".join(f"{line}\n" for line in lines)

    def authorization(self) -> str:
        """The header that the services of models ask for, as `curl -H @FILE` reads it: on a command line any account
        of the machine could."""
        return f"Authorization: Bearer {self.secrets[TOKEN]}\n"

    def exports(self) -> str:
        """The variables and the home, for a shell to source."""
        variables = {"VGG16_HOME": str(self.folder.parent), **self.variables}
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def load_secrets(folder: Path) -> dict[str, str]:
    """The stack's keys and passwords, which `secrets.json` keeps: those that are missing are made."""
    path = folder / "secrets.json"
    kept: dict[str, str] = read_json(path)
    names = ("s3_key_id", "s3_secret", "postgresql", *ROLES, *LOGINS.values(), TOKEN)
    if missing := [name for name in names if name not in kept]:
        kept |= {name: secrets.token_hex(20) for name in missing}
        processes.private(path, json.dumps(kept))
    return kept
