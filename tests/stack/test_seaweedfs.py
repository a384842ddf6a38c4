"""The stack's S3 server as another account of the machine meets it: by its own command and configuration, every port
and socket attacked, and clients with the keys served."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509

from tests.conftest import ENVIRONMENT, free_port, wait_for
from vgg16.stack import certificate, ports, processes, seaweedfs
from vgg16.stack.configuration import PORTS
from vgg16.stack.state import State
from vgg16.storage.s3 import make_bucket

WEED = Path(sys.executable).parent / "weed"
KEYS = ("the-key", "the-secret")
NAMES = [name for name in PORTS if name.partition(" ")[0] == "s3"]
GRPC = [name for name in NAMES if name.endswith("grpc")]
HTTP = [name for name in NAMES if name not in GRPC and name != "s3"]

# What another account tries on each inner port: what changes something, what reads, what tells.
ATTACKS = (
    *("GET /", "GET /healthz", "GET /status", "GET /ui/index.html", "GET /metrics", "GET /debug/pprof/"),
    *("GET /dir/assign", "GET /dir/status", "GET /dir/lookup?volumeId=1", "GET /vol/status", "GET /cluster/status"),
    *("GET /col/delete?collection=vgg16", "GET /vol/grow?count=1", "GET /vol/vacuum", "POST /submit"),
    *("GET /1,0", "PUT /1,0", "DELETE /1,0", "POST /1,0"),
    *("GET /buckets/", "GET /buckets/vgg16/ledger", "PUT /buckets/vgg16/ledger", "DELETE /buckets/vgg16/ledger"),
    *("DELETE /buckets/?recursive=true", "POST /buckets/vgg16/", "HEAD /buckets/vgg16/ledger", "OPTIONS /"),
)
# All that the S3 port says to one without keys.
OPEN = {"/healthz", "/status"}

# Run as another account: sends each request of a list to a port, over TLS with this protocol where one is named, and
# prints a list of what came back, as JSON.
REQUESTS = """
import json, socket, ssl, sys
answers = []
for port, protocol, text in json.loads(sys.argv[1]):
    answer = b""
    try:
        connection = socket.create_connection(("127.0.0.1", port), 5)
        if protocol:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols([protocol])
            connection = context.wrap_socket(connection)
        connection.sendall(text.encode("latin-1"))
        while part := connection.recv(65536):
            answer += part
    except OSError as error:
        answer += f"cut off: {error}".encode()
    answers.append(answer.decode("latin-1"))
print(json.dumps(answers))
"""


def request(attack: str) -> str:
    return f"{attack} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def asked(requests: list[tuple[int, str, str]], folder: Path) -> list[str]:
    """What another account is answered."""
    # The tests' own interpreter may lie where that one cannot read.
    python = next(path for path in ("/usr/bin/python3", sys.executable) if Path(path).exists())
    answers: list[str] = json.loads(stranger(python, "-c", REQUESTS, json.dumps(requests), cwd=folder))
    return answers


def stranger(*command: str, cwd: Path) -> str:
    """What a command prints that another account runs: nobody where we are root, else one without our home and
    variables, for whom the files' modes are looked at."""
    own: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {"PATH": os.defpath, "HOME": "/nonexistent"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, check=False, **own
    )
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Server:
    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes]

    def client(self, key: str = KEYS[0], secret: str = KEYS[1]) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.ports['s3']}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


