"""The command of the service as its container runs it: confined, with the variables of the image, and without what it
does not need."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.infra import confined
from tests.infra.compose import ROOT, command_of, services
from tests.infra.test_confinement import SECRETS
from tests.serving.test_command import OTHERS, TRAINING, WITHOUT
from tests.serving.tiny import NAME, in_production, keep, onnx_file, picture, promote
from tests.test_wheel import UV
from tests.test_wheel import wheel as wheel  # noqa: PLC0414  # a fixture
from vgg16.storage.store import FolderStore

TOKEN = "a-token-of-a-few-letters"
ASKING = {"Authorization": f"Bearer {TOKEN}"}
# What follows the program's name in the image, for another model and on a free port.
ARGUMENTS = [*command_of(services(SECRETS | {"SERVE_MODEL": NAME})["serve"])[1:], "--port", "0", "--json"]

pytestmark = pytest.mark.skipif(bool(confined.obstacle()), reason=confined.obstacle())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that others may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


def answers(folder: Path, program: list[str], *visible: Path, **more: str) -> None:
    """The program waits as nobody for a champion, answers by it, keeps nothing and ends gracefully."""
    store = FolderStore(folder / "store")
    store.folder.mkdir()
    environment = confined.image_environment() | {"VGG16_STORE": str(store.folder), "VGG16_SERVE_TOKEN": TOKEN}
    environment |= more
    with confined.started(folder, [*program, *ARGUMENTS], environment, store.folder, *visible) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        url = json.loads(line)["url"].replace("0.0.0.0", "127.0.0.1")
        rows = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (row.partition(":") for row in rows)}
        assert set(status["Uid"]) == set(status["Gid"]) == {str(confined.NOBODY)}
        assert int(*status["CapEff"], 16) == int(*status["CapBnd"], 16) == 0
        with httpx.Client(base_url=url, timeout=20, headers=ASKING) as client:
            assert client.get("/v2/health/live").is_success
            assert client.get("/v2/health/ready").status_code == 503
            for version in ("1", "2"):
                promote(store, version, keep(store, onnx_file(version), folder))
                deadline = time.monotonic() + 15
                while client.post("/predict", content=picture(9)).json().get("version") != version:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert httpx.post(f"{url}/predict", content=picture(9)).status_code == 401
            for address, kind in (("/", "text/html"), ("/metrics", "text/plain")):
                assert client.get(address).raise_for_status().headers["content-type"].startswith(kind)
        # That it runs, and nothing of what it serves.
        left = [path for path in Path(f"/proc/{process.pid}/root/tmp/vgg16").rglob("*") if not path.is_dir()]
        assert [path.name for path in left] == [f"{url.rpartition(':')[2]}.json"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143


def test_it_answers_as_nobody_on_a_read_only_root_without_what_trains(folder: Path) -> None:
    python = [sys.executable, "-c", WITHOUT.format(absent={*TRAINING, *OTHERS})]
    answers(folder, python, Path(sys.prefix), ROOT, PYTHONPATH=str(ROOT))


def test_where_nothing_can_be_written_it_says_so(folder: Path) -> None:
    in_production(folder, "1")
    command = [sys.executable, "-m", "vgg16.cli.main", *ARGUMENTS]
    environment = confined.image_environment() | {
        "VGG16_STORE": str(folder / "store"),
        "VGG16_SERVE_TOKEN": TOKEN,
        "VGG16_HOME": "/usr/vgg16",
        "PYTHONPATH": str(ROOT),
    }
    with confined.started(folder, command, environment, folder / "store", Path(sys.prefix), ROOT) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    error = json.loads(output)["error"]
    assert error["message"].startswith("/usr/vgg16/cache/serving, where a model's file is while it is checked, cannot")
    assert "VGG16_HOME" in error["hint"]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image installs: the lock of the service, and the wheel."""
    folder = tmp_path_factory.mktemp("image")
    for path in (folder, folder.parent):
        path.chmod(0o755)
    python = folder / "venv" / "bin" / "python"
    for command in (
        ("venv", "--quiet", "--python", sys.executable, str(folder / "venv")),
        ("pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(ROOT / "requirements-serve.lock")),
        ("pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)),
    ):
        done = subprocess.run([UV, *command], capture_output=True, text=True, check=False)
        if "error sending request" in done.stderr or "dns error" in done.stderr:
            pytest.skip("the packages of requirements-serve.lock are not to be had: PyPI is out of reach")
        assert done.returncode == 0, done.stderr
    return folder / "venv"


@pytest.mark.system  # it installs packages
def test_what_its_lock_installs_suffices_and_has_nothing_that_trains(environment: Path, folder: Path) -> None:
    program = f"import importlib.util as u\nprint([name for name in {[*TRAINING, *OTHERS]} if u.find_spec(name)])"
    python = str(environment / "bin" / "python")
    there = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout == "[]\n"
    answers(folder, [str(environment / "bin" / "vgg16")], environment)


@pytest.mark.system
def test_what_is_not_for_that_environment_says_what_it_lacks(environment: Path, tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(environment / "bin" / "vgg16"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={"HOME": str(tmp_path)}, check=False
        )

    assert "serve" in call("--help").stdout
    assert "--wait" in call("serve", "--help").stdout
    assert call("--version").stdout.startswith("vgg16, version")
    for arguments in (("run", "--help"), ("predict", "a.png"), ("doctor",), ("promote", NAME, "1")):
        done = call(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"vgg16: `vgg16 {arguments[0]}` needs the package ")
        assert "pip install vgg16" in done.stderr
        assert "Traceback" not in done.stderr
    assert call("serve", NAME).returncode == 2
