"""The links of a version's training: its run, its settings, the weights it began with, the code and its packages."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vgg16.config import canonical
from vgg16.config.catalog import KEPT_WEIGHTS, MODELS
from vgg16.config.overrides import flat
from vgg16.errors import RefusedError, RequestError, Vgg16Error, first_line
from vgg16.promotion import ledger, soundness
from vgg16.records import TrackedRun
from vgg16.steps import chain
from vgg16.steps.lineage import packages
from vgg16.steps.lineage.lineage import Lineage
from vgg16.storage import addresses, weights
from vgg16.storage.files import sha256_of
from vgg16.tracking import links
from vgg16.tracking.tags import PACKAGES

# Settings that are named where more of them differ.
_NAMED = 3


def run(lineage: Lineage) -> str:
    """The run that made the version is in MLflow, and was ended."""
    made = lineage.run
    state = lineage.workplace.tracker.runs.state(made.run_id)
    if not state:
        where = links.without_login(lineage.workplace.settings.tracking_uri)
        raise Vgg16Error(
            f"Expected the run {made.run_id} among MLflow's runs, found it deleted.",
            f"Bring it back: MLFLOW_TRACKING_URI={where} mlflow runs restore --run-id {made.run_id}",
        )
    if state == "unfinished":
        raise Vgg16Error(
            f"Expected the run {made.run_id} finished, found that it was cut off before its end.",
            "The same `vgg16 run` finishes it.",
        )
    return f"run {made.run_id[:8]}, {made.run_name}, {made.status}"


def settings(lineage: Lineage) -> str:
    """The request's digest follows from experiment, data and base; the parameters that MLflow shows are the same."""
    made, experiment = lineage.run, lineage.experiment
    digest = canonical.request_digest(experiment, made.trained_on.digest, made.base)
    if digest != made.request:
        kept = f"{made.request[:12]}..." if made.request else "none"
        raise Vgg16Error(
            f"Expected the request's digest {kept} from the run's experiment.json, data and base, found "
            f"{digest[:12]}...: one of them, or the tag vgg16.request, was changed.",
            f"Bring the run {made.run_id} back from a copy, or train again.",
        )
    if different := _different(flat(experiment.model_dump(mode="json")), made):
        more = f" and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
        raise Vgg16Error(
            f"Expected the run's parameters to be those of its experiment.json; {'; '.join(different[:_NAMED])}{more}.",
            f"experiment.json is what was trained: correct what was changed in the run {made.run_id}.",
        )
    return (
        f"request {digest[:12]}... follows from {experiment.name}, data and base; {len(made.params)} parameters agree"
    )


def _different(wanted: dict[str, object], made: TrackedRun) -> list[str]:
    """The parameters that are not as the experiment has them, in words."""
    different = []
    for key, value in wanted.items():
        found = made.params.get(key)
        if found is None or not _same(str(value), found):
            different.append(f"{key} is {value} there, {found if found is not None else 'missing'} among these")
    return different


