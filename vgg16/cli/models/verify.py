"""A registered version's lineage and numbers, checked link by link."""

from __future__ import annotations

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import verified as show_verified
from vgg16.errors import Vgg16Error
from vgg16.flows import progress
from vgg16.reports.text import plural
from vgg16.steps.fresh_process import FreshProcess
from vgg16.steps.lineage import check, named
from vgg16.steps.lineage.lineage import Lineage


@click.command()
@click.argument("name", metavar="NAME[@ALIAS]")
@answers(show_verified.links, refused=show_verified.links)
def verify(name: str) -> Answer:
    """Check where a version comes from, link by link, and score it again.

    NAME is a dataset or a registered model, for the version in production; NAME@ALIAS or NAME/VERSION for another one,
    or an address as `vgg16 predict --model` takes it. Nothing is changed. Exit status 1 names the links that are
    broken.
    """
    with progress.working("asking MLflow") as say, FreshProcess() as scorer:
        # It imports what it needs while the links before it are checked.
        workplace = prepare.open_reader()
        model, number = named.find(name, workplace)
        scorer.start()
        lineage = Lineage(model, number, workplace, scorer, say)
        links = check.check(lineage)
    answer = {"name": model, "version": number, "checks": [link.model_dump(mode="json") for link in links]}
    if broken := check.broken(links):
        verb = "is" if len(broken) == 1 else "are"
        holds, unchecked = (sum(link.status == status for link in links) for status in ("ok", "not checked"))
        rest = f", {plural(unchecked, 'is', 'are')} not checked" if unchecked else ""
        raise Vgg16Error(
            f"{' and '.join(broken)} {verb} broken: of the {len(links)} links of {lineage.title} "
            f"{plural(holds, 'holds', 'hold')}{rest}.",
            "",
            answer,
        )
    return answer
