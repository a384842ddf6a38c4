"""What all tests share: one home for the session, tiny data, and real servers on loopback where a test needs one."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

# Before any heavy import, as the command line does it; the variables of whoever runs the tests are not theirs.
_HOME = tempfile.TemporaryDirectory(prefix="vgg16-tests-")
for _name in [*os.environ]:
    if _name.startswith(("AWS_", "MLFLOW_", "PREFECT_", "VGG16_")) and _name != "VGG16_TEST_DATA":
        del os.environ[_name]
# A shell starts what it puts into the background deaf to Ctrl-C, and tests send that to the processes they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["VGG16_HOME"] = _HOME.name
os.environ["HOME"] = _HOME.name
if "PYTEST_XDIST_WORKER" in os.environ:
    # Another worker has the next core: with a thread for each core both wait for each other, and take a tenth longer.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
# What a newcomer's shell has: neither what the settings add nor what MLflow leaves behind in this process.
ENVIRONMENT = dict(os.environ)
# A server that a test starts by itself tells nobody of it either.
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"

from vgg16.workplace import settings  # noqa: E402
from vgg16.workplace.tensorflow import import_tensorflow  # noqa: E402

settings.apply()

from tests.warm import Commands  # noqa: E402
from vgg16.config.types import BackboneChoice, Dataset, Experiment, Head  # noqa: E402
from vgg16.data.images import Arrays  # noqa: E402
from vgg16.stack.seaweedfs import remove_sockets  # noqa: E402
from vgg16.storage.files import exclusive_lock  # noqa: E402
from vgg16.storage.s3 import S3Store  # noqa: E402
from vgg16.storage.store import FolderStore, Store  # noqa: E402

# What all processes of a test run share.
_UP = Path(tempfile.gettempdir(), f"vgg16-tests-up-{os.getuid()}.lock")
VGG16 = str(Path(sys.executable).parent / "vgg16")


def pytest_unconfigure() -> None:
    _HOME.cleanup()


# The longest files begin, one on each core, and the short ones fill what is left.
LONGEST = ("test_photographs.py", "test_chain.py", "test_train.py", "test_failures.py", "test_kills.py")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real archives is `real`, what needs a server of Prefect's or MLflow's is `system`: each has a
    command of its own."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if "real_data" in used:
            item.add_marker("real")
        if used & {"prefect_server", "mlflow_server", "stack"}:
            item.add_marker("system")
        # All that use a stack run in one process, which starts it once, and the others beside it.
        stacks = used & {"stack", "reader_stack"}
        item.add_marker(pytest.mark.xdist_group(stacks.pop() if stacks else item.path.name))


@pytest.fixture(scope="module", autouse=True)
def _no_tracking_server_of_another_module() -> Iterator[None]:
    """MLflow keeps in the environment which database it was led to, even by whoever leads it back to its default."""
    yield
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def no_tracking_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow writes the address that a process connects to into its environment, where the next test would find it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow, imported as the tasks do."""
    import_tensorflow()
    import tensorflow as tf

    return tf


@pytest.fixture
def tiny() -> Experiment:
    """An experiment that trains in a second or two."""
    return Experiment.model_validate(
        {
            "name": "tiny",
            "description": "for tests",
            "dataset": {"name": "digits"},
            "backbone": BackboneChoice(name="vgg11", width=0.05, batch_norm="after"),
            "head": Head(units=(16,)),
            "phases": [{"epochs": 2, "optimizer": {"learning_rate": 0.01}}],
            "batch_size": 16,
        }
    )


@pytest.fixture
def patches() -> Arrays:
    """40 images of two classes, dark and bright, that anything can learn: 10 in each split."""
    random = np.random.RandomState(0)
    labels = np.arange(40) % 2
    images = (random.randint(0, 60, (40, 32, 32, 3)) + labels[:, None, None, None] * 180).astype(np.uint8)
    return Arrays(images, labels.astype(np.int64), np.repeat(np.arange(4, dtype=np.int8), 10), ("dark", "bright"))


