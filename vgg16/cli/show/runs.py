"""Runs and studies, as text for a person."""

from __future__ import annotations

import click

from vgg16.cli.command import Answer
from vgg16.cli.layout import compared
from vgg16.cli.show.versions import decision
from vgg16.cli.terminal import by_force, paragraph, program, short, table, width
from vgg16.reports.text import grouped, metric_with_interval, number


def run(answer: Answer) -> None:
    click.echo()
    table(
        f"{answer['dataset']['name']} {answer['dataset']['digest'][:8]}",
        [
            {
                "experiment": run["experiment"],
                "version": run["model"]["version"] if run["model"] else run["status"],
                "best val top-1": number(run["metrics"].get("best_val_top1")),
                "gate top-1": metric_with_interval(run["metrics"], "gate_top1"),
                "test top-1": metric_with_interval(run["metrics"], "test_top1") or ("kept" if run["model"] else ""),
                "seconds": number(run["metrics"].get("train_seconds"), 0),
                "run": run["run_id"][:8],
            }
            for run in answer["runs"]
        ],
    )
    decision({**answer, **answer["challenger"]})
    click.echo(
        f"\n{answer['seconds']['total']:.0f} s in all. Everything is in {short(answer['home'])}. Now look at it:"
    )
    vgg16 = program()
    page = answer["docs_page"] if answer["docs"].startswith("s3://") else short(answer["docs"])
    click.echo(f"  the data, in a browser    {page}")
    click.echo(f"  the runs, side by side    {vgg16} ui")
    click.echo(f"  who promoted what         {vgg16} history {answer['challenger']['name']}")
    if answer["production"]:
        click.echo(f"  a few answers             {vgg16} predict {short(answer['samples'])}/*.png")
    if answer["report"]:
        click.echo(f"  the report, on one page   {short(answer['report'])}")
    for does, line in _next_steps(answer):
        click.echo(f"  {does:<24}  {line}")


def _next_steps(answer: Answer) -> list[tuple[str, str]]:
    """What can be done about a version that did not come into production, each with its command."""
    name, version = answer["challenger"]["name"], answer["challenger"]["version"]
    if answer["stage"] == "Production":
        return []
    if answer["verdict"] == "promote":
        return [("approve it", f"{program()} promote {name} {version}")]
    experiment = next((run["experiment"] for run in answer["runs"] if _is(run["model"], name, version)), "")
    again = [("train it otherwise", f"{program()} run {experiment} --set seed=2")] if experiment else []
    return [*again, ("promote it all the same", by_force(name, version))]


def _is(model: Answer | None, name: str, version: str) -> bool:
    return model is not None and (model["name"], model["version"]) == (name, version)


def report(answer: Answer) -> None:
    click.echo(short(answer["page"]))


def study(answer: Answer) -> None:
    runs = {run["experiment"]: run for run in answer["runs"]}
    names = [run["model"]["name"] for run in answer["runs"] if run["model"]]
    # A member that a chain had trained before is a version of another name than those that the study trained.
    name = max(names, key=names.count, default="")
    for question, members in answer["questions"].items():
        click.echo()
        table(question, [_member(member, runs.get(member), name) for member in members])
    causes = {member["experiment"]: member["cause"] for member in answer["failed"]}
    for cause, left_out in grouped(causes).items():
        paragraph(f"{', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} left out: {cause}")
    registered = [run for run in answer["runs"] if run["model"]]
    click.echo(f"\n{answer['seconds']:.0f} s in all. The report, in a browser: {short(answer['report'])}")
    if registered:
        model = max(registered, key=lambda run: run["metrics"].get("best_val_top1", 0))["model"]
        judge = f"{program()} promote {model['name']} {model['version']}"
        click.echo(f"Nothing was promoted. This judges the best on val: {judge}")


def _member(name: str, run: Answer | None, registered: str) -> Answer:
    metrics, model = (run["metrics"], run["model"]) if run else ({}, None)
    version = f"{model['name']} {model['version']}".removeprefix(f"{registered} ") if model else ""
    return {
        "experiment": name,
        "version": "left out" if not run else version or run["status"],
        "best val top-1": number(metrics.get("best_val_top1")),
        "test top-1": metric_with_interval(metrics, "test_top1"),
        "seconds": number(metrics.get("train_seconds"), 0),
        "run": run["run_id"][:8] if run else "",
    }


def status(answer: Answer) -> None:
    if answer["trained"]:
        table("trained last", [_trained(one) for one in answer["trained"]])
    if answer["waiting"]:
        table("waits in Staging; `vgg16 promote MODEL VERSION` judges it again", answer["waiting"])
    if services := answer["services"]:
        rows = [_service(one) for one in services]
        if any(one["challenger"] for one in services):
            rows = [row | {"challenger": _shadow(one["challenger"])} for row, one in zip(rows, services, strict=True)]
        table("services of models", rows)
    if not answer["server"]:
        click.echo("No Prefect server is named, so nothing is scheduled. `vgg16 up` starts one here.")
        return
    table("scheduled", [{key: run[key] for key in ("when", "took", "state", "reason")} for run in answer["runs"]])
    following = answer["next"]
    click.echo(f"next: {following['when']}, {following['deployment']}" if following else "next: nothing is scheduled")
    click.echo(f"{answer['server']}")


def _trained(run: Answer) -> Answer:
    return {
        "ended": run["ended"],
        "experiment": run["experiment"],
        "run": run["run_id"][:8],
        "model": run["model"],
        "verdict": run["verdict"] if run["status"] == "finished" else run["status"],
    }


def _service(service: Answer) -> Answer:
    return {
        "model": service["model"],
        "version": service["version"],
        "images": service["images"],
        "url": service["url"],
        "state": service["reason"] or "in production",
    }


def _shadow(challenger: Answer | None) -> str:
    if not challenger or not challenger["images"]:
        return challenger["version"] if challenger else ""
    return f"{challenger['version']}, the same label for {challenger['same']:.0%} of {challenger['images']:,}"


def compare(answer: Answer) -> None:
    for line in compared.lines(answer["runs"], width()):
        click.echo(line)
    for sentence in answer["recipes"]:
        paragraph(sentence)
