"""A cluster that is not there is told of before anything waits for it for long."""

from __future__ import annotations

import pytest

from tests.conftest import free_port
from vgg16.errors import Vgg16Error
from vgg16.workplace.cluster import on_cluster


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(Vgg16Error, match=f"No Dask scheduler answers at {address}"):
        list(on_cluster(address, print, ["chunk"]))
