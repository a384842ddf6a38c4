"""Facts of promotion: the ledger's entries, looks at gate images, and decisions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vgg16.config.types import Frozen
from vgg16.records import Outcome, Stage, Verdict


class LedgerEntry(Frozen):
    """One change of what is in production: a promotion, a rollback, or a move by hand in MLflow that was adopted.

    `previous` is the version that was in production before, "" where none was. `verdict` is what the gates said, None
    where nothing was judged; `dataset_digest` is that of the images behind the evidence. `reference` is the version
    that challengers must not be worse than from now on: the last one that was significantly better than all before it.
    `previous_digest` is the sha256 of the entry before, byte for byte; "" in the first one and in what earlier versions
    wrote. `model_digest` is that of all that the version's answers follow from, its class names too; "" where that was
    not to be had, and in what earlier versions wrote. `exports` are the files of other formats that were proven to
    answer as it does before the entry was written: the format, such as `onnx`, and the sha256 under which the store
    keeps its file; none in what earlier versions wrote.
    """

    number: int
    name: str
    action: Literal["promote", "rollback", "adopt"]
    version: str
    previous: str
    by: str
    at: str
    verdict: Outcome | None
    reasons: tuple[str, ...]
    forced: bool = False
    evidence: dict[str, float] = Field(default_factory=dict)
    dataset_digest: str = ""
    reference: str = ""
    previous_digest: str = ""
    model_digest: str = ""
    exports: dict[str, str] = Field(default_factory=dict)


class Judgement(Frozen):
    """One look at gate images: which version was compared with which. `reference` is the one that it must not be worse
    than, "" where it must be better. `images_digest` is that of the images at their size with their labels; `gate` is
    that of the listing of the pictures by their content, "" in what an earlier version wrote."""

    images_digest: str
    version: str
    opponents: tuple[str, ...]
    reference: str
    gate: str = ""


class GateResult(Frozen):
    """What the gates say of a version: the verdict, the numbers behind it, the digests of the dataset and of the model
    that was asked, whether the challenger is significantly better than all it was compared with, and whether a person
    must approve."""

    verdict: Verdict
    evidence: dict[str, float] = Field(default_factory=dict)
    dataset_digest: str = ""
    model_digest: str = ""
    significantly_better: bool = False
    approval: bool = False


class Standing(Frozen):
    """Where a registered model stands: its ledger, the version in production, the one that a rollback brings back, and
    the one that challengers must not be worse than; "" for none, or for one that was deleted in MLflow. `unfinished` is
    the number of the last entry where it is a promotion whose scores and reports are still to come, 0 for none."""

    history: tuple[LedgerEntry, ...]
    champion: str
    before: str
    reference: str
    unfinished: int = 0


class Decision(Frozen):
    """How a judgement ended: what the gates said (None for a rollback) and warned of, the stage that the version has
    now, the production version before it, and the page on the version's run, "" for none. `changed` is False where a
    rollback to this version found it in production. `exports` are the proven files of what went into production, by
    their formats; `unproven` is why there are none of what would have gone there, "" for all others."""

    name: str
    version: str
    verdict: Outcome | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    stage: Stage
    previous: str
    forced: bool = False
    report: str = ""
    changed: bool = True
    exports: dict[str, str] = Field(default_factory=dict)
    unproven: str = ""
