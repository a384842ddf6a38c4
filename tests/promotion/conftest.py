"""What several tests of promotion need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vgg16.tracking.connect import connect
from vgg16.tracking.protocol import Registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry over a database of its own."""
    import mlflow

    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("registry")
    yield connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlflow").registry
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)
