"""What runs and answers on this machine, as text for a person."""

from __future__ import annotations

import shlex

import click

from vgg16.cli.command import Answer
from vgg16.cli.layout import tables
from vgg16.cli.terminal import program, short, width


def checks(answer: Answer) -> None:
    for check in answer["checks"]:
        mark = click.style("ok  ", fg="green") if check["ok"] else click.style("FAIL", fg="red")
        first, *others = tables.wrapped(check["detail"], width(), 20)
        click.echo(f"{mark} {check['name']:<14} {first.strip()}")
        for line in others:
            click.echo(line)


def started(answer: Answer) -> None:
    widest = max(12, *(len(service["name"]) for service in answer["services"]))
    for service in answer["services"]:
        click.echo(f"{click.style('ok  ', fg='green')} {service['name']:<{widest}} {service['url']}")
    click.echo("Every vgg16 command of this home uses them now. For other tools and shells:")
    click.echo(f"  source {short(answer['env'])}")
    click.echo("Prefect and MLflow let in whoever has their passwords; to log in with a browser:")
    click.echo(f"  cat {short(answer['login'])}")
    if answer["serves"]:
        click.echo("Models are served to whoever has the token that stands there too; from a shell:")
    header = shlex.quote(f"@{short(answer['authorization'])}")
    for model, url in answer["serves"].items():
        click.echo(f"  curl -H {header} -F file=@photo.jpg {url}/predict")
        if model not in answer["champions"]:
            click.echo(f"    once a version of {model} is in production: {program()} promote {model} VERSION")
    for model in [model for model in answer["champions"] if model not in answer["serves"]][:1]:
        click.echo(f"{model} is in production, and not served here; for an HTTP service of it:")
        click.echo(f"  {program()} up --serve {shlex.quote(model)}")


def ui(answer: Answer) -> None:
    click.echo(answer["url"] or "stopped")
    if answer.get("user"):
        click.echo(f"log in as {answer['user']} with the password {answer['password']}")


def served(answer: Answer) -> None:
    who = f"{answer['model']} version {answer['version']} answers"
    if not answer["version"]:
        who = f"{answer['model']} has nothing in production that can answer yet; it will"
    click.secho(f"{who} at {answer['url']}", fg="green", bold=True)
    click.echo("In a browser it is a page to drop pictures on. For programs:")
    # Named, not shown: a command line is there for every account of the machine to read.
    header = ' -H "Authorization: Bearer $VGG16_SERVE_TOKEN"' if answer["token"] else ""
    click.echo(f"  curl{header} -F file=@photo.jpg {answer['url']}/predict")


def ended(answer: Answer) -> None:
    names = [service["name"] for service in answer["services"]]
    click.echo(f"ended: {', '.join(names)}" if names else "nothing was running")
