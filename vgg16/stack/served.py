"""Which models a stack serves: what was chosen before, and what is added or taken away now."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from importlib.util import find_spec

from vgg16.errors import RequestError

# What `vgg16 serve` imports that is not a part of every installation.
PACKAGES = ("onnxruntime", "prometheus_client", "starlette", "uvicorn")
# As MLflow and the store take them.
_NAME = re.compile(r"[\w.-]{1,100}")


def chosen(before: Sequence[str], more: Collection[str], fewer: Collection[str]) -> tuple[str, ...]:
    """The models that are served from now on, those of `before` first. Raises RequestError for one that cannot be, or
    that is to go and was not there."""
    for name in more:
        if not _NAME.fullmatch(name):
            raise RequestError(
                f"--serve: expected the name of a registered model, found {name!r}.", "`vgg16 models` lists them."
            )
        if name in fewer:
            raise RequestError(f"Both --serve {name} and --no-serve {name} are there.", "Say one of them.")
    for name in fewer:
        if name not in before:
            served = f"There are: {', '.join(before)}." if before else "No model is served here."
            raise RequestError(f"--no-serve: {name!r} is not served by this stack.", served)
    models = tuple(dict.fromkeys(name for name in (*before, *more) if name not in fewer))
    if models and (absent := missing()):
        fix = "pip install 'vgg16[serve]'" + "".join(f"; without it: vgg16 up --no-serve {name}" for name in before[:1])
        raise RequestError(f"A service of {models[0]} needs {', '.join(absent)}.", fix)
    return models


def missing() -> list[str]:
    """The packages that a service needs and that are not installed."""
    return [name.replace("_", "-") for name in PACKAGES if find_spec(name) is None]
