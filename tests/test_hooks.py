"""The pre-commit hooks: they are `make check`, whichever way they are switched on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ENVIRONMENT

ROOT = Path(__file__).parents[1]


def test_pre_commit_runs_make_check_and_nothing_else() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["language"], hook["entry"]) == ("local", "system", "make check")
    assert hook["always_run"]
    assert not hook["pass_filenames"]


@pytest.mark.parametrize(("recipe", "commits"), [("true", 1), ("false", 0)])
def test_gits_own_hook_lets_a_commit_pass_where_make_check_does(tmp_path: Path, recipe: str, commits: int) -> None:
    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        person = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        command = ["git", *person, "-c", "core.hooksPath=.githooks", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    shutil.copytree(ROOT / ".githooks", tmp_path / ".githooks")
    (tmp_path / "Makefile").write_text(f"check:\n\t{recipe}\n")
    git("init", "--quiet")
    committed = git("commit", "--allow-empty", "--message", "a change")
    assert (committed.returncode == 0) == bool(commits), committed.stderr
    assert len(git("rev-list", "--all").stdout.split()) == commits
