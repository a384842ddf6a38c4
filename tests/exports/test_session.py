"""How many cores an exported file's answers take."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgg16.exports.session import cores_of_group


@pytest.mark.parametrize(
    ("limit", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("250000 100000", 3), ("max 100000", 0), ("", 0)]
)
@pytest.mark.parametrize("group", ["/", "/system.slice/a.service"])
def test_a_limit_of_the_control_group_counts_and_where_there_is_none_all_cores_are_free(
    tmp_path: Path, group: str, limit: str, cores: int
) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text(f"4:memory:/other\n0::{group}\n")
    groups = tmp_path / "groups"
    (groups / group.strip("/")).mkdir(parents=True)
    if limit:
        (groups / group.strip("/") / "cpu.max").write_text(f"{limit}\n")
    assert cores_of_group(membership, groups) == cores


def test_a_system_without_control_groups_leaves_all_cores(tmp_path: Path) -> None:
    assert cores_of_group(tmp_path / "none", tmp_path) == 0
    (tmp_path / "older").write_text("1:cpu:/\n")
    assert cores_of_group(tmp_path / "older", tmp_path) == 0
