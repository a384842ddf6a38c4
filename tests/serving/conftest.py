"""A service of a tiny model for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.serving.tiny import ask, in_production, serving
from vgg16.serving.service import Service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Version 1, which answers."""
    folder = tmp_path_factory.mktemp("serving")
    with serving(in_production(folder, "1"), folder) as service:
        yield service


@pytest.fixture
def client(running: Service) -> Iterator[httpx.Client]:
    """A client of it."""
    with ask(running.url) as asking:
        yield asking
