"""The shape of the house, beside the laws of imports that `make check` holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = sorted({path.parent for top in ("vgg16", "flows") for path in (ROOT / top).rglob("*.py")})
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.py"))]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_is_seen_at_a_glance(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= (6 if folder.name == "vgg16" else 14)
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


def test_a_step_or_a_flow_takes_six_parameters_at_most() -> None:
    for path in [*(ROOT / "flows").glob("*.py"), *(ROOT / "vgg16" / "steps").glob("*.py")]:
        for function in functions(path):
            asked = function.args
            named = [*asked.posonlyargs, *asked.args, *asked.kwonlyargs]
            count = sum(each.arg not in ("self", "cls") for each in named) + 6 * (asked.kwarg is not None)
            assert count <= 6, f"{path.name}: {function.name} takes {count}"


def test_a_task_is_one_call() -> None:
    for function in ast.parse((ROOT / "flows" / "tasks.py").read_text()).body:
        if isinstance(function, ast.FunctionDef):
            first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
            lines = (function.end_lineno or 0) - first.lineno + 1
            assert lines <= 8, f"{function.name} has {lines} lines"


def test_imports_inside_functions_are_few() -> None:
    late = {
        (path, node.lineno)
        for path in FILES
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    # And what stands for one: a module that is named by a text.
    named = [path for path in FILES for word in ("import_module(", "__getattr__") if word in path.read_text()]
    assert len(late) + len(named) < 70


def test_a_server_learns_of_the_flows_without_what_trains() -> None:
    flows = sorted(f"vgg16.flows.{path.stem}" for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
    heavy = ["tensorflow", "keras", "mlflow", "great_expectations", "matplotlib", "sklearn", "scipy", "pandas"]
    program = f"import sys, {', '.join(flows)}\nprint(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
