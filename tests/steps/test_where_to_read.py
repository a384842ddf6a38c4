"""Where a person is sent to read of data that were checked: nowhere that a browser does not open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, as_seen_by
from vgg16.records import FailedExpectation, ValidationReport
from vgg16.steps.data.report import where_to_read
from vgg16.storage.s3 import S3Store

FAILED = FailedExpectation(expectation="no_blank_image", expected="more than one brightness", observed="1 of 9")


def report(docs: str, *failed: FailedExpectation) -> ValidationReport:
    return ValidationReport(dataset="pets", digest="d" * 64, ok=not failed, checked=21, failed=failed, docs=docs)


@pytest.mark.parametrize("docs", ["s3://bucket/store/docs/pets.html", "/home/me/a b/docs/pets.html", ""])
def test_no_link_leads_where_a_browser_does_not_go(docs: str) -> None:
    for failed, verdict in ((), "all hold"), ((FAILED,), "1 of 21 expectations failed"):
        text = where_to_read(report(docs, *failed))
        assert f"21 expectations, {verdict}" in text
        assert "](" not in text
        # An address outside of code would be made a link.
        assert "://" not in re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)


def test_the_command_fetches_the_page_out_of_the_bucket(s3: S3Store, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<h1>it's checked</h1>")
    s3.upload(tmp_path / "page", "docs/it's pets.html")
    text = where_to_read(report(f"{s3.address}/docs/it's pets.html"))
    (command,) = re.findall(r"```sh\n(.*)\n```", text)
    command = command.replace("python", sys.executable, 1)
    environment = ENVIRONMENT | as_seen_by(s3)
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "it's pets.html").read_text() == "<h1>it's checked</h1>"
