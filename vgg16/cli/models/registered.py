"""Registered models: their versions, promotion and rollback by hand, and the ledger."""

from __future__ import annotations

from typing import Literal

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import versions as show_versions
from vgg16.cli.terminal import by_force
from vgg16.errors import RefusedError, RequestError
from vgg16.flows import progress
from vgg16.promotion import ledger
from vgg16.promotion.records import Decision
from vgg16.records import ModelVersion
from vgg16.workplace.workplace import open_workplace


@click.command()
@click.argument("name", required=False)
@answers(show_versions.models)
def models(name: str | None) -> Answer:
    """Registered versions with their stages and verdicts."""
    with progress.working("asking MLflow"):
        registry = prepare.open_reader().tracker.registry
        names = [name] if name else registry.names()
        versions = [version for model in names for version in registry.known_versions(model)]
    return {"models": [_facts(version) for version in versions]}


def _facts(version: ModelVersion) -> Answer:
    """A version as commands answer it: how long it waits, only where it does."""
    waits = None if version.waits_for else {"waits_for", "waits_until"}
    return version.model_dump(mode="json", exclude=waits)


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--stage", type=click.Choice(["staging", "production"]), default="production", show_default=True)
@click.option("--force", is_flag=True, help="Promote whatever the verdict; kept in the ledger with the reason.")
@click.option("--reason", default="", help="Why; asked for with --force.")
@answers(show_versions.decision, refused=show_versions.decision)
def promote(name: str, version: str, stage: Literal["staging", "production"], force: bool, reason: str) -> Answer:
    """Judge a version and, if the evidence is good enough, put it into production."""
    if force and not reason.strip():
        raise RequestError("--force expects a --reason, which the ledger keeps.", 'For example: --reason "demo today"')
    settings = prepare.open_console(f"promote     {name} version {version}, to {stage}")
    open_workplace().tracker.registry.version(name, version)
    prepare.serve_flows(settings)
    # Prefect reads its settings when it is imported.
    from vgg16.flows import promote as flows

    decision: Decision = flows.promote(name, version, stage, force, reason)
    if decision.verdict != "promote" and not decision.forced:
        why = "may not be promoted" if decision.verdict == "refuse" else "is not promoted, for it is undecided"
        fix = f"All the same, with a reason that the ledger keeps: {by_force(decision.name, decision.version)}"
        if decision.unproven:
            address = f"models:/{decision.name}/{decision.version}"
            fix = f"No reason puts it into production, for nothing could serve it: vgg16 export {address} --format onnx"
        # A person is shown them, each in a line.
        reasons = f": {'; '.join(decision.reasons)}" * click.get_current_context().params["as_json"]
        raise RefusedError(
            f"{decision.name} version {decision.version} {why}{reasons}.",
            fix,
            decision.model_dump(mode="json"),
        )
    return decision.model_dump(mode="json")


@click.command()
@click.argument("name")
@click.option("--to", default="", metavar="VERSION", help="This earlier version; asked for again, it changes nothing.")
@click.option("--reason", default="", help="Why; kept in the ledger.")
@answers(show_versions.rolled_back)
def rollback(name: str, to: str, reason: str) -> Answer:
    """Bring back the version that was in production before."""
    settings = prepare.open_console(f"rollback    {name}{' to version ' * bool(to)}{to}")
    open_workplace().tracker.registry.check_name(name)
    prepare.serve_flows(settings)
    from vgg16.flows import promote as flows  # after the settings, as in `promote`

    answer: Answer = flows.rollback(name, reason, to).model_dump(mode="json")
    return answer


@click.command()
@click.argument("name")
@answers(show_versions.history)
def history(name: str) -> Answer:
    """The ledger: every promotion and rollback, who, when and why."""
    with progress.working("asking MLflow"):
        workplace = prepare.open_reader()
        workplace.tracker.registry.check_name(name)
        entries = ledger.entries(workplace.store, name)
    return {"entries": [entry.model_dump(mode="json") for entry in entries]}
