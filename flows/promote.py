"""The flows `promote` and `rollback`: evidence, verdict, ledger entry, and then the stage, in this order."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import WithJsonSchema

from vgg16.config.catalog import SHIPPED
from vgg16.errors import RefusedError, RequestError
from vgg16.flows import tasks
from vgg16.flows.progress import say
from vgg16.flows.server import tell_of
from vgg16.promotion import ledger
from vgg16.promotion.ledger import ConflictError
from vgg16.promotion.records import Decision, GateResult, LedgerEntry, Standing
from vgg16.records import ModelVersion, Stage
from vgg16.steps.fresh_process import FreshProcess
from vgg16.tracking.protocol import model_name, own_name

# A decision that another one overtakes is made again on what is so by then.
TRIES = 3
# What the forms of the deployments offer, with help on each field: a registered model to choose, at first that of each
# shipped dataset, later those that there are (`tasks.offer_models`); or the name of another. What a form does not have
# its server refuses.
_OTHER = rf"^{model_name('')}[a-z0-9][a-z0-9_-]*(\.study)?$"
RegisteredModel = Annotated[
    str,
    WithJsonSchema(
        {
            "description": "The registered model: `vgg16-DATASET`; of a member of a study `vgg16-DATASET.study`.",
            "anyOf": [
                {"title": "registered", "type": "string", "enum": [model_name(name) for name in SHIPPED.datasets]},
                {"title": "other", "type": "string", "pattern": _OTHER},
            ],
        }
    ),
]
Version = Annotated[
    str, WithJsonSchema({"type": "string", "description": "The number of the version that is judged, such as 3."})
]
Target = Annotated[
    Literal["staging", "production"],
    WithJsonSchema(
        {
            "type": "string",
            "enum": ["staging", "production"],
            "description": "How far it may come: production asks for all gates, staging only whether it works.",
        }
    ),
]
Force = Annotated[
    bool,
    WithJsonSchema(
        {"type": "boolean", "description": "Promote it whatever the verdict; the ledger keeps that, with the reason."}
    ),
]
Reason = Annotated[
    str,
    WithJsonSchema({"type": "string", "description": "Why, for the ledger; to force a promotion it must be given."}),
]
Approved = Annotated[
    bool,
    WithJsonSchema(
        {
            "type": "boolean",
            "description": "You approve it. Without, a version whose experiment asks for a person waits in Staging.",
        }
    ),
]
Earlier = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "description": "This earlier production version; empty for the one before the present one."}
    ),
]


@dataclass(frozen=True)
class PromotionRequest:
    """Which version is to be promoted to which stage, and how: as the flow `promote` takes it."""

    name: str
    version: str
    stage: Literal["staging", "production"]
    force: bool
    reason: str
    approved: bool


def promote_flow(scorer: FreshProcess | None) -> Any:
    """The flow, with the process that asks versions, None for one of its own. A server stores a flow's parameters, and
    a process is none."""

    @flow(name="promote", flow_run_name="promote {name} {version}")
    def promote(  # noqa: PLR0917  # the fields of the deployment's form
        name: RegisteredModel,
        version: Version,
        stage: Target = "production",
        force: Force = False,
        reason: Reason = "",
        approved: Approved = True,
    ) -> Decision:
        """Judge a registered version and move its stage as the verdict says.

        With `force` it is promoted whatever the verdict, which the ledger keeps with the reason. Where the experiment
        asks for a person's approval, a version that is not `approved` waits in Staging. Raises RefusedError for the
        version that is in production already, and RequestError for `force` without a reason.
        """
        if force and not reason.strip():
            raise RequestError("force expects a reason, which the ledger keeps.")
        request = PromotionRequest(name, version, stage, force, reason, approved)
        with scorer or FreshProcess() as asks:
            for _ in range(TRIES - 1):
                with contextlib.suppress(ConflictError):
                    return _decide(request, asks)
            return _decide(request, asks)

    return promote


promote = promote_flow(None)


def _decide(request: PromotionRequest, scorer: FreshProcess) -> Decision:
    if own_name(request.name) != request.name:
        entered = tasks.enter_member(tasks.find_version(request.name, request.version))
        request = replace(request, name=entered.name, version=entered.version)
    standing = tasks.repair_stages(request.name)
    version = tasks.find_version(request.name, request.version)
    if version.version == standing.champion:
        return _already(standing, version, request)
    entry = _promotion_of(version, standing)
    if entry and not request.approved:
        return _earlier(entry, standing, version.stage)
    if request.stage == "production":
        tasks.check_exportable_version(version)
    judged = tasks.judge_version(version, standing, request.stage, scorer)
    verdict = judged.verdict
    if request.force:
        verdict = verdict.model_copy(update={"reasons": (f"forced: {request.reason}", *verdict.reasons)})
    passes = verdict.verdict == "promote" and request.stage == "production"
    waits = passes and judged.approval and not request.approved and not request.force
    if waits:
        approval = f"waits for a person's approval: vgg16 promote {version.name} {version.version}"
        verdict = verdict.model_copy(update={"reasons": (approval, *verdict.reasons)})
    goes = (passes and not waits) or (request.force and request.stage == "production")
    exports, unproven = _proven(version, judged) if goes else ({}, "")
    if unproven:
        # Nothing could serve it, whoever asks for it.
        reasons = tuple(dict.fromkeys((unproven, *judged.verdict.reasons)))
        verdict, goes = verdict.model_copy(update={"verdict": "refuse", "reasons": reasons}), False
    tasks.tag_verdict(version, verdict)
    # What works waits in Staging for more evidence, or for a person.
    refused = verdict.verdict == "refuse" and (unproven or not request.force)
    kept: Stage = "Archived" if refused else "Staging"
    tasks.move_stage(version, kept)
    decided = Decision(
        name=version.name,
        version=version.version,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
        stage=kept,
        previous=standing.champion,
        forced=request.force and not unproven,
        exports=exports,
        unproven=unproven,
    )
    if not goes:
        if kept == "Staging":
            tasks.begin_wait(version)
            if judged.evidence:
                tasks.export_waiting(version, judged.model_digest)
        tasks.list_waiting(version.name)
        return _ended(decided, version)
    _put_into_production(version, standing, judged, decided)
    return _finished(decided.model_copy(update={"stage": "Production"}), version, len(standing.history) + 1)


def _proven(version: ModelVersion, judged: GateResult) -> tuple[dict[str, str], str]:
    """The files of a judged version, or why there are none."""
    if not judged.evidence:
        return {}, judged.verdict.reasons[0]  # it could not be asked
    try:
        return tasks.export_version(version, judged.model_digest), ""
    except RefusedError as error:
        return {}, str(error)


def _put_into_production(version: ModelVersion, standing: Standing, judged: GateResult, decided: Decision) -> None:
    """The ledger's entry first, of a version whose files are in the store by now; then the stage, then the scores on
    test."""
    # A forced version has proved nothing: what counts as the best stays what it was.
    better = judged.significantly_better and not decided.forced
    reference = version.version if better else standing.reference or version.version
    facts = {
        "name": version.name,
        "action": "promote",
        "version": version.version,
        "forced": decided.forced,
        "evidence": judged.evidence,
        "dataset_digest": judged.dataset_digest,
        "model_digest": judged.model_digest,
        "reference": reference,
        "exports": decided.exports,
    }
    reasons = (*decided.reasons, *(f"warning: {text}" for text in decided.warnings))
    tasks.write_ledger(standing, facts | {"verdict": decided.verdict, "reasons": reasons})
    tasks.repair_stages(version.name)
    _tell_of_promotion(version, reasons)
    # What was forced although it could not be asked has no answers on test either.
    if judged.evidence:
        tasks.score_on_test(version)


def _tell_of_promotion(version: ModelVersion, reasons: tuple[str, ...]) -> None:
    tell_of(
        "promoted", version.name, f"{version.name} version {version.version} is in production: {'; '.join(reasons)}"
    )


def _promotion_of(version: ModelVersion, standing: Standing) -> LedgerEntry | None:
    """The last entry by which the gates put the version into production, None for none."""
    entries = (entry for entry in reversed(standing.history) if entry.version == version.version and entry.verdict)
    return next(entries, None)


def _already(standing: Standing, version: ModelVersion, request: PromotionRequest) -> Decision:
    """What is left to do for the version in production: a kill may have come before its scores on test. To whose
    attempt that was, that attempt's decision: to a chain always, for it asks of its own versions alone, to a person
    where something is left to do. Else RefusedError."""
    entry = next(entry for entry in reversed(standing.history) if entry.version == version.version)
    cut_off = entry.number == standing.unfinished and request.stage == "production"
    if entry.evidence:
        tasks.score_on_test(version)
    if entry.verdict is None or (request.approved and not cut_off):
        raise RefusedError(
            f"{version.name} version {version.version} is in production already.",
            f"`vgg16 history {version.name}` shows since when, and why.",
        )
    if cut_off:
        say(f"promotion   of {entry.at}, by {entry.by}, was cut off; it is finished now")
        _tell_of_promotion(version, entry.reasons)
        return _finished(_earlier(entry, standing, "Production"), version, entry.number)
    return _ended(_earlier(entry, standing, "Production"), version)


def _earlier(entry: LedgerEntry, standing: Standing, stage: Stage) -> Decision:
    """A decision of which the ledger has the entry already. A version that is in production no more stays out of it:
    what came after this entry was decided with it in view."""
    return Decision(
        name=entry.name,
        version=entry.version,
        verdict=entry.verdict,
        reasons=entry.reasons,
        stage=stage,
        previous=entry.previous if stage == "Production" else standing.champion,
        forced=entry.forced,
        exports=entry.exports,
    )


def _finished(decision: Decision, version: ModelVersion, number: int) -> Decision:
    """The rest of a promotion, of which the ledger has the entry of this number, and the note that nothing is left."""
    # What was forced has shown nothing, and is shown to be better than nobody.
    if not decision.forced:
        tasks.end_waits(version)
    tasks.list_waiting(version.name)
    ended = _ended(decision, version)
    tasks.end_promotion(version.name, number)
    return ended


def _ended(decision: Decision, version: ModelVersion) -> Decision:
    tasks.write_card(version)
    page = tasks.write_report(version.run_id)
    forced = " by force" * (decision.forced and decision.verdict != "promote")
    say(f"verdict     {decision.verdict}: {decision.name} version {decision.version} goes{forced} to {decision.stage}")
    return decision.model_copy(update={"report": page})


@flow(name="rollback", flow_run_name="rollback {name}")
def rollback(name: RegisteredModel, reason: Reason = "", to: Earlier = "") -> Decision:
    """Bring back the version that was in production before, or an earlier one, `to` which; that one being in
    production, nothing changes.

    A rollback that was cut off before MLflow followed it is finished, and no other is made. Raises RefusedError where
    there is nothing to bring back, or its files are not what was in production, and RequestError for a version that
    does not exist.
    """
    settled = tasks.check_stages(name)
    standing, cut_off = settled.standing, settled.finished
    if cut_off and cut_off.action == "rollback" and to in ("", cut_off.version):
        say(f"rollback    of {cut_off.at}, by {cut_off.by}, was cut off; it is finished now")
        return _rolled_back(cut_off.version, cut_off.previous, cut_off.reasons[0], name, cut_off.exports)
    if to and to == standing.champion:
        why = f"version {to} is in production already; nothing was changed"
        say(f"rollback    {name} {why}")
        kept = ledger.exports(standing.history, to)
        return _back_in_production(name, to, to, (why,), kept).model_copy(update={"changed": False})
    version = _to_bring_back(name, standing, to)
    tasks.check_version(name, version, standing)
    exports = tasks.keep_exports(name, version, standing)
    facts = {"name": name, "action": "rollback", "version": version, "verdict": None, "exports": exports}
    tasks.write_ledger(standing, facts | {"reasons": (reason or "asked for",)})
    tasks.repair_stages(name)
    return _rolled_back(version, standing.champion, reason or "asked for", name, exports)


def _to_bring_back(name: str, standing: Standing, to: str) -> str:
    """The version that is asked for, the one before where none is. Raises RefusedError and RequestError."""
    if not to:
        if not standing.before:
            first = f"version {standing.champion} is the first" if standing.champion else "nothing is in production"
            raise RefusedError(
                f"{name} has no earlier production version to bring back: {first}.",
                f"`vgg16 models {name}` lists its versions, `vgg16 promote {name} VERSION` judges one.",
            )
        return standing.before
    tasks.find_version(name, to)
    earlier = [version for version in ledger.productions(standing.history) if version != standing.champion]
    if to not in earlier:
        listed = f"versions {', '.join(dict.fromkeys(earlier))} were" if earlier else "none was"
        raise RefusedError(
            f"{name} version {to} was not in production before version {standing.champion or 'none'}: {listed}.",
            f"`vgg16 promote {name} {to}` judges it; `vgg16 history {name}` shows what was in production.",
        )
    return to


def _rolled_back(version: str, previous: str, reason: str, name: str, exports: dict[str, str]) -> Decision:
    text = f"{name} version {version} is in production again, version {previous} is not: {reason}"
    tell_of("rolled-back", name, text)
    say(f"rollback    {text}")
    tasks.list_waiting(name)
    return _back_in_production(name, version, previous, (reason,), exports)


def _back_in_production(
    name: str, version: str, previous: str, reasons: tuple[str, ...], exports: dict[str, str]
) -> Decision:
    return Decision(
        name=name,
        version=version,
        verdict=None,
        reasons=reasons,
        stage="Production",
        previous=previous,
        exports=exports,
    )
