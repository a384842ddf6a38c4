"""A command's answer as text for a person."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

Answer = dict[str, Any]


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows of the same keys as a table, as wide as the terminal; nothing is cut where there is none."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    if not rows:
        click.echo("none yet")
        return
    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for key in rows[0]:
        numeric = all(_numeric(row[key]) for row in rows)
        drawn.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(drawn, markup=False)


def number(value: float | None, digits: int = 4) -> str:
    """A metric, "" where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def with_interval(metrics: dict[str, float], name: str) -> str:
    """A metric, "" where there is none, with its 95 % interval where that is logged beside it."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    told = number(metrics.get(name))
    return told if low is None else f"{told} ({number(low, 3)} to {number(high, 3)})"


def _numeric(value: object) -> bool:
    return value is None or bool(re.fullmatch(r"(-?[\d,]+(\.\d+)?%?)?", str(value)))


def catalog(answer: Answer) -> None:
    for kind, rows in answer.items():
        table(kind, rows)


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
    counts = ", ".join(f"{split} {count}" for split, count in answer["splits"].items())
    click.echo(f"{answer['dataset']} {answer['digest'][:8]}: {answer['classes']} classes; {counts}")
    click.echo(f"in {answer['address']}")


def validated(answer: Answer) -> None:
    verdict = "all hold" if answer["ok"] else "refused"
    name = f"{answer['dataset']} {answer['digest'][:8]}".strip()
    click.echo(f"{name}: {answer['checked']} {'expectation' if answer['checked'] == 1 else 'expectations'}, {verdict}")
    if answer["docs"]:  # none where the records themselves were refused
        click.echo(f"Data Docs: {answer['docs']}")


def run(answer: Answer) -> None:
    click.echo()
    table(
        f"{answer['dataset']['name']} {answer['dataset']['digest'][:8]}",
        [
            {
                "experiment": run["experiment"],
                "version": run["model"]["version"] if run["model"] else run["status"],
                "best val top-1": number(run["metrics"].get("best_val_top1")),
                "gate top-1": with_interval(run["metrics"], "gate_top1"),
                "test top-1": with_interval(run["metrics"], "test_top1") or ("kept" if run["model"] else ""),
                "seconds": number(run["metrics"].get("train_seconds"), 0),
                "run": run["run_id"][:8],
            }
            for run in answer["runs"]
        ],
    )
    decision({**answer, **answer["challenger"]})
    click.echo(
        f"\n{answer['seconds']['total']:.0f} s in all. Everything is in {_short(answer['home'])}. Now look at it:"
    )
    vgg16 = _command()
    page = answer["docs_page"] if answer["docs"].startswith("s3://") else _short(answer["docs"])
    click.echo(f"  the data, in a browser    {page}")
    click.echo(f"  the runs, side by side    {vgg16} ui")
    click.echo(f"  who promoted what         {vgg16} history {answer['challenger']['name']}")
    if answer["production"]:
        click.echo(f"  a few answers             {vgg16} predict {_short(answer['samples'])}/*.png")


def study(answer: Answer) -> None:
    runs = {run["experiment"]: run for run in answer["runs"]}
    for question, members in answer["questions"].items():
        click.echo()
        table(question, [_member(name, runs.get(name)) for name in members])
    for each in answer["failed"]:
        _paragraph(f"{each['experiment']} is left out: {each['cause']}")
    models = [run["model"] for run in answer["runs"] if run["model"]]
    click.echo(f"\n{answer['seconds']:.0f} s in all. The report, in a browser: {_short(answer['report'])}")
    if models:
        name = models[0]["name"]
        click.echo(f"Nothing was promoted; `{_command()} promote {name} VERSION` judges one of these versions.")


def _member(name: str, run: dict[str, Any] | None) -> dict[str, Any]:
    metrics = run["metrics"] if run else {}
    return {
        "experiment": name,
        "version": "left out" if not run else run["model"]["version"] if run["model"] else run["status"],
        "best val top-1": number(metrics.get("best_val_top1")),
        "test top-1": with_interval(metrics, "test_top1"),
        "seconds": number(metrics.get("train_seconds"), 0),
        "run": run["run_id"][:8] if run else "",
    }


def _short(address: str) -> str:
    """A path below the working directory as it is typed there; any other address as it is."""
    below = os.path.relpath(address) if address.startswith("/") else address
    return address if below.startswith("..") else below


def _command() -> str:
    """How this program can be called again: by its name, or where that is not on the PATH, by its file."""
    return "vgg16" if shutil.which("vgg16") else os.path.relpath(sys.argv[0])


def status(answer: Answer) -> None:
    if not answer["server"]:
        click.echo("No Prefect server is named, so nothing is scheduled. `vgg16 up` starts one here.")
        return
    table("", [{key: run[key] for key in ("when", "took", "state", "reason")} for run in answer["runs"]])
    coming = answer["next"]
    click.echo(f"next: {coming['when']}, {coming['deployment']}" if coming else "next: nothing is scheduled")
    click.echo(f"{answer['server']}")


def compare(answer: Answer) -> None:
    runs = answer["runs"]
    settings = {key for run in runs for key in run["params"]} - {"name", "description"}
    differing = sorted(key for key in settings if len({run["params"].get(key, "") for run in runs}) > 1)
    rows: dict[str, list[str]] = {"run": [run["run_id"][:8] for run in runs]}
    rows |= {key: [run["params"].get(key, "") for run in runs] for key in differing}
    metrics = ("best_val_top1", "gate_top1", "test_top1", "test_top5", "test_loss", "train_seconds", "images_per_s")
    rows |= {key: [with_interval(run["metrics"], key) for run in runs] for key in metrics}
    rows |= {key: [run[key] for run in runs] for key in ("status", "model", "verdict")}
    names = [run["name"] for run in runs]
    table("", [{"": key, **dict(zip(names, values, strict=True))} for key, values in rows.items()])
    for sentence in answer["recipes"]:
        _paragraph(sentence)


def models(answer: Answer) -> None:
    table(
        "",
        [
            {
                "model": version["name"],
                "version": version["version"],
                "stage": version["stage"],
                "verdict": version["verdict"],
                "gate top-1": with_interval(version["metrics"], "gate_top1"),
                "test top-1": with_interval(version["metrics"], "test_top1") or "kept",
                "experiment": version["experiment"],
            }
            for version in answer["models"]
        ],
    )


def decision(answer: Answer) -> None:
    words = {"Production": "promoted", "Staging": "staged"}.get(answer["stage"], "not promoted")
    words = "undecided" if answer["verdict"] == "undecided" and words == "staged" else words
    color = "green" if words in ("promoted", "staged") else "yellow"
    click.secho(f"{answer['name']} version {answer['version']}: {words}, stage {answer['stage']}", fg=color, bold=True)
    for reason in answer["reasons"]:
        click.echo(f"  - {reason}")


def rolled_back(answer: Answer) -> None:
    click.secho(
        f"{answer['name']} version {answer['version']} is in production again, version {answer['previous']} is not",
        fg="green",
        bold=True,
    )


def history(answer: Answer) -> None:
    table(
        "",
        [
            {
                "": entry["number"],
                "when": entry["at"],
                "by": entry["by"],
                "action": entry["action"] + " (forced)" * entry["forced"],
                "version": entry["version"],
                "before": entry["previous"],
                "evidence": _evidence(entry["evidence"]),
                "why": "; ".join(entry["reasons"]),
            }
            for entry in answer["entries"]
        ],
    )


def _evidence(numbers: dict[str, float]) -> str:
    """The difference of top-1 in points with its interval, or what each of the two had where it was not measured."""
    found = {key: f"{100 * value:.1f}" for key, value in numbers.items()}
    told = []
    if numbers.keys() >= {"difference", "difference_low", "difference_high"}:
        told.append(
            f"{100 * numbers['difference']:+.1f} points ({found['difference_low']} to {found['difference_high']})"
        )
    elif "challenger_gate_top1" in numbers:
        before = f" after {found['champion_gate_top1']}" if "champion_gate_top1" in numbers else ""
        told.append(f"{found['challenger_gate_top1']} %{before}")
    if "p" in numbers:
        told.append(f"p {numbers['p']:.3f}" if numbers["p"] >= 0.001 else "p < 0.001")
    if "judgement" in numbers:
        told.append(f"judgement {numbers['judgement']:.0f}")
    return ", ".join(told)


def predictions(answer: Answer) -> None:
    found = answer["predictions"]
    click.echo(f"by {answer['model']}")
    table(
        "",
        [
            {
                "image": _printable(each["image"]),
                "label": each["label"],
                "probability": f"{each['probability']:.1%}",
                "then": ", ".join(f"{other['label']} {other['probability']:.1%}" for other in each["top5"][1:3]),
                "was": f"{each['source']['mode']} {'x'.join(map(str, each['source']['size']))}",
            }
            for each in found
        ],
    )
    if len(found) > 10:
        _paragraph(f"{len(found)} pictures: {_counts(each['label'] for each in found)}")
    if done := _counts(each for picture in found for each in picture["source"]["done"]):
        _paragraph(f"done to them: {done}")
    if answer["failed"]:
        click.secho(f"{len(answer['failed'])} could not be read:", fg="yellow")
    for each in answer["failed"]:
        _paragraph(f"  {_printable(each['image'])}: {each['reason']}")


def _paragraph(text: str) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    click.echo(click.wrap_text(text, width, subsequent_indent="    "))


def _counts(things: Iterable[str], most: int = 10) -> str:
    """What there is most of, with its count."""
    counted = Counter(things).most_common()
    told = [f"{thing} ({count})" for thing, count in counted[:most]]
    return ", ".join(told) + (f" and {len(counted) - most} more" if len(counted) > most else "")


def _printable(path: str) -> str:
    """A file's name without what a terminal would obey or cannot encode."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in path)


def checks(answer: Answer) -> None:
    for check in answer["checks"]:
        mark = click.style("ok  ", fg="green") if check["ok"] else click.style("FAIL", fg="red")
        click.echo(f"{mark} {check['name']:<14} {check['detail']}")


def started(answer: Answer) -> None:
    for each in answer["services"]:
        click.echo(f"{click.style('ok  ', fg='green')} {each['name']:<12} {each['url']}")
    click.echo("Every vgg16 command of this home uses them now. For other tools and shells:")
    click.echo(f"  source {_short(answer['env'])}")


def ended(answer: Answer) -> None:
    names = [each["name"] for each in answer["services"]]
    click.echo(f"ended: {', '.join(names)}" if names else "nothing was running")
