"""What a scoring is asked for, what comes out of it, and what whoever looks on is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vgg16.config.types import Frozen, Split
from vgg16.data.images import Digests, Labels
from vgg16.data.sources.places.place import shown
from vgg16.shown import without_secrets

if TYPE_CHECKING:
    # It imports scipy, which a server that learns of the flows does without.
    from vgg16.statistics import Probabilities

EngineName = Literal["onnx", "keras"]
Floats = NDArray[np.float32]


class ScoreRequest(Frozen):
    """Every picture of `source`, a folder, archive, table, prefix of S3 or dataset, answered by the model at the
    address `model` into the file `output`, a path or s3://bucket/key. Of a dataset only `split`, None for all.
    `engine` None is the faster one that there is; with `probabilities` the file has a column for each class."""

    source: str
    output: str
    model: str
    split: Split | None = None
    engine: EngineName | None = None
    probabilities: bool = False

    @property
    def place(self) -> str:
        """The source as people are told and files keep it: without secrets, and bytes that are no UTF-8 as \\xe9."""
        return shown(without_secrets(self.source))


class ScoreResult(Frozen):
    """A file that is whole: its rows, of which so many `failed`, and the files of the source that are no pictures and
    were `left_out`. `model` is the address that nothing can move, `digest` the model's. Of the rows so many were
    `scored` by this call in so many seconds, from the first to the last; none where the file was there `already`, as
    asked for. `labels` counts the predicted classes, `flagged` the rows whose typicality is 0.01 or less,
    None for a model that has none; `reasons` are the first pictures that failed, each with why;
    `observed` is what an Observer has said of all rows."""

    rows: int
    failed: int
    left_out: int
    output: str
    bytes: int
    sha256: str
    model: str
    digest: str
    engine: EngineName
    typicality: bool
    labels: dict[str, int]
    flagged: int | None = None
    reasons: tuple[tuple[str, str], ...] = ()
    observed: dict[str, Any] = Field(default_factory=dict)
    scored: int = 0
    seconds: float = 0.0
    already: bool = False

    @property
    def images_per_s(self) -> float:
        """Pictures that this call has answered in a second; 0 where it had none to answer."""
        return self.scored / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class ScoredPart:
    """Rows of a scoring that follow each other, n of them: `labels` int64 [n] index `class_names`, -1 for a picture
    that could not be read, whose reason stands in `errors`, "" for none. `truth` is the true class of each by the
    source's own word, a class folder, a table's label or a dataset's; None where it says nothing. `probabilities`
    float32 [n, k], NaN for what could not be read; None where neither the request nor a true class asks for them.
    `probability` float32 [n] is that of the label, `typicality` float32 [n] or None for a model that has none.
    `content` uint8 [n, 2, 32] is the sha256 of each file and that of its pixels as the model takes them, zeros for
    what could not be read; None where no true class asks for it."""

    class_names: tuple[str, ...]
    paths: Sequence[str]
    truth: Sequence[str | None]
    labels: Labels
    probability: Floats
    typicality: Floats | None
    errors: Sequence[str]
    probabilities: Probabilities | None
    content: Digests | None = None


class Observer(Protocol):
    """Somebody who is shown each part of a scoring once, in order, and says something of all of them."""

    def see(self, part: ScoredPart) -> None:
        """Look at the next rows."""

    def summary(self) -> dict[str, Any]:
        """What to say of all rows, as JSON: it is kept beside the file, for a call that finds it finished."""
