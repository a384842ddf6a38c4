"""The flows `promote` and `rollback`: evidence, verdict, ledger entry, and then the stage, in this order."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from flows import tasks
from flows.progress import say
from vgg16 import ledger
from vgg16.errors import RefusedError
from vgg16.records import Decision, Verdict


@flow(name="promote", flow_run_name="promote {name} {version}", validate_parameters=False)
def promote(
    name: str,
    version: str,
    stage: Literal["staging", "production"] = "production",
    force: bool = False,
    reason: str = "",
) -> Decision:
    """Judge a registered version and move its stage as the verdict says.

    With `force` it is promoted whatever the verdict, which the ledger keeps with the reason. Raises RefusedError for
    the version that is in production already.
    """
    history = tasks.repair_stages(name)
    in_production = ledger.productions(history)
    champion = in_production[-1] if in_production else ""
    if version == champion:
        raise RefusedError(f"{name} version {version} is in production already.")
    verdict, evidence = tasks.judge_version(name, version)
    if stage == "staging":
        tasks.tag_verdict(name, version, verdict)
        tasks.move_stage(name, version, "Staging")
        return _decision(name, version, verdict, "Staging", champion)
    if verdict.verdict != "promote" and not force:
        tasks.tag_verdict(name, version, verdict)
        tasks.move_stage(name, version, "Archived")
        return _decision(name, version, verdict, "Archived", champion)
    tasks.move_stage(name, version, "Staging")
    reasons = (f"forced: {reason}", *verdict.reasons) if force else verdict.reasons
    entry = tasks.next_entry(
        history,
        name=name,
        action="promote",
        version=version,
        verdict=verdict.verdict,
        reasons=reasons,
        forced=force,
        evidence=evidence,
    )
    tasks.write_ledger(entry)
    tasks.repair_stages(name)
    decided = Verdict(verdict="promote", reasons=reasons)
    tasks.tag_verdict(name, version, decided)
    return _decision(name, version, decided, "Production", champion)


@flow(name="rollback", flow_run_name="rollback {name}", validate_parameters=False)
def rollback(name: str, reason: str = "") -> Decision:
    """Bring back the version that was in production before. Raises RefusedError where there was none."""
    history = tasks.repair_stages(name)
    in_production = ledger.productions(history)
    if len(in_production) < 2:
        found = f"version {in_production[0]} is the first" if in_production else "nothing is in production"
        raise RefusedError(f"{name} has no earlier production version to bring back: {found}.")
    version, previous = in_production[-2], in_production[-1]
    reasons = (reason or "asked for",)
    entry = tasks.next_entry(history, name=name, action="rollback", version=version, verdict="promote", reasons=reasons)
    tasks.write_ledger(entry)
    tasks.repair_stages(name)
    return _decision(name, version, Verdict(verdict="promote", reasons=reasons), "Production", previous)


def _decision(name: str, version: str, verdict: Verdict, stage: str, previous: str) -> Decision:
    say(f"verdict     {verdict.verdict} {name} version {version}: {'; '.join(verdict.reasons)}")
    return Decision(
        name=name,
        version=version,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        stage=stage,  # type: ignore[arg-type]
        previous=previous,
    )
