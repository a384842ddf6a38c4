"""Variables of other tools lead no library away from what was asked, and a misspelt one of ours is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT
from vgg16.errors import RequestError
from vgg16.workplace import foreign
from vgg16.workplace.settings import VARIABLES


def source(package: str, file: str) -> str:
    found = find_spec(package)
    assert found
    assert found.origin
    return (Path(found.origin).parent / file).read_text()


@pytest.mark.parametrize("name", foreign.SET_ASIDE)
def test_each_is_set_aside_and_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {name: "elsewhere", "MLFLOW_TRACKING_URI": "http://here", "TF_NUM_INTRAOP_THREADS": "2"}
    foreign.warn(foreign.set_aside(environment))
    assert environment == {"MLFLOW_TRACKING_URI": "http://here", "TF_NUM_INTRAOP_THREADS": "2", **foreign.PINNED}
    assert capsys.readouterr().err == f"vgg16: {name} set aside, for it leads away from what is asked\n"


def test_what_our_own_processes_hand_on_is_not_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    ours = {"MLFLOW_TRACKING_URI": "sqlite:///a", "MLFLOW_REGISTRY_URI": "sqlite:///a", **foreign.PINNED}
    foreign.warn(foreign.set_aside(ours))
    assert capsys.readouterr().err == ""


def test_whatever_names_a_run_an_experiment_or_a_registry_to_the_installed_mlflow_is_in_the_table() -> None:
    names = re.findall(r"^(\w+) = _", source("mlflow", "environment_variables.py"), re.MULTILINE)
    assert len(names) > 100
    leading = [name for name in names if re.search(r"(RUN|EXPERIMENT|ACTIVE_MODEL)_(ID|NAME)$|REGISTRY_URI", name)]
    of_databricks = {"_SERVERLESS_GPU_COMPUTE_ASSOCIATED_JOB_RUN_ID"}
    assert set(leading) - of_databricks <= foreign.SET_ASIDE.keys()
    assert len(leading) >= 6


def test_whatever_the_installed_keras_reads_is_in_the_table() -> None:
    names = set(re.findall(r"\"(KERAS_\w+)\" in os\.environ", source("keras", "src/backend/config.py")))
    assert names - {"KERAS_HOME"} <= foreign.SET_ASIDE.keys()
    assert len(names) >= 5


# Both runs are there already; the one of them is the champion's.
OTHERS_RUN = """
import contextlib, json, os, sys
from pathlib import Path
folder = Path(sys.argv[1])
import mlflow
address = f"sqlite:///{folder / 'mlflow.db'}"
client = mlflow.MlflowClient(address)
from vgg16.config.catalog import SHIPPED
from vgg16.records import DatasetRef, TrainingRequest
from vgg16.tracking.connect import connect
dataset = DatasetRef(name="digits", digest="a" * 64, key="datasets/digits/a", class_names=("0", "1"), splits={})
request = TrainingRequest(experiment=SHIPPED.experiments["digits-scratch"], dataset=dataset)
def ours(fails):
    with contextlib.suppress(ValueError), connect(address, folder).runs.start(request, {}) as run:
        if fails:
            raise ValueError("diverged")
    return run
def standing(run):
    found = client.get_run(run)
    return [found.info.status, found.info.run_name, found.info.end_time, found.data.tags, found.data.params]
champions = ours(False)
client.create_registered_model("vgg16-digits")
client.create_model_version("vgg16-digits", "file:///nowhere", champions)
client.set_registered_model_alias("vgg16-digits", "champion", "1")
strangers = client.create_run(client.create_experiment("theirs"), run_name="theirs").info.run_id
from vgg16.workplace import foreign
answer = {}
for whose, run in (("champion's", champions), ("stranger's", strangers)):
    os.environ |= {"MLFLOW_RUN_ID": run, "MLFLOW_EXPERIMENT_ID": "99", "MLFLOW_RUN_CONTEXT": "{"}
    before = standing(run)
    foreign.warn(foreign.set_aside(os.environ))
    answer[whose] = [ours(True) != run, standing(run) == before]
