"""Odd values of variables are one paragraph that names the variable, whatever they hold."""

from __future__ import annotations

import pytest

from vgg16.errors import RequestError
from vgg16.workplace import settings

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
