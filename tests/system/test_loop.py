"""The loop closes: pictures come into a bucket, a drift is told once, people label, the model is trained again and
judged, the service takes it; and whatever is killed meanwhile, each of these happens once."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ENVIRONMENT, VGG16, as_new_group, free_port, wait_for
from tests.data.test_folder import COLORS, classes, picture
from tests.system.conftest import Stack
from tests.system.team import Team, wait_for_it
from tests.system.test_own_photographs import FORGIVING, SMALL
from vgg16.storage.addresses import open_store
from vgg16.storage.store import Store
