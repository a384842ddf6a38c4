"""A command's answer as text for a person."""

from __future__ import annotations

import json
from typing import Any

import click

from vgg16.cli.command import Answer
from vgg16.cli.layout import compared, tables
from vgg16.cli.layout import history as ledger
from vgg16.cli.terminal import by_force, counts, paragraph, printable, program, short, table, width
from vgg16.reports.text import grouped, metric_with_interval, number, plural

MOST_LISTED = 20
# A class with so many times fewer pictures than the largest is often missed by a network that learns them as they come.
UNEQUAL = 5


def catalog(answer: Answer) -> None:
    for kind, rows in answer.items():
        table(kind, rows)


def begun_project(answer: Answer) -> None:
    click.echo(f"{answer['project']} is yours to change. Then: vgg16 run mine")


def schema(answer: Answer) -> None:
    click.echo(json.dumps(answer, indent=1))


def row(answer: Answer) -> None:
    if "settings" not in answer:
        model(answer)
        return
    table("", [one | {"value": _as_written(one["value"])} for one in answer["settings"]])


def _as_written(value: Any) -> str:
    """A value as `--set` and `vgg16.toml` take it."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def model(answer: Answer) -> None:
    rows = [
        {
            "layer": row["name"],
            "kind": row["kind"],
            "output": " x ".join(map(str, row["shape"])),
            "parameters": f"{row['parameters']:,}",
            "MFLOP": f"{row['flops'] / 1e6:,.1f}",
        }
        for row in answer["layers"]
    ]
    table(answer["name"], rows)
    click.echo(
        f"{answer['parameters']:,} parameters, {answer['trainable']:,} trainable, "
        f"{answer['flops'] / 1e9:.2f} GFLOP for one image forward"
    )


def fetched(answer: Answer) -> None:
    splits = ", ".join(f"{split} {count}" for split, count in answer["splits"].items())
    paragraph(f"{answer['dataset']} {answer['digest'][:8]}: {answer['classes']} classes; {splits}")
    click.echo(f"in {answer['address']}")


def added(answer: Answer) -> None:
    click.echo()
    table(
        f"{answer['dataset']} {answer['digest'][:8]}",
        [{"class": printable(name), "pictures": count} for name, count in answer["of_each_class"].items()],
        whole=("class",),
    )
    splits = ", ".join(f"{split} {count}" for split, count in answer["splits"].items())
    smallest, largest = ("x".join(map(str, size)) for size in answer["sizes"])
    sizes = f"all of {smallest} pixels" if smallest == largest else f"from {smallest} to {largest} pixels"
    paragraph(f"{answer['images']} pictures of {answer['classes']} classes, {sizes}; {splits}")
    if unequal := _unequal(answer["of_each_class"]):
        paragraph(unequal)
    if answer["unreadable"]:
        count = len(answer["unreadable"])
        click.echo(f"{plural(count, 'file')} {'is' if count == 1 else 'are'} left out:")
        for one in answer["unreadable"][:MOST_LISTED]:
            click.echo(f"  {printable(one['file'])}: {printable(one['reason'])}")
        if len(answer["unreadable"]) > MOST_LISTED:
            click.echo(f"  and {len(answer['unreadable']) - MOST_LISTED} more: --json lists all")
    click.echo(f"Data Docs: {short(answer['docs'])}")
    click.echo(f"Its entry is in {short(answer['project'])}. Then: {program()} run {answer['dataset']}")


def _unequal(of_each_class: dict[str, int]) -> str:
    """What may be done about classes of unequal size, "" where they are not."""
    largest, smallest = (choose(of_each_class, key=lambda name: of_each_class[name]) for choose in (max, min))
    if of_each_class[largest] <= UNEQUAL * of_each_class[smallest]:
        return ""
    times = of_each_class[largest] // max(of_each_class[smallest], 1)
    return (
        f"{printable(largest)} has {times} times as many pictures as {printable(smallest)}: "
        "--set balance_classes=true learns all classes as if equally common"
    )


def validated(answer: Answer) -> None:
    verdict = "all hold" if answer["ok"] else "refused"
    name = f"{answer['dataset']} {answer['digest'][:8]}".strip()
    click.echo(f"{name}: {answer['checked']} {'expectation' if answer['checked'] == 1 else 'expectations'}, {verdict}")
    if answer["docs"]:  # none where the records themselves were refused
        click.echo(f"Data Docs: {answer['docs']}")


def checked(answer: Answer) -> None:
    pairs, threshold = answer["duplicates"], answer["threshold"]
    across = sum(pair["splits"][0] != pair["splits"][1] for pair in pairs)
    contradicting = sum(pair["labels"][0] != pair["labels"][1] for pair in pairs)
    click.echo(
        f"{answer['dataset']} {answer['digest'][:8]}: {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'} of "
        f"near-duplicates, {across} in two splits, {contradicting} with two labels"
    )
    for pair in pairs[:MOST_LISTED]:
        places = (
            f"{printable(name)} ({split}, {label})"
            for name, split, label in zip(_named(pair), pair["splits"], pair["labels"], strict=True)
        )
        click.echo(f"  {pair['similarity']:.3f}  {'  '.join(places)}")
    if len(pairs) > MOST_LISTED:
        click.echo(f"  and {len(pairs) - MOST_LISTED} more: the page shows them, --json lists all")
    if threshold["from"] == "this dataset":
        click.echo(
            f"A pair has a similarity of {threshold['similarity']:.3f} or more; of {threshold['decoys']} images turned "
            f"upside down, copies of none, {threshold['false']} reach it."
        )
    elif threshold["decoys"]:
        click.echo("Too few images have a copy to tell the threshold from them: it is the one of CIFAR-100.")
    click.echo(f"Page: {short(answer['page'])}")


def _named(pair: dict[str, Any]) -> list[str]:
    """Paths as they are; digests by the part that people read."""
    names = zip((pair["first"], pair["second"]), pair["digests"], strict=True)
    return [name[:12] if name == digest else name for name, digest in names]


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


def compare(answer: Answer) -> None:
    for line in compared.lines(answer["runs"], width()):
        click.echo(line)
    for sentence in answer["recipes"]:
        paragraph(sentence)


def models(answer: Answer) -> None:
    table(
        "",
        [
            {
                "model": version["name"],
                "version": version["version"],
                "stage": version["stage"],
                "verdict": version["verdict"],
                "waits for": ", until ".join(filter(None, (version.get("waits_for"), version.get("waits_until")))),
                "gate top-1": metric_with_interval(version["metrics"], "gate_top1"),
                "test top-1": metric_with_interval(version["metrics"], "test_top1") or "kept",
                "experiment": version["experiment"],
            }
            for version in answer["models"]
        ],
    )
    warned(answer)


def warned(answer: Answer) -> None:
    for version in answer["models"]:
        for warning in version["warnings"] if version["stage"] in ("Production", "Staging") else []:
            paragraph(f"{version['name']} version {version['version']}, warning: {warning}")


def decision(answer: Answer) -> None:
    words = {"Production": "promoted", "Staging": "staged"}.get(answer["stage"], "not promoted")
    words = "undecided" if answer["verdict"] == "undecided" and words == "staged" else words
    color = "green" if words in ("promoted", "staged") else "yellow"
    if answer.get("forced") and answer["verdict"] != "promote":
        verdict = "refuse it" if answer["verdict"] == "refuse" else "cannot tell whether it is good enough"
        words, color = f"{words} by force (the gates {verdict})", "yellow"
    click.secho(f"{answer['name']} version {answer['version']}: {words}, stage {answer['stage']}", fg=color, bold=True)
    for reason in answer["reasons"]:
        paragraph(f"- {reason}", indent=4, first=2)
    for warning in answer["warnings"]:
        paragraph(f"- warning: {warning}", indent=4, first=2)
    if answer["report"] and "runs" not in answer:
        click.echo(f"The report: {short(answer['report'])}")


def rolled_back(answer: Answer) -> None:
    again = f"version {answer['version']} is in production again, version {answer['previous']} is not"
    click.secho(f"{answer['name']} {again if answer['changed'] else answer['reasons'][0]}", fg="green", bold=True)


def history(answer: Answer) -> None:
    if not answer["entries"]:
        click.echo("none yet")
        return
    for line in ledger.lines(answer["entries"], width()):
        click.echo(line)


def predictions(answer: Answer) -> None:
    classified = answer["predictions"]
    click.echo(f"by {answer['model']}")
    table(
        "",
        [
            {
                "image": printable(picture["image"]),
                "label": picture["label"],
                "probability": f"{picture['probability']:.1%}",
                "then": ", ".join(f"{guess['label']} {guess['probability']:.1%}" for guess in picture["top5"][1:3]),
                "was": f"{picture['source']['mode']} {'x'.join(map(str, picture['source']['size']))}",
            }
            for picture in classified
        ],
        whole=("image", "label"),
    )
    if len(classified) > 10:
        paragraph(f"{len(classified)} pictures: {counts(picture['label'] for picture in classified)}")
    if done := counts(change for picture in classified for change in picture["source"]["done"]):
        paragraph(f"done to them: {done}")
    if answer["failed"]:
        click.secho(f"{len(answer['failed'])} could not be read:", fg="yellow")
    for picture in answer["failed"]:
        click.echo(f"  {printable(picture['image'])}: {picture['reason']}")


def checks(answer: Answer) -> None:
    for check in answer["checks"]:
        mark = click.style("ok  ", fg="green") if check["ok"] else click.style("FAIL", fg="red")
        first, *others = tables.wrapped(check["detail"], width(), 20)
        click.echo(f"{mark} {check['name']:<14} {first.strip()}")
        for line in others:
            click.echo(line)


def started(answer: Answer) -> None:
    for service in answer["services"]:
        click.echo(f"{click.style('ok  ', fg='green')} {service['name']:<12} {service['url']}")
    click.echo("Every vgg16 command of this home uses them now. For other tools and shells:")
    click.echo(f"  source {short(answer['env'])}")
    click.echo("Prefect and MLflow let in whoever has their passwords; to log in with a browser:")
    click.echo(f"  cat {short(answer['login'])}")


def ui(answer: Answer) -> None:
    click.echo(answer["url"] or "stopped")
    if answer.get("user"):
        click.echo(f"log in as {answer['user']} with the password {answer['password']}")


def ended(answer: Answer) -> None:
    names = [service["name"] for service in answer["services"]]
    click.echo(f"ended: {', '.join(names)}" if names else "nothing was running")
