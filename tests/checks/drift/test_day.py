"""The file of a day: what is written is read again, and what was written before too."""

from __future__ import annotations

import base64

import numpy as np

from vgg16.checks.drift.day import Day, content_of, read
from vgg16.checks.drift.facts import Facts

DAY = Day(
    Facts(("brightness", "confidence"), np.array([[110.5, 0.75]], np.float32)),
    ("new/a.png",),
    np.arange(32, dtype=np.uint8).reshape(2, 16),
    new=3,
    measured=1,
    unreadable=1,
    left_out=1,
    why="b.png: an empty file",
)
# What 2026-11-27 wrote: it must be read for as long as inboxes are watched.
BEFORE = """
UEsDBC0AAAAIAAAAIQCksZ+q//////////8LABQAdmVyc2lvbi5ucHkBABAAiAAAAAAAAABGAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaGu
o6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5Gpo6CrUKFAEuRgYIAABQSwMELQAAAAgAAAAhAPmaD1n//////////wkAFABuYW1lcy5ucHkBABAA
0AAAAAAAAABtAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG4TamigrqOgnpZfVFKUmBefX5SSCpJwS8wpTgWKF2ckFqQC+RpGOpo6CrUK5AOuJAYG
hiIgzgTidCDOAOISIM4D4lQgLobiZCDOh4qnQdWnQNXkQeVBbABQSwMELQAAAAgAAAAhAE5a1Gv//////////woAFAB2YWx1ZXMubnB5AQAQAIgAAAAA
AAAATgAAAAAAAACb7BfqGxDJyFDGUK2eklqcXKRupaBuk2airqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RqGOgpGmjoKtQpkAy4GhrtODAwO
9gBQSwMELQAAAAgAAAAhAN984RX//////////wgAFABzZWVuLm5weQEAEACgAAAAAAAAAGcAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgXlNqqK6j
oJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkaRjoKhmaaOgq1CuQCLgZGJmYWVjZ2Dk4ubh5ePn4BQSFhEVExcQlJKWkZWTl5AFBLAwQtAAAACAAA
ACEAEH6+Hv//////////CAAUAHRleHQubnB5AQAQAPAAAAAAAAAAnAAAAAAAAACdjEsKwkAQROPWUzSzGYVBGd3lAO4UNy5EJHScjhGSSZiPIcScwgvb
gZzAWtV7UPU9XY7n6yJ5J4M05B9OpiA/UUsFsmhccGizxhma/AErT+x9iS0xr7TeqbWCEf7OchAthtKLFG7CUrfFTWuf4q5gIrZ7bjWhj44Mo2aM1hEa
zCuaRUVFyJoYZuzKnpvIp6cU0ALVbeihePFg/AFQSwECLQMtAAAACAAAACEApLGfqkYAAACIAAAACwAAAAAAAAAAAAAAgAEAAAAAdmVyc2lvbi5ucHlQ
SwECLQMtAAAACAAAACEA+ZoPWW0AAADQAAAACQAAAAAAAAAAAAAAgAGDAAAAbmFtZXMubnB5UEsBAi0DLQAAAAgAAAAhAE5a1GtOAAAAiAAAAAoAAAAA
AAAAAAAAAIABKwEAAHZhbHVlcy5ucHlQSwECLQMtAAAACAAAACEA33zhFWcAAACgAAAACAAAAAAAAAAAAAAAgAG1AQAAc2Vlbi5ucHlQSwECLQMtAAAA
CAAAACEAEH6+HpwAAADwAAAACAAAAAAAAAAAAAAAgAFWAgAAdGV4dC5ucHlQSwUGAAAAAAUABQAUAQAALAMAAAAA
"""


def test_a_day_is_what_was_written() -> None:
    for content in (content_of(DAY), base64.b64decode(BEFORE)):
        day = read(content)
        assert day
        assert np.array_equal(day.facts.values, DAY.facts.values)
        assert np.array_equal(day.seen, DAY.seen)
        assert (day.facts.names, day.paths, day.why) == (DAY.facts.names, DAY.paths, DAY.why)
        assert (day.new, day.measured, day.unreadable, day.left_out) == (3, 1, 1, 1)


def test_what_is_damaged_is_no_day() -> None:
    content = content_of(DAY)
    for damaged in (b"", b"x" * 100, content[:-30], content[: len(content) // 2]):
        assert read(damaged) is None
