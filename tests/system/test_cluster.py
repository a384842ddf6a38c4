"""Pictures are read and scored by a Dask cluster of two workers, over TLS, one of which is killed."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import ENVIRONMENT, Answer, free_port, wait_for
from tests.data.test_folder import at_home, classes, row
from vgg16.steps.data.add import add

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
# Chunks of a hundred files, that there be many.
ADD = """
import sys
from vgg16.data import chunks
chunks.CHUNK_FILES = 100
from vgg16.cli.main import main
sys.argv = ["vgg16", "data", "add", "own", sys.argv[1], "--image-size", "16", "--json"]
main()
"""


def certificate(folder: Path) -> dict[str, str]:
    """A key and a certificate that vouches for itself, as Dask's variables name them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    (folder / "key.pem").write_bytes(private)
    variables = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "cert.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(folder / "cert.pem")
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(folder / "key.pem")
    return variables | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}


class Cluster:
    """The scheduler's address, the variables of whoever uses it, and the workers' processes."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.variables = ENVIRONMENT | certificate(folder) | {"VGG16_HOME": str(home), "HOME": str(folder)}
        self.address = f"tls://127.0.0.1:{free_port()}"
        self.log = folder / "log"
        port = self.address.rpartition(":")[2]
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", port, "--protocol", "tls", "--no-jupyter"]
        self.scheduler = self._start(*scheduler, "--dashboard-address", "127.0.0.1:0")
        wait_for(lambda: "Scheduler at" in self.log.read_text(), self.scheduler, self.log)
        worker = ["worker", self.address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        self.workers = [self._start(*worker, "--local-directory", str(folder / str(number))) for number in range(2)]
        wait_for(lambda: self.log.read_text().count("Registered to") == 2, self.scheduler, self.log)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
                env=self.variables,
                stdout=output,
                stderr=output,
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    started = Cluster(tmp_path / "cluster", tmp_path / "home")
    yield started
    started.end()


def kill_amid(cluster: Cluster, records: Path, killed: list[int]) -> None:
    """Kill a worker as soon as some chunks are read, and others are not."""
    while not records.is_dir() or len(list(records.glob("*.parquet"))) < 3:
        time.sleep(0.02)
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    killed.append(len(list(records.glob("*.parquet"))))


def test_pictures_that_a_cluster_reads_are_the_dataset_though_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    classes(tmp_path / "photos", 667)
    killed: list[int] = []
    records = tmp_path / "home" / "store" / "datasets" / "own" / "chunks"
    threading.Thread(target=kill_amid, args=(cluster, records, killed), daemon=True).start()
    done = subprocess.run(
        [sys.executable, "-c", ADD, str(tmp_path / "photos")],
        cwd=tmp_path,
        env=cluster.variables | {"VGG16_DASK": cluster.address},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    answer = Answer(done.returncode, done.stdout, done.stderr)
    assert answer.status == 0, answer.stderr
    assert killed
    assert killed[0] < 32
    assert answer.json["images"] == 2001
    alone = add(row(source=str(tmp_path / "photos")), at_home(tmp_path / "alone"))
    assert answer.json["digest"] == alone.dataset.digest


@pytest.mark.nightly
def test_a_cluster_scores_into_the_file_that_one_machine_writes(cluster: Cluster, tmp_path: Path) -> None:
    def vgg16(*arguments: str, **variables: str) -> Answer:
        command = [sys.executable, "-c", "from vgg16.cli.main import main; main()", *arguments, "--json"]
        environment = cluster.variables | variables
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    trained = vgg16("run", "digits-scratch", "--set", "dataset.limit=200", "--set", "phases.0.epochs=1")
    assert trained.status == 0, trained.stderr
    classes(tmp_path / "photos", 500)
    asked = ("score", str(tmp_path / "photos"), "--model", "models:/vgg16-digits/1", "--engine", "keras", "--output")
    alone, together = vgg16(*asked, "alone.parquet"), vgg16(*asked, "together.parquet", VGG16_DASK=cluster.address)
    assert (alone.status, together.status) == (0, 0), together.stderr
    assert together.json["scored"] == together.json["rows"] == 1500
    assert together.json["sha256"] == alone.json["sha256"]


def test_an_address_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ADD, "photos"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"VGG16_DASK": "tcp://10.0.0.1:8786", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "expected tls://HOST:PORT" in Answer(2, done.stdout, done.stderr).json["error"]["message"]