@contextmanager
def serving(folder: Path, ports: dict[str, int], command: list[str]) -> Iterator[Server]:
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=output)
    server = Server(folder, ports, process)

    try:
        address = f"http://127.0.0.1:{ports['s3']}"
        wait_for(lambda: make_bucket("vgg16", address, *KEYS), process, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()
        seaweedfs.remove_sockets(ports.values())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As the stack starts it, with one object `ledger`; in its folder lies what a version before wrote as `old`."""
    folder = tmp_path_factory.mktemp("stack") / "s3"
    ports = {name: free_port() for name in NAMES}
    seaweedfs.prepare(folder, *KEYS)
    command = seaweedfs.command(WEED, ports)
    # As version 0.2.0 started it: without certificate, and with open HTTP.
    (folder / "security.toml").rename(folder / "later")
    before = [word for word in command if word not in ("-disableHttp", "-filer.disableHttp", "-s3.iam=false")]
    with serving(folder, ports, before) as old:
        old.client().put_object(Bucket="vgg16", Key="old", Body=b"of a version before")
    (folder / "later").rename(folder / "security.toml")
    with serving(folder, ports, command) as started:
        started.client().put_object(Bucket="vgg16", Key="ledger", Body=b"one")
        yield started
        assert started.client().get_object(Bucket="vgg16", Key="ledger")["Body"].read() == b"one"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the other account runs; the tests' own interpreter may lie where it cannot read."""
    folder = Path("/tmp", f"vgg16-stranger-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        shutil.copy(WEED, folder / "weed")
        yield folder
    finally:
        shutil.rmtree(folder)


def test_clients_with_the_keys_are_served_and_data_of_a_version_before_are_there(server: Server) -> None:
    client, content = server.client(), os.urandom(6_000_000)  # more than one chunk
    assert client.get_object(Bucket="vgg16", Key="old")["Body"].read() == b"of a version before"
    client.put_object(Bucket="vgg16", Key="large", Body=content)
    client.copy_object(Bucket="vgg16", Key="copy", CopySource="vgg16/large")
    assert client.get_object(Bucket="vgg16", Key="copy")["Body"].read() == content
    part = client.get_object(Bucket="vgg16", Key="copy", Range="bytes=4999999-5000001")["Body"].read()
    assert part == content[4999999:5000002]
    client.delete_objects(Bucket="vgg16", Delete={"Objects": [{"Key": "large"}, {"Key": "copy"}]})
    assert [each["Key"] for each in client.list_objects_v2(Bucket="vgg16")["Contents"]] == ["ledger", "old"]


@pytest.mark.parametrize("name", HTTP)
def test_an_inner_http_port_answers_nothing_to_another_account(server: Server, elsewhere: Path, name: str) -> None:
    tried = [(attack, protocol) for attack in ATTACKS for protocol in ("", "http/1.1")]
    answers = asked([(server.ports[name], protocol, request(attack)) for attack, protocol in tried], elsewhere)
    for case, answer in zip(tried, answers, strict=True):
        refused = "HTTP request to an HTTPS server" in answer or answer.startswith("cut off: ")
        assert refused or answer == "", (case, answer)


@pytest.mark.parametrize("name", GRPC)
def test_an_inner_grpc_port_answers_nothing_to_another_account(server: Server, elsewhere: Path, name: str) -> None:
    preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    for answer in asked([(server.ports[name], protocol, preface) for protocol in ("", "h2")], elsewhere):
        assert answer == "" or answer.startswith("cut off: "), answer
    # Another certificate of the same name is no key either.
    (elsewhere / "own.pem").write_text(certificate.make())
    for own, taken in ((elsewhere / "own.pem", False), (server.folder / seaweedfs.CERTIFICATE, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(own)
        with socket.create_connection(("127.0.0.1", server.ports[name]), 5) as plain:
            try:
                with context.wrap_socket(plain) as connection:
                    answered = bool(connection.recv(1))
            except OSError:
                answered = False
        assert answered == taken


def test_the_shell_of_another_account_gets_nothing_and_the_owners_works(server: Server, elsewhere: Path) -> None:
    addresses = [
        f"-{part}=127.0.0.1:{server.ports[f's3 {part}']}.{server.ports[f's3 {part}.grpc']}"
        for part in ("master", "filer")
    ]
    script = 'printf "fs.ls /buckets\\nfs.rm -r /buckets/vgg16\\nlock\\ncollection.delete -collection vgg16 -apply\\n"'
    tried = f"{script} | timeout 3 {elsewhere / 'weed'} shell {' '.join(addresses)}"
    assert "vgg16" not in stranger("sh", "-c", tried, cwd=elsewhere)
    listed = f'echo "fs.ls /buckets" | timeout 10 {WEED} shell {" ".join(addresses)}'
    done = subprocess.run(
        ["sh", "-c", listed], cwd=server.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert "vgg16" in done.stdout


def test_the_s3_port_asks_for_the_keys_and_says_only_that_it_is_well(server: Server, elsewhere: Path) -> None:
    paths = ("/", "/vgg16", "/vgg16/ledger", "/metrics", "/debug/pprof/", "/ui/", "/?Action=ListUsers", *OPEN)
    tried = [(method, path) for path in paths for method in ("GET", "PUT", "DELETE", "POST")]
    answers = asked([(server.ports["s3"], "", request(f"{method} {path}")) for method, path in tried], elsewhere)
    for (method, path), answer in zip(tried, answers, strict=True):
        assert answer.startswith("HTTP/1.1 2") == (method == "GET" and path in OPEN), (method, path, answer)
        assert path not in OPEN or "vgg16" not in answer
    for keys in ((KEYS[0], "wrong"), ("wrong", KEYS[1]), ("any", " ")):
        client = server.client(*keys)
        for call in (
            client.list_buckets,
            lambda client=client: client.get_object(Bucket="vgg16", Key="ledger"),
            lambda client=client: client.put_object(Bucket="vgg16", Key="ledger", Body=b"two"),
            lambda client=client: client.delete_object(Bucket="vgg16", Key="ledger"),
            lambda client=client: client.delete_bucket(Bucket="vgg16"),
        ):
            with pytest.raises(ClientError) as refused:
                call()
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_it_listens_on_loopback_alone_and_its_files_are_closed(server: Server) -> None:
    listening = [
        connection.laddr
        for connection in psutil.Process(server.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(server.ports.values())
    assert server.folder.stat().st_mode & 0o777 == 0o700
    for name in ("identities.json", seaweedfs.CERTIFICATE, "security.toml"):
        assert (server.folder / name).stat().st_mode & 0o777 == 0o600
    # A socket takes who may write to it.
    beside = {path for name in GRPC for path in seaweedfs.SOCKETS.glob(f"seaweedfs-*-{server.ports[name]}.sock")}
    assert len(beside) == len(GRPC)
    for path in [*beside, *server.folder.glob("*.sock")]:
        assert not path.stat().st_mode & 0o022, path
    assert not any(key in word for word in server.process.args for key in KEYS)  # type: ignore[union-attr]


def test_each_start_has_a_certificate_of_its_own_for_years(tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        seaweedfs.prepare(tmp_path / "s3", *KEYS)
        texts.append((tmp_path / "s3" / seaweedfs.CERTIFICATE).read_text())
    first, second = (x509.load_pem_x509_certificate(text.encode()) for text in texts)
    assert first.serial_number != second.serial_number
    assert (second.not_valid_after_utc - second.not_valid_before_utc).days > 3650
    assert json.loads((tmp_path / "s3" / "identities.json").read_text())


def test_a_port_beside_which_another_accounts_socket_lies_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweedfs, "SOCKETS", tmp_path)
    for name in ("seaweedfs-master-grpc-21335.sock", "seaweedfs-filer-grpc-21339.sock", "seaweedfs-x-grpc-y.sock"):
        (tmp_path / name).touch()
    assert seaweedfs.blocked_ports() == set()
    state = State(tmp_path)

    def chosen() -> dict[str, int]:
        return ports.choose(state, (), print, print)

    monkeypatch.setattr(processes, "_is_free", lambda port: True)
    assert chosen()["s3 master.grpc"] == 21335
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert seaweedfs.blocked_ports() == {21335, 21339}
    assert not {21335, 21339} & set(chosen().values())
    seaweedfs.remove_sockets([21335, 1])
    assert {path.name for path in tmp_path.iterdir()} == {"seaweedfs-filer-grpc-21339.sock", "seaweedfs-x-grpc-y.sock"}