print(json.dumps(answer))
"""


def test_a_run_that_a_variable_names_is_not_taken_over_be_it_the_champions_or_a_strangers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHERS_RUN, str(tmp_path)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"champion's": [True, True], "stranger's": [True, True]}
    assert done.stderr.count("MLFLOW_RUN_ID, MLFLOW_EXPERIMENT_ID, MLFLOW_RUN_CONTEXT set aside") == 2


KERAS = """
import numpy as np
from vgg16.workplace.tensorflow import import_tensorflow
import_tensorflow()
import keras
from vgg16.evaluation.predict import predict
model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
answers = predict(model, np.zeros((9, 8, 8, 3), np.uint8), batch_size=2)
print(keras.backend.backend(), model.layers[1].kernel.dtype, keras.config.image_data_format(), len(answers))
"""


def test_neither_variables_nor_a_file_of_keras_change_what_computes(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float16", "backend": "jax", "epsilon": 0.1, "image_data_format": "channels_first"})
    )
    others = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "torch",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "TF2_BEHAVIOR": "0",
        "VGG16_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", KERAS], env=ENVIRONMENT | others, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["tensorflow", "float32", "channels_last", "9"]
    told = "KERAS_BACKEND, KERAS_MAX_STEPS_PER_EPOCH, TF2_BEHAVIOR set aside, for they lead away from what is asked"
    assert done.stderr.count(told) == 1


MISSPELT = {
    "HOM": "VGG16_HOME",
    "STORES": "VGG16_STORE",
    "CHECKPOINT_MINUTE": "VGG16_CHECKPOINT_MINUTES",
    "TRAIN": "VGG16_TRAIN_ON",
    "XYZZY": "There are: VGG16_HOME",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_variable_is_refused_with_the_one_that_is_meant(name: str) -> None:
    with pytest.raises(RequestError, match=f"There is no variable VGG16_{name}") as refused:
        foreign.check_ours({f"VGG16_{name}": "/somewhere"}, VARIABLES)
    assert MISSPELT[name] in refused.value.hint


def test_what_kubernetes_tells_of_a_service_that_is_called_vgg16_is_let_be() -> None:
    service = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
    names = [f"VGG16_{name}" for name in (*service, "WEB_SERVICE_HOST")]
    foreign.check_ours(dict.fromkeys(names, "10.0.0.1"), VARIABLES)


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(RequestError, match="VGG16_HOME: expected UTF-8"):
        foreign.check_ours({"VGG16_HOME": "/tmp/\udcff"}, VARIABLES)


PROXIED = {
    "none": ({}, {}),
    "one": ({"HTTP_PROXY": "http://p:1"}, {"no_proxy": "localhost,127.0.0.1,::1"}),
    "in small letters": ({"https_proxy": "p:1"}, {"no_proxy": "localhost,127.0.0.1,::1"}),
    "beside others": ({"ALL_PROXY": "http://p", "NO_PROXY": "corp, ::1"}, {"no_proxy": "corp,::1,localhost,127.0.0.1"}),
    "for nobody": ({"http_proxy": "http://p", "no_proxy": "*"}, {"no_proxy": "*"}),
}


@pytest.mark.parametrize("case", PROXIED)
def test_loopback_is_not_asked_through_a_proxy(case: str) -> None:
    environment, added = PROXIED[case]
    made = dict(environment)
    foreign.ask_loopback_directly(made)
    assert made == environment | added | ({"NO_PROXY": added["no_proxy"]} if added else {})


@pytest.mark.parametrize("proxy", ["http://[", "ftp://p", "socks5://p:1", "http://p:99999", "://"])
def test_a_proxy_that_no_client_takes_is_refused(proxy: str) -> None:
    with pytest.raises(RequestError, match="HTTP_PROXY"):
        foreign.ask_loopback_directly({"HTTP_PROXY": proxy})
