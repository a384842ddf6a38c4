"""The flows `promote` and `rollback`: evidence, verdict, ledger entry, and then the stage, in this order."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

from prefect import flow
from pydantic import WithJsonSchema

from flows import tasks
from flows.progress import say
from vgg16.config import rows
from vgg16.errors import RefusedError, RequestError
from vgg16.promotion.ledger import ConflictError
from vgg16.promotion.records import Decision, Standing
from vgg16.records import Stage, Verdict

# A decision that another one overtakes is made again on what is so by then.
TRIES = 3

# What the forms of the deployments offer: one registered model for each dataset.
Named = Annotated[str, WithJsonSchema({"type": "string", "enum": [f"vgg16-{name}" for name in rows.DATASETS]})]


@flow(name="promote", flow_run_name="promote {name} {version}")
def promote(  # noqa: PLR0917  # the fields of the deployment's form
    name: Named,
    version: str,
    stage: Literal["staging", "production"] = "production",
    force: bool = False,
    reason: str = "",
    approved: bool = True,
) -> Decision:
    """Judge a registered version and move its stage as the verdict says.

    With `force` it is promoted whatever the verdict, which the ledger keeps with the reason. Where the experiment asks
    for a person's approval, a version that is not `approved` waits in Staging. Raises RefusedError for the version that
    is in production already, and RequestError for `force` without a reason.
    """
    if force and not reason.strip():
        raise RequestError("force expects a reason, which the ledger keeps.")
    for _ in range(TRIES - 1):
        with contextlib.suppress(ConflictError):
            return _decide(name, version, stage, force, reason, approved)
    return _decide(name, version, stage, force, reason, approved)


def _decide(  # noqa: PLR0917  # what promote takes
    name: str, version: str, stage: Literal["staging", "production"], force: bool, reason: str, approved: bool
) -> Decision:
    standing = tasks.repair_stages(name)
    if version == standing.champion:
        return _already(standing, name, version, approved)
    judged = tasks.judge_version(name, version, standing, stage)
    verdict = judged.verdict
    if force:
        verdict = verdict.model_copy(update={"reasons": (f"forced: {reason}", *verdict.reasons)})
    waits = verdict.verdict == "promote" and stage == "production" and judged.approval and not approved
    if waits and not force:
        wanted = f"waits for a person's approval: vgg16 promote {name} {version}"
        verdict = verdict.model_copy(update={"reasons": (wanted, *verdict.reasons)})
    tasks.tag_verdict(name, version, verdict)
    # What works waits in Staging for more evidence, or for a person.
    kept: Stage = "Archived" if verdict.verdict == "refuse" and not force else "Staging"
    tasks.move_stage(name, version, kept)
    if (not force and (verdict.verdict != "promote" or waits)) or stage == "staging":
        return _told(name, version, verdict, kept, standing.champion, forced=force)
    facts = {"name": name, "action": "promote", "version": version, "forced": force, "evidence": judged.evidence}
    # A forced version has proved nothing: what counts as the best stays what it was.
    reference = version if judged.significantly_better and not force else standing.reference or version
    facts |= {"dataset_digest": judged.dataset_digest, "reference": reference}
    tasks.write_ledger(standing, facts | verdict.model_dump())
    tasks.repair_stages(name)
    tasks.tell_of("promoted", name, f"{name} version {version} is in production: {'; '.join(verdict.reasons)}")
    # What was forced although it could not be asked has no answers on test either.
    if judged.evidence:
        tasks.score_on_test(name, version)
    return _told(name, version, verdict, "Production", standing.champion, forced=force)


def _already(standing: Standing, name: str, version: str, approved: bool) -> Decision:
    """What is left to do for the version in production: a kill may have come before its scores on test. To a chain,
    whose version it can only be by an attempt of its own that was killed, that attempt's decision; to a person who
    asks, RefusedError."""
    entry = next(each for each in reversed(standing.history) if each.version == version)
    if entry.evidence:
        tasks.score_on_test(name, version)
    if approved or entry.verdict is None:
        raise RefusedError(f"{name} version {version} is in production already.")
    verdict = Verdict(verdict=entry.verdict, reasons=entry.reasons)
    return _told(name, version, verdict, "Production", entry.previous, forced=entry.forced)


@flow(name="rollback", flow_run_name="rollback {name}")
def rollback(name: Named, reason: str = "") -> Decision:
    """Bring back the version that was in production before. Raises RefusedError where there was none."""
    standing = tasks.repair_stages(name)
    if not standing.before:
        found = f"version {standing.champion} is the first" if standing.champion else "nothing is in production"
        raise RefusedError(f"{name} has no earlier production version to bring back: {found}.")
    reasons = (reason or "asked for",)
    facts = {"name": name, "action": "rollback", "version": standing.before, "verdict": None, "reasons": reasons}
    tasks.write_ledger(standing, facts)
    tasks.repair_stages(name)
    text = f"{name} version {standing.before} is in production again, version {standing.champion} is not: {reasons[0]}"
    tasks.tell_of("rolled-back", name, text)
    say(f"rollback    {text}")
    return Decision(
        name=name,
        version=standing.before,
        verdict=None,
        reasons=reasons,
        stage="Production",
        previous=standing.champion,
    )


def _told(name: str, version: str, verdict: Verdict, stage: Stage, previous: str, *, forced: bool = False) -> Decision:
    tasks.write_card(name, version)
    say(f"verdict     {verdict.verdict}: {name} version {version} goes to {stage}")
    return Decision(
        name=name,
        version=version,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        stage=stage,
        previous=previous,
        forced=forced,
    )
