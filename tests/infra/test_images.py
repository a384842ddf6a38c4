"""The images, as far as they can be judged without building them."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.infra.compose import INFRA, ROOT
from vgg16.cli.models.serve import serve

LINES = re.sub(r"\\\n", " ", (INFRA / "Dockerfile").read_text()).splitlines()
STAGES = {line.split()[3]: line.split()[1] for line in LINES if line.startswith("FROM ")}


def of(instruction: str) -> list[str]:
    """What follows every such instruction."""
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    told = subprocess.run([hadolint, INFRA / "Dockerfile"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def test_all_targets_stand_on_one_pinned_python_and_cpu_is_the_default() -> None:
    assert list(STAGES)[-1] == "cpu"
    assert {STAGES["cpu"], STAGES["gpu"]} == {"runtime"}
    (base,) = {base for base in STAGES.values() if base not in STAGES}
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert STAGES["serve"] == base


def test_what_is_copied_exists_and_passes_the_ignore_file() -> None:
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for copied in of("COPY"):
        words = copied.split()
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in STAGES
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source
    assert not any(".env" in pattern for pattern in let_in)


def test_what_the_package_links_to_is_copied_and_compiled_beside_it() -> None:
    links = {path.readlink() for path in (ROOT / "vgg16").iterdir() if path.is_symlink()}
    beside = {f"{link}".removeprefix("../") for link in links}
    assert beside >= {"flows", "prefect.yaml"}
    assert beside <= {source for copied in of("COPY") for source in copied.split()[:-1]}
    assert "python -m compileall -q vgg16 flows" in of("RUN")


def test_they_run_as_a_user_without_rights_and_know_no_secret() -> None:
    assert of("USER") == ["65534:65534", "1000:1000"]
    assert not any(word in line for line in of("ENV") + of("ARG") for word in ("PASSWORD", "SECRET", "KEY", "TOKEN"))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-gpu.lock", "requirements-serve.lock"])
def test_libraries_come_from_the_lock_by_hash_and_with_the_uv_of_make(lock: str) -> None:
    assert any(f"--require-hashes {lock}" in line for line in of("RUN"))
    (version,) = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"UV_VERSION={version}" in of("ARG")


def test_what_a_service_needs_is_named_once_and_locked_at_the_versions_of_the_whole() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = set(project["dependency-groups"]["serve"])
    declared = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    assert named <= {re.split(r"[^\w-]", each)[0] for part in declared for each in part}
    whole, serve = pins("requirements.lock"), pins("requirements-serve.lock")
    assert serve < whole
    locked = {pin.partition("==")[0] for pin in serve}
    assert named <= locked
    heavy = {"tensorflow", "keras", "mlflow", "prefect", "great-expectations", "pandas", "scipy", "matplotlib", "onnx"}
    assert heavy < {pin.partition("==")[0] for pin in whole}
    assert not heavy & locked


def pins(lock: str) -> set[str]:
    """The versions of a lock, each with the Pythons that it is for."""
    return set(re.findall(r"^(\S+==[^\\]+?) \\$", (ROOT / lock).read_text(), re.MULTILINE))


def test_the_image_of_the_service_is_the_command_and_writes_to_tmp_alone() -> None:
    stage = LINES[next(number for number, line in enumerate(LINES) if line.endswith(" AS serve")) :]
    stage = stage[: next(number for number, line in enumerate(stage) if line.endswith(" AS runtime"))]
    (entry,) = [json.loads(line.removeprefix("ENTRYPOINT ")) for line in stage if line.startswith("ENTRYPOINT ")]
    assert serve.make_context("serve", [*entry[2:], "vgg16-digits"]).params["wait"] is True
    assert entry[:2] == ["vgg16", "serve"]
    (environment,) = [line for line in stage if line.startswith("ENV ")]
    assert {"HOME=/tmp", "VGG16_HOME=/tmp/vgg16"} < set(environment.split())
    assert not any(line.startswith("RUN ") for line in stage)


def test_the_working_folder_is_where_prefect_yaml_looks_for_the_flows() -> None:
    (pull,) = yaml.safe_load((ROOT / "prefect.yaml").read_text())["pull"]
    assert pull["prefect.deployments.steps.set_working_directory"]["directory"] == "{{ $PROJECT_DIR }}"
    assert "/app" in of("WORKDIR")
    assert any("PROJECT_DIR=/app" in line for line in of("ENV"))