def official_files(row: Dataset, train: int, test: int) -> dict[str, bytes]:
    """The files of the row's archive in their official layout, by path: that many records of noise of every class in
    its train and test part."""
    archive = row.archive
    assert archive
    random = np.random.RandomState(0)
    groups = list(row.superclasses.values())
    group_of = [next(i for i, names in enumerate(groups) if name in names) for name in row.class_names if groups]
    files = {}
    for parts, per_class in ((archive.train, train), (archive.test, test)):
        labels = np.tile(np.arange(len(row.class_names), dtype=np.uint8), per_class)
        heads = [np.array(group_of, np.uint8)[labels]] if groups else []
        records = np.column_stack([*heads, labels, random.randint(0, 256, (len(labels), 3072), np.uint8)])
        for part, content in zip(parts, np.array_split(records, len(parts)), strict=True):
            files[part] = content.tobytes()
    names = [tuple(row.superclasses)] * bool(groups) + [row.class_names]
    for file, each in zip(archive.names, names, strict=True):
        files[file] = "".join(f"{name}\n" for name in each).encode()
    return {f"{archive.folder}/{name}": content for name, content in files.items()}


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    """A tar archive of these files, in tarfile's mode: w, w:gz, w:bz2, w:xz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real archives: VGG16_TEST_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("VGG16_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no real data: VGG16_TEST_DATA=FOLDER names the folder of cifar-100-binary.tar.xz and its like")
    return folder


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer


def call(*arguments: str, cwd: Path | None = None, timeout: float = 860, **environment: str) -> Answer:
    """Run the command line as a person does, in a process of its own: `call("list", cwd=..., VGG16_HOME=...)`."""
    # Two stacks that look for free ports at one moment would find the same.
    alone = exclusive_lock(_UP, lambda: None) if arguments[:1] == ("up",) else nullcontext()
    with alone:
        done = subprocess.run(
            [VGG16, *arguments],
            cwd=cwd,
            env=ENVIRONMENT | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def vgg16() -> Callable[..., Answer]:
    """`call`."""
    return call


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Answer]]:
    """`tests.warm.call`, whose flows report to one temporary server of this test process: a home's own takes as long to
    start as the commands themselves. In a folder whose conftest makes it `vgg16`, `call` is for what a new interpreter
    or a home's own server is the fact of."""
    folder = tmp_path_factory.mktemp("flow-server")
    with serving_flows(folder) as url, Commands(VGG16, ENVIRONMENT) as commands:

        def call_warm(*arguments: str, cwd: Path | None = None, timeout: float = 560, **environment: str) -> Answer:
            return Answer(*commands.run(arguments, cwd, timeout, {"PREFECT_API_URL": url, **environment}))

        yield call_warm


@contextmanager
def serving_flows(folder: Path) -> Iterator[str]:
    """The API address of the Prefect server that a run on a laptop starts for itself."""
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "vgg16.flows.servers.local_server", "--factory"]
    command += ["vgg16.flows.servers.local_server:create_app", "--host", "127.0.0.1", "--port", str(port)]
    own = {"PREFECT_HOME": str(folder), "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
    with log.open("wb") as output:
        # It ends with this process, however that ends, whose end of the pipe closes then.
        server = subprocess.Popen(
            command, env=ENVIRONMENT | QUIET | own, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=folder
        )
    url = f"http://127.0.0.1:{port}/api"
    try:
        wait_for(lambda: answers(url), server, log)
        yield url
    finally:
        server.kill()
        server.wait()


_RESERVED: list[socket.socket] = []


def free_port() -> int:
    """A port of the loopback interface for one server of this test process.

    It lies below those that the system gives to outgoing connections, one of which could have it before the server
    starts. The UDP port of the same number, held until this process ends, keeps other test processes away from it.
    """
    first = 10_000 + os.getpid() % 20_000
    for port in range(first, 32_768):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            reservation.close()
        else:
            _RESERVED.append(reservation)
            return port
    raise OSError(f"no port of {first} to 32767 is free")


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    """Until `ready`; a server that ends or stays silent fails with its log."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether a server says that it is well."""
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server, which the tests of a process share."""
    with serving_mlflow(tmp_path_factory.mktemp("mlflow-server")) as url:
        yield url


@contextmanager
def serving_mlflow(folder: Path) -> Iterator[str]:
    """The address of a real MLflow server with a database and artifacts of its own, in this folder."""
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    environment = ENVIRONMENT | QUIET | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(url), server, log)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A bucket on a real SeaweedFS."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    folder = tmp_path_factory.mktemp("seaweedfs")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": "testkey", "secretKey": "testsecret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    # Each part's gRPC port is its own plus 10,000 by default, which may be beyond 65,535.
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port")}
    ports |= {f"{name}.grpc": free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port")}
    log = folder / "log"
    command = [str(Path(sys.executable).parent / "weed"), "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3"]
    command += [
        "-ip.bind=127.0.0.1",
        f"-s3.config={folder / 's3.json'}",
        "-volume.max=100",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.localSocket={folder / 's3.sock'}",
    ]
    command += [f"-{name}={port}" for name, port in ports.items()]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{ports['s3.port']}",
        aws_access_key_id="testkey",
        aws_secret_access_key="testsecret",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )

    def ready() -> bool:
        try:
            client.create_bucket(Bucket="tests")
            client.put_object(Bucket="tests", Key="ready", Body=b"")
        except (BotoCoreError, ClientError):
            return False
        return True

    try:
        wait_for(ready, server, log)
        yield S3Store("tests", "store", client)
    finally:
        server.kill()
        server.wait()
        remove_sockets(ports.values())


def as_seen_by(s3: S3Store) -> dict[str, str]:
    """The variables by which boto3 finds the server and its keys."""
    keys = s3.client._request_signer._credentials  # type: ignore[attr-defined]
    return {
        "AWS_ENDPOINT_URL_S3": s3.client.meta.endpoint_url,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of every kind."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    session: S3Store = request.getfixturevalue("s3")
    return S3Store(session.bucket, tmp_path.name, session.client)
