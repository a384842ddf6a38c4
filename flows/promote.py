"""The flows `promote` and `rollback`: evidence, verdict, ledger entry, and then the stage, in this order."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

from prefect import flow
from pydantic import WithJsonSchema

from flows import tasks
from flows.progress import say
from vgg16 import catalog
from vgg16.errors import RefusedError
from vgg16.ledger import ConflictError
from vgg16.records import Decision, Stage, Verdict

# A decision that another one overtakes is made again on what is so by then.
TRIES = 3

# What the forms of the deployments offer: one registered model for each dataset.
Named = Annotated[str, WithJsonSchema({"type": "string", "enum": [f"vgg16-{name}" for name in catalog.DATASETS]})]


@flow(name="promote", flow_run_name="promote {name} {version}")
def promote(
    name: Named,
    version: str,
    stage: Literal["staging", "production"] = "production",
    force: bool = False,
    reason: str = "",
) -> Decision:
    """Judge a registered version and move its stage as the verdict says.

    With `force` it is promoted whatever the verdict, which the ledger keeps with the reason. Raises RefusedError for
    the version that is in production already.
    """
    for _ in range(TRIES - 1):
        with contextlib.suppress(ConflictError):
            return _decide(name, version, stage, force, reason)
    return _decide(name, version, stage, force, reason)


def _decide(name: str, version: str, stage: Literal["staging", "production"], force: bool, reason: str) -> Decision:
    standing = tasks.repair_stages(name)
    if version == standing.champion:
        raise RefusedError(f"{name} version {version} is in production already.")
    verdict, evidence, digest = tasks.judge_version(name, version, standing.champion, stage)
    if force:
        verdict = verdict.model_copy(update={"reasons": (f"forced: {reason}", *verdict.reasons)})
    tasks.tag_verdict(name, version, verdict)
    if verdict.verdict != "promote" and not force:
        tasks.move_stage(name, version, "Archived")
        tasks.write_card(name, version)
        return _told(name, version, verdict, "Archived", standing.champion)
    tasks.move_stage(name, version, "Staging")
    tasks.write_card(name, version)
    if stage == "staging":
        return _told(name, version, verdict, "Staging", standing.champion, forced=force)
    facts = {"name": name, "action": "promote", "version": version, "forced": force, "evidence": evidence}
    tasks.write_ledger(standing, facts | verdict.model_dump() | {"dataset_digest": digest})
    tasks.repair_stages(name)
    tasks.tell_of("promoted", name, f"{name} version {version} is in production: {'; '.join(verdict.reasons)}")
    return _told(name, version, verdict, "Production", standing.champion, forced=force)


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
