"""What these tests call is a fork that has its libraries already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def vgg16(warm: Callable[..., Any]) -> Callable[..., Any]:
    """In place of `tests.conftest.call`."""
    return warm
