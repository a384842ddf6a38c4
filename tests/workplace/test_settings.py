"""Odd values of variables are one paragraph that names the variable, whatever they hold."""

from __future__ import annotations

import os
import pwd
import re
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vgg16.errors import RequestError
from vgg16.stack import postgresql
from vgg16.storage import files
from vgg16.workplace import foreign, reach, settings

ODD = {
    "VGG16_HOME": ("~nosuchuser/h", "/tmp/\udcff"),
    "VGG16_STORE": ("s3://[", "s3://bucket name/x", "s3://", "~nosuchuser/x", "/tmp/\udcff"),
    "VGG16_TRAIN_ON": ("Pool", "1"),
    "VGG16_CHECKPOINT_MINUTES": ("nan", "1e400", "-1", "five"),
    "VGG16_DASK": ("tls://[", "tls://", "tcp://1.2.3.4:1", "tls://h:99999"),
    "VGG16_MOVED_BY_HAND": ("keep",),
    "VGG16_WEBHOOK": ("http://[", "hooks.example/x", "http://"),
    "MLFLOW_TRACKING_URI": (
        "localhost:5000",
        "127.0.0.1:5000",
        "http://[",
        "http://",
        "http://h:99999",
        "ftp://h",
        "x",
    ),
    "AWS_ENDPOINT_URL_S3": ("localhost:8333", "http://[", "https://"),
    "AWS_ENDPOINT_URL": ("junk",),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_value_is_refused_by_the_name_of_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ODD[name]:
        monkeypatch.setenv(name, value)
        with pytest.raises(RequestError, match=name):
            settings.load.__wrapped__()


PLAIN = {
    "VGG16_HOME": ("~/h", "/tmp/[x", "/tmp/a b?c"),
    "VGG16_STORE": ("s3://bucket/runs#2", "s3://bucket/a?x=1", "/tmp/a?b#c", "store"),
    "VGG16_DASK": ("tls://h:1", "tcp://127.0.0.1:1"),
    "MLFLOW_TRACKING_URI": ("http://h:1/x", "sqlite:////tmp/a?b", "postgresql+psycopg2://u:p@h:1/x"),
    "AWS_ENDPOINT_URL_S3": ("http://127.0.0.1:1",),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_value_that_is_only_unusual_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in PLAIN[name]:
        monkeypatch.setenv(name, value)
        settings.load.__wrapped__()


def test_no_password_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("http://me:secret@[", "nothing://me:secret@h/x"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
        with pytest.raises(RequestError) as refused:
            settings.load.__wrapped__()
        assert "secret" not in str(refused.value)


SECRETIVE = {
    "MLFLOW_TRACKING_URI": ("me:secret@h:5000", "http://me:sec/ret@h", "ftp://me:secret@h", "http://me:s@cret@[/x"),
    "VGG16_STORE": ("s3://me:secret@/x",),
    "VGG16_DASK": ("tcp://me:secret@h:1",),
    "VGG16_WEBHOOK": ("hooks.slack.com/services/T/B/secret",),
    "AWS_ENDPOINT_URL_S3": ("ftp://me:secret@h",),
    "https_proxy": ("ftp://me:secret@h:1", "me:secret@[:1"),
}


def _read(environment: dict[str, str]) -> None:
    settings.load.__wrapped__()
    foreign.ask_loopback_directly(environment)


@pytest.mark.parametrize("name", SECRETIVE)
def test_no_password_of_a_refused_address_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in SECRETIVE[name]:
        monkeypatch.setenv(name, value)
        with pytest.raises(RequestError) as refused:
            _read({name: value})
        assert not re.search("secret|sec/|ret@|s@cret|cret@", str(refused.value))


def test_the_login_of_an_address_is_sent_and_stands_in_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"experiments": []}')

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "AWS_ENDPOINT_URL"):
            monkeypatch.setenv(name, "")  # to be what it was at the end
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s%40cret@{place}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:secret@h:1")
        settings.load.cache_clear()
        try:
            applied = settings.apply()
            assert applied.tracking_uri == os.environ["MLFLOW_TRACKING_URI"] == f"http://{place}"
            assert os.environ["AWS_ENDPOINT_URL"] == "http://h:1"
            assert "cret" not in repr(applied)
            reach.reach(applied.tracking_uri, "MLflow", "MLFLOW_TRACKING_URI")
            mlflow.MlflowClient(applied.tracking_uri).search_experiments()
        finally:
            settings.load.cache_clear()
            server.shutdown()
    assert set(asked) == {f"Basic {b64encode(b'me:s@cret').decode()}"}
    assert len(asked) == 2


def test_a_new_home_is_its_owners_alone_and_an_open_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgg16.cli import doctor

    home = tmp_path / "below" / "home"
    monkeypatch.setenv("VGG16_HOME", str(home))
    settings.load.cache_clear()
    monkeypatch.setattr(reach.scratch, "work_below", lambda _: None)  # it would be the tests' own
    try:
        assert "chmod" not in doctor.home()
        assert home.stat().st_mode & 0o777 == 0o700
        for mode, told in ((0o750, False), (0o770, False), (0o755, True), (0o711, True)):
            home.chmod(mode)
            assert (f"chmod 700 {home}" in doctor.home()) == told
            assert home.stat().st_mode & 0o777 == mode
    finally:
        settings.load.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_postgresqls_user_passes_through_a_closed_home_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = "nobody"
    monkeypatch.setattr(postgresql, "ROOT_RUNS_AS", user)
    home = tmp_path / "home"
    files.private_folder(home)
    postgresql.let_pass(home)
    found = home.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o710, pwd.getpwnam(user).pw_gid)
    # One whose group has rights is shared by people.
    home.chmod(0o750)
    os.chown(home, -1, 0)
    postgresql.let_pass(home)
    assert (home.stat().st_mode & 0o777, home.stat().st_gid) == (0o750, 0)
    monkeypatch.setattr(postgresql, "ROOT_RUNS_AS", "nosuchuser")
    home.chmod(0o700)
    postgresql.let_pass(home)
    assert home.stat().st_mode & 0o777 == 0o700
