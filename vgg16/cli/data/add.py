"""A dataset of somebody's own pictures."""

from __future__ import annotations

from dataclasses import asdict

import click

from vgg16.cli import prepare, project, terminal
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import datasets as show_datasets
from vgg16.flows import progress
from vgg16.steps.data import add as adding
from vgg16.steps.data.report import refused
from vgg16.storage.downloads import without_secrets
from vgg16.workplace.workplace import open_workplace


@click.command()
@click.argument("name")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--image-size", type=click.IntRange(16, 512), help="Pixels of the side that pictures are kept at: 128.")
@click.option("--replace", is_flag=True, help="Let the dataset's next version come from another source.")
@answers(show_datasets.added)
def add(name: str, sources: tuple[str, ...], image_size: int | None, replace: bool) -> Answer:
    """Make a dataset of pictures: a folder of class folders, a zip or tar archive of one, s3://bucket/prefix, a table
    (CSV or Parquet) of path and label, or several of them. Again: its next version.

    It is checked and split, and gets an entry in the nearest `vgg16.toml`. Then: vgg16 run NAME
    """
    ours = project.load()
    row, entry = project.dataset_entry(ours, name, sources, image_size, replace=replace)
    places = ", ".join(without_secrets(source) if "://" in source else source for source in sources)
    prepare.open_console(f"data        {name}, from {terminal.printable(places)}")
    workplace = open_workplace(progress)
    added = adding.add(row, workplace, replace=replace)
    written = project.keep_entry(ours, entry, floor=min(0.95, round(added.largest_share + 0.1, 2)))
    # It imports Great Expectations, which a source that is refused need not wait for.
    from vgg16.steps.data.validate import profile, validate

    report = validate(added.dataset, workplace)
    answer = {
        "dataset": name,
        "digest": added.dataset.digest,
        "parent": added.parent,
        "splits": added.dataset.splits,
        "classes": len(added.classes),
        "images": sum(added.classes.values()),
        "of_each_class": added.classes,
        "sizes": added.sizes,
        "unreadable": [{"file": one.image, "reason": one.reason} for one in added.left_out],
        "copies": added.copies and asdict(added.copies),
        "reviewed": {"dropped": added.reviewed.dropped, "relabelled": added.reviewed.relabelled},
        "ok": report.ok,
        "failed": [one.model_dump(mode="json") for one in report.failed],
        "warnings": [one.model_dump(mode="json") for one in report.warnings],
        "docs": report.docs,
        "project": str(written),
    }
    if not report.ok:
        raise refused(report, answer)
    if not row.typical:
        measured = profile(added.dataset, workplace)
        kept = project.keep_profile(written, name, measured)
        if kept == "kept":
            workplace.say(f"profile     {measured.images} images measured, in {written}: later versions are held to it")
        elif kept == "no place":
            lines = "\n".join(project.profile_lines(name, measured))
            workplace.say(
                f"profile     {written} has {name} where no table can follow; put it there yourself:\n{lines}"
            )
    return answer
