"""The links of a version itself: its place in the registry, and its files."""

from __future__ import annotations

from vgg16.errors import Vgg16Error
from vgg16.promotion import reconcile
from vgg16.steps.lineage.lineage import Lineage


def registry(lineage: Lineage) -> str:
    """The version is in MLflow, and stages and alias are what an intact ledger says."""
    version, workplace = lineage.version, lineage.workplace
    trouble = reconcile.trouble(
        workplace.tracker.registry, workplace.store, lineage.name, workplace.settings.moved_by_hand
    )
    if trouble:
        raise Vgg16Error(trouble)
    history, own = lineage.history, lineage.entries
    if not own:
        return f"stage {version.stage}; none of the ledger's {len(history)} entries is of it"
    unchained = sum(not entry.previous_digest for entry in history[1:])
    chain = f"; {unchained + 1} entries are older than the chain of digests, which vgg16 0.1 did not record"
    intact = f"the ledger's chain of {len(history)} is intact{chain if unchained else ''}"
    return f"stage {version.stage}, as entry {own[-1].number} ({own[-1].action}) has it; {intact}"


def model(lineage: Lineage) -> str:
    """The version's files have the digest that was logged, and the one that the ledger keeps."""
    files = lineage.files
    promoted = [entry for entry in lineage.entries if entry.model_digest]
    kept = f", and entry {promoted[-1].number} of the ledger" if promoted else ""
    if files.covered:
        return f"its files have digest {files.digest[:12]}..., as MLflow{kept} says"
    return (
        f"its weights have the sha256 that MLflow keeps{kept}; a digest of its class names and framing was not "
        f"recorded by the vgg16 that logged it; all have {files.digest[:12]}... now"
    )
