"""Variables of other tools that would lead MLflow, Keras, TensorFlow or Prefect away from what was asked: each is set
aside when a command begins, and a person is told. A misspelt one of ours is refused."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Mapping, MutableMapping
from importlib.util import find_spec

from vgg16 import shown
from vgg16.errors import RequestError
from vgg16.storage import urls

# What each would do, as the sources of mlflow 3.17, keras 3.15, tensorflow 2.21 and prefect 3.8 say.
SET_ASIDE = {
    "MLFLOW_RUN_ID": "our run would become that one, whoever's it is: renamed, filled with our metrics, ended by us",
    "MLFLOW_EXPERIMENT_ID": "runs would be looked for and made in another experiment than that of their dataset",
    "MLFLOW_EXPERIMENT_NAME": "the same, by its name",
    "MLFLOW_ACTIVE_MODEL_ID": "metrics would be linked to another model",
    "_MLFLOW_ACTIVE_MODEL_ID": "the same",
    "MLFLOW_RUN_CONTEXT": "its tags would be written on our runs",
    "MLFLOW_REGISTRY_URI": "versions would be registered elsewhere than where the runs are",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "metrics would be read back before they are written",
    "MLFLOW_WORKSPACE_STORE_URI": "the workspaces of another database would be asked",
    "MLFLOW_LOCK_MODEL_DEPENDENCIES": "each model would wait for uv and a package index",
    "MLFLOW_REQUIREMENTS_INFERENCE_RAISE_ERRORS": "a model that is whole would not be logged",
    "MLFLOW_TRUNCATE_LONG_VALUES": "a long setting would end a run that has trained",
    "MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH": "a home with a long path could begin no run",
    "KERAS_BACKEND": "another framework than TensorFlow would compute",
    "KERAS_MAX_EPOCHS": "training would end early",
    "KERAS_MAX_STEPS_PER_EPOCH": "only the first images would be trained on, and predicted",
    "KERAS_NNX_ENABLED": "of another framework",
    "TF_USE_LEGACY_KERAS": "another Keras than the installed one would be looked for",
    "TF2_BEHAVIOR": "TensorFlow would behave as version 1",
    "TF_ENABLE_CONTROL_FLOW_V2": "the same",
    "TF_ENABLE_COND_V2": "the same",
    "TF_ENABLE_WHILE_V2": "the same",
    "TF_ENABLE_TENSOR_ARRAY_V2": "the same",
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LEVEL": "another precision than the experiment's",
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_SIMULATE_GPU": "the same",
    "TF_SET_ONEDNN_FPMATH_MODE": "float32 would be multiplied in half precision",
    "ONEDNN_DEFAULT_FPMATH_MODE": "the same",
    "DNNL_DEFAULT_FPMATH_MODE": "the same",
    "TF_CONV2D_USE_FP16_ACCUMULATE": "half precision would be summed in half precision",
    "TF_FP16_CONV_USE_FP32_COMPUTE": "the same",
    "TF_FP16_MATMUL_USE_FP32_COMPUTE": "the same",
    "TF_DISABLE_SCATTER_OP_DETERMINISM": "`reproducible` would not be",
    "TF_DISABLE_SEGMENT_REDUCTION_OP_DETERMINISM_EXCEPTIONS": "the same",
    "PREFECT_TEST_MODE": "Prefect would read no profile",
    "PREFECT_UNIT_TEST_MODE": "the same",
    "PREFECT_TESTING_TEST_MODE": "the same",
    "PREFECT_TESTING_UNIT_TEST_MODE": "the same",
}
# Set, where others are taken away: what they would do otherwise comes from a file, too.
PINNED = {"KERAS_BACKEND": "tensorflow", "TF2_BEHAVIOR": "1"}

_OURS = "VGG16_"
# Kubernetes and Docker tell a pod of each service beside it, by its name: one that is called vgg16 is no setting.
_OF_A_SERVICE = re.compile(
    r"VGG16_(.+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
# Read beside the settings: by the tests, and by the stack of what it has started itself.
_INTERNAL = ("VGG16_STACK", "VGG16_SERVER_OF", "VGG16_TEST_DATA", "VGG16_TEST_SEED")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def set_aside(environment: MutableMapping[str, str]) -> list[str]:
    """Take away or pin each variable that would lead elsewhere; the names of those that were set otherwise. For the
    beginning of a process: libraries set some of them themselves."""
    # MLflow hands it on to its children.
    harmless = PINNED | {"MLFLOW_REGISTRY_URI": environment.get("MLFLOW_TRACKING_URI", "")}
    wrong = [name for name in SET_ASIDE if environment.get(name, "") not in ("", harmless.get(name, ""))]
    for name in SET_ASIDE:
        environment.pop(name, None)
    environment.update(PINNED)
    return wrong


def warn(names: Collection[str]) -> None:
    """One line on standard error that these were set aside."""
    if names:
        which = "it leads" if len(names) == 1 else "they lead"
        sys.stderr.write(f"vgg16: {', '.join(names)} set aside, for {which} away from what is asked\n")


def ask_loopback_directly(environment: MutableMapping[str, str]) -> None:
    """Where a proxy is named, let no server of this machine be asked through it. Raises RequestError for an address
    that no client takes."""
    proxies = {name: value for name, value in environment.items() if name.lower() in _PROXIES and value}
    if not proxies:
        return
    for name, value in proxies.items():
        _check_proxy(name, value)
    others = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    listed = [part.strip() for part in others.split(",") if part.strip()]
    if "*" not in listed:
        listed += [host for host in _LOOPBACK if host not in listed]
    # Of the two spellings some read the one and some the other first.
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(listed)


def _check_proxy(name: str, value: str) -> None:
    parts = urls.split(name, value if "://" in value else f"http://{value}")
    safe = shown.address(value)
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise RequestError(f"{name}: expected http://HOST:PORT, found {safe!r}.", f"Correct or unset {name}.")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise RequestError(f"{name}: {safe!r} needs the package socksio.", f"pip install socksio, or unset {name}.")


def check_ours(environment: Mapping[str, str], known: Collection[str]) -> None:
    """Raises RequestError for a VGG16_ variable that there is not, with the one that was probably meant, and for one
    whose value is no text."""
    for name in sorted(environment):
        if name in known and not is_text(environment[name]):
            raise RequestError(f"{name}: expected UTF-8, found {environment[name]!r}.")
        if not name.startswith(_OURS) or name in known or name in _INTERNAL or _OF_A_SERVICE.fullmatch(name):
            continue
        near = difflib.get_close_matches(name.removeprefix(_OURS), [other.removeprefix(_OURS) for other in known], n=1)
        raise RequestError(
            f"There is no variable {name}.",
            f"Did you mean {_OURS}{near[0]}? Else unset it." if near else f"There are: {', '.join(known)}. Unset it.",
        )


def is_text(value: str) -> bool:
    """Whether an argument or a variable is UTF-8; Python keeps the bytes that are not as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
