"""The wheel: what it holds, and that it runs where no checkout is."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Answer

ROOT = Path(__file__).parents[1]
UV = str(Path(sys.executable).parent / "uv")
# What a wheel is made of, as the Dockerfile copies it too.
SOURCES = ("pyproject.toml", "README.md", "prefect.yaml", "vgg16", "flows")
DATA = {".css", ".html", ".js", ".md", ".toml", ".yaml"}
# Every process that imported modules of ours writes down where they came from.
WITNESS = """\
import atexit, os, sys, uuid

def tell():
    files = {getattr(module, "__file__", None) for name, module in list(sys.modules.items())
             if name.partition(".")[0] in ("vgg16", "flows")}
    if files:
        path = os.path.join(os.path.dirname(__file__), "witnessed", uuid.uuid4().hex)
        with open(path, "w") as told:
            print(*files, sep="\\n", file=told)

atexit.register(tell)
"""
SMALLEST = [
    *("--set", "dataset.limit=100", "--set", "phases.0.epochs=1", "--set", "batch_size=16"),
    *("--set", "backbone.name=vgg11", "--set", "backbone.width=0.05", "--set", "gate.floor=0"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy that no earlier build has left anything in."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    command = [UV, "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


@dataclass(frozen=True)
class Elsewhere:
    """An environment with the wheel and the locked libraries, and an empty folder to work in, inside the repository of
    somebody else; no variable of ours is set there."""

    folder: Path
    packages: Path

    def call(self, *command: str) -> Answer:
        """Run a command of the environment."""
        done = subprocess.run(
            [str(self.folder / "venv" / "bin" / command[0]), *command[1:]],
            cwd=self.folder / "work",
            env={"PATH": os.defpath, "HOME": str(self.folder / "home"), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=280,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str) -> Any:
        """What `vgg16 ... --json` answers."""
        answer = self.call("vgg16", *arguments, "--json")
        assert answer.status == 0, answer.stderr + answer.stdout
        return answer.json


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("home", "work"):
        (folder / name).mkdir()
    repository = ["git", "-C", str(folder), "-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run([*repository, "init", "--quiet"], check=True)
    subprocess.run([*repository, "commit", "--quiet", "--allow-empty", "--message", "theirs"], check=True)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    command = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(command, check=True)
    (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    # The libraries of this environment, whose .pth files, which lead to the checkout, are not read from here.
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport witness\n")
    (packages / "witness.py").write_text(WITNESS)
    (packages / "witnessed").mkdir()
    return Elsewhere(folder, packages)


def test_it_holds_every_module_and_file_of_the_package_and_no_other(wheel: Path) -> None:
    inside = set()
    for top, folder in (("vgg16", ROOT / "vgg16"), ("vgg16/flows", ROOT / "flows")):
        inside |= {
            f"{top}/{path.relative_to(folder).as_posix()}"
            for path in folder.rglob("*")
            if path.is_file() and path.suffix in {".py", *DATA}
        }
    assert {"vgg16/flows/deploy.py", "vgg16/prefect.yaml", "vgg16/reports/study/page.html"} <= inside
    with zipfile.ZipFile(wheel) as archive:
        names = {info.filename for info in archive.infolist()}
        assert not any(info.external_attr >> 28 == 0xA for info in archive.infolist()), "a link"
    assert {name for name in names if ".dist-info/" not in name} == inside


@pytest.mark.system
@pytest.mark.nightly
def test_where_it_is_installed_every_command_is_the_wheels_own(elsewhere: Elsewhere) -> None:
    assert elsewhere.call("vgg16", "--help").stdout.startswith("Usage: vgg16")
    assert "digits-scratch" in {row["name"] for row in elsewhere.json("list")["experiments"]}
    run = elsewhere.json("run", "digits-scratch", *SMALLEST)
    assert run["runs"][0]["status"] == "finished"
    assert run["runs"][0]["model"] == {"name": "vgg16-digits", "version": "1"}
    (picture, *_) = sorted(map(str, (elsewhere.folder / "work" / ".vgg16" / "samples" / "digits").glob("*.png")))
    assert len(elsewhere.json("predict", picture)["predictions"]) == 1
    assert all(check["ok"] for check in elsewhere.json("doctor")["checks"])
    with closing(sqlite3.connect(elsewhere.folder / "work" / ".vgg16" / "mlflow.db")) as database:
        tags = dict(database.execute("SELECT key, value FROM tags WHERE key LIKE 'vgg16.%' OR key LIKE '%.git.%'"))
    assert tags["vgg16.status"] == "finished"
    # MLflow's own guess is the repository of somebody else that the environment lies in.
    assert {value for key, value in tags.items() if "git" in key or "commit" in key} == {""}

    files = {line for told in (elsewhere.packages / "witnessed").iterdir() for line in told.read_text().split("\n")}
    assert f"{elsewhere.packages}/vgg16/flows/retrain.py" in files
    assert f"{elsewhere.packages}/vgg16/steps/fresh_process.py" in files
    assert [file for file in files if file not in ("", "None") and not file.startswith(f"{elsewhere.packages}/")] == []


def test_a_run_names_the_version_and_nobody_elses_commit(elsewhere: Elsewhere) -> None:
    program = "import json; from vgg16.steps.chain import code_tags; print(json.dumps(code_tags()))"
    answer = elsewhere.call("python", "-c", program)
    version = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert json.loads(answer.stdout) == {"vgg16.version": version.split('"')[1]}, answer.stderr


def test_flow_runs_work_in_the_home_and_not_in_the_package(elsewhere: Elsewhere) -> None:
    program = """
from pathlib import Path
from vgg16.stack.configuration import LOGINS, PORTS, ROLES, Configuration
from vgg16.stack.services import services
secrets = dict.fromkeys(("s3_key_id", "s3_secret", "postgresql", *ROLES, *LOGINS.values()), "x")
rows = services(Configuration(Path("/a/home/stack"), "sqlite", PORTS, secrets))
print(*{row.environment["PROJECT_DIR"] for row in rows if "PROJECT_DIR" in row.environment})
"""
    assert elsewhere.call("python", "-c", program).stdout == "/a/home\n"


def test_a_stack_without_its_extra_says_what_to_install(elsewhere: Elsewhere) -> None:
    answer = elsewhere.call("vgg16", "up", "--json")
    assert answer.status == 1
    assert "[stack]" in answer.json["error"]["hint"]
    assert "make" not in answer.json["error"]["hint"]
