"""A registered version's model card, from what MLflow holds of it by now."""

from __future__ import annotations

from datetime import UTC, datetime

from vgg16.errors import Vgg16Error
from vgg16.exports.formats import FORMATS
from vgg16.promotion import ledger
from vgg16.records import DatasetRef, ModelVersion
from vgg16.reports.card import ProvenFile, model_card
from vgg16.reports.text import people_changed
from vgg16.steps.exporting import kept
from vgg16.tracking import links
from vgg16.workplace.workplace import Workplace


def write_card(version: ModelVersion, workplace: Workplace) -> None:
    """The model card becomes the version's description."""
    tracker = workplace.tracker
    if not tracker.runs.state(version.run_id):
        return  # its run was deleted in MLflow, and with it what the card tells
    current = tracker.registry.version(version.name, version.version)
    run = tracker.runs.get(version.run_id)
    commit = f"commit {run.commit}" if run.commit else ""
    facts = {
        "run": f"{run.run_name}, {run.run_id}",
        "date": f"{datetime.fromtimestamp(run.started / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        "code": ", ".join(filter(None, [run.code_version, commit])),
        "base": run.base,
        "reasons": tracker.registry.reasons(current),
        "reviewed": _reviewed(run.trained_on, workplace),
        **_places(workplace),
    }
    experiment = tracker.results.experiment(run.run_id)
    evaluations = tracker.results.evaluations(run.run_id)
    files = _files(current, workplace)
    tracker.registry.describe(current, model_card(current, experiment, run.trained_on, evaluations, facts, files))


def _files(version: ModelVersion, workplace: Workplace) -> list[ProvenFile]:
    """The files that were proven before the version came into production last."""
    history = ledger.entries(workplace.store, version.name)
    digest = ledger.model_digest(history, version.version)
    files = []
    for name, sha256 in ledger.exports(history, version.version).items():
        known = kept.recorded(workplace.store, digest, name)
        size = known.bytes if known and known.sha256 == sha256 else 0
        files.append(ProvenFile(FORMATS[name].title, size, sha256))
    return files


def _reviewed(ref: DatasetRef, workplace: Workplace) -> str:
    """What people changed in the data, in words; "" where the store does not have the data any more."""
    try:
        return people_changed(workplace.dataset_row(ref).reviewed)
    except Vgg16Error:
        return ""


def _places(workplace: Workplace) -> dict[str, str]:
    """Where whoever uses the version finds it."""
    settings = workplace.settings
    stack = "MLFLOW_TRACKING_URI" in settings.supplied
    return {
        "address": links.without_login(settings.tracking_uri),
        "home": str(settings.home) if settings.owns_database else "",
        "env": str(settings.home / "stack" / "env") if stack else "",
    }