def _same(one: str, other: str) -> bool:
    """Whether two texts are one value: versions of a library write 1e-05 or 0.00001."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def base(lineage: Lineage) -> str:
    """The weights that the training began with are still there, and what they were."""
    made = lineage.run
    if not made.base:
        return "random weights: there is nothing to hold against a digest"
    if made.base == "imagenet":
        return "ImageNet's weights, which Keras holds against their hash when it downloads them"
    if made.base.startswith(KEPT_WEIGHTS):
        # Not the copy that this machine may have of it.
        with (
            tempfile.TemporaryDirectory(prefix="vgg16-") as folder,
            weights.kept(lineage.workplace.store, made.base, Path(folder)),
        ):
            return f"{made.base[: len(KEPT_WEIGHTS) + 12]}..., in the store under its sha256"
    if made.base.startswith(MODELS):
        return _of_model(lineage, made)
    return _of_file(made)


def _of_file(made: TrackedRun) -> str:
    """Of a file of weights on a disk or in a bucket. Whoever trained had it: that it is not here breaks nothing."""
    with tempfile.TemporaryDirectory(prefix="vgg16-") as folder:
        file = Path(made.base)
        try:
            if made.base.startswith("s3://"):
                file = Path(folder, "weights")
                addresses.download(made.base, file)
            found = sha256_of(file)
        except Exception as error:  # a bucket that is closed to us, another machine's disk
            kept = f"sha256 {made.base_digest[:12]}... is recorded" if made.base_digest else "no digest was recorded"
            return f"{made.base}: {kept}; it cannot be had from here: {first_line(error)}"
    return _as_recorded(made, found)


def _of_model(lineage: Lineage, made: TrackedRun) -> str:
    registry = lineage.workplace.tracker.registry
    try:
        version = registry.version_at(made.base)
        # A ledger of its own that is damaged is told by the link `registry`.
        own = version.name == lineage.name
        history = lineage.readable if own else ledger.entries(lineage.workplace.store, version.name)
        found = soundness.check(registry, version.name, version.version, history)
    except RequestError as error:
        recorded = f" with digest {made.base_digest[:12]}..." if made.base_digest else ""
        raise Vgg16Error(
            f"Expected the base {made.base}{recorded}, found none: {error.message}",
            f"Bring it back in MLflow, or train {made.experiment} again from another one.",
        ) from None
    except RefusedError as error:
        raise Vgg16Error(f"The base {version.name} version {version.version}: {error.message}", error.hint) from None
    return _as_recorded(made, found.digest)


def _as_recorded(made: TrackedRun, found: str) -> str:
    if not made.base_digest:
        then = f"the digest that it had then was not recorded by vgg16 {made.code_version or '0.1'}"
        return f"{made.base} is there with digest {found[:12]}...; {then}"
    if found != made.base_digest:
        raise Vgg16Error(
            f"Expected the base {made.base} with digest {made.base_digest[:12]}..., found {found[:12]}...",
            "What is there was put in its place later: bring back what was there, or train again.",
        )
    return f"{made.base} is there with digest {found[:12]}..., as when training began"


def commit(lineage: Lineage) -> str:
    """The code that trained is recorded; where this is a checkout, it knows the commit."""
    made = lineage.run
    if not made.code_version:
        raise Vgg16Error(
            f"Expected the tag vgg16.version of the run {made.run_id}, found none: nothing says which code trained it.",
            "Bring the tag back, or train again.",
        )
    code = f"vgg16 {made.code_version}"
    if not made.commit:
        return f"{code}, which was installed and no checkout"
    code += f", commit {made.commit}"
    clean, dirty, _ = made.commit.partition("-dirty")
    changes = "; files that no commit has were changed" if dirty else ""
    found = chain.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{clean}^{{commit}}")
    if found is None:
        return f"{code}: recorded, not checkable here, for this is no checkout{changes}"
    if found.returncode:
        shallow = chain.git("rev-parse", "--is-shallow-repository")
        if shallow and shallow.stdout.strip() == "true":
            return f"{code}: recorded, not checkable here, for this checkout is a shallow one{changes}"
        raise Vgg16Error(
            f"Expected the commit {clean} in this checkout, found none of that name.",
            "Fetch what it was pushed to (git fetch --all), or verify where it was made.",
        )
    return f"{code}, which this checkout has{changes}"


def lock(lineage: Lineage) -> str:
    """The packages that were installed where it was trained are recorded, as they were."""
    made = lineage.run
    listed = lineage.workplace.tracker.results.text(made.run_id, PACKAGES)
    if listed is None and not made.packages:
        return f"the packages that trained it were not recorded by vgg16 {made.code_version or '0.1'}"
    found = packages.digest(listed) if listed is not None else ""
    if found != made.packages:
        raise Vgg16Error(
            f"Expected the run's file {PACKAGES} with sha256 {made.packages[:12] or 'of a tag'}..., found "
            f"{f'{found[:12]}...' if found else 'no file'}.",
            f"Bring the file, or the tag vgg16.packages, of the run {made.run_id} back from a copy.",
        )
    return f"{packages.compared(listed or '')}, digest {found[:12]}..."
