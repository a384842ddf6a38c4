"""The catalog: what there is to train, and an architecture's layers."""

from __future__ import annotations

import click

from vgg16.cli import project
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import catalog as show_catalog
from vgg16.cli.terminal import note
from vgg16.config import catalog, schema
from vgg16.config.types import Backbone, BackboneChoice, Experiment
from vgg16.errors import RequestError
from vgg16.workplace.workplace import open_workplace


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(["datasets", "backbones", "experiments", "studies"]))
@answers(show_catalog.catalog)
def list_(kind: str | None) -> Answer:
    """Datasets, backbones, experiments and studies of the catalog."""
    rows = project.load().catalog
    listed: Answer = {
        "datasets": [
            {
                "name": row.name,
                "classes": len(row.class_names) or None,
                "image_size": row.image_size,
                "about": row.description,
            }
            for row in rows.datasets.values()
        ],
        "backbones": [
            {
                "name": row.name,
                "blocks": len(row.blocks) or row.depth,
                "imagenet": row.pretrained is not None,
                "about": row.description,
            }
            for row in rows.backbones.values()
        ],
        "experiments": [
            {
                "name": row.name,
                "dataset": row.dataset.name,
                "backbone": row.backbone.name,
                "base": row.base,
                "epochs": row.epochs,
                "about": row.description,
            }
            for row in rows.experiments.values()
        ],
        "studies": [
            {
                "name": row.name,
                "dataset": row.members[0].dataset.name,
                "questions": ", ".join(question.name for question in row.questions),
                "members": row.size,
                "about": row.description,
            }
            for row in rows.studies.values()
        ],
    }
    return {kind: listed[kind]} if kind else listed


@click.command("show")
@click.argument("name", metavar="EXPERIMENT|BACKBONE")
@project.with_settings("A setting of the experiment.")
@click.option("--settings", "with_settings", is_flag=True, help="Every setting with its value, range and meaning.")
@answers(show_catalog.row)
def show_(name: str, overrides: tuple[str, ...], with_settings: bool) -> Answer:
    """Layers, shapes, parameters and FLOPs, without training; or with --settings what can be set."""
    rows = project.load().catalog
    named: dict[str, Backbone | Experiment] = {**rows.backbones, **rows.experiments}
    row = catalog.find(named, "experiment or backbone", name)
    if isinstance(row, Backbone):
        if overrides or with_settings:
            option = "--set" if overrides else "--settings"
            raise RequestError(f"{option} belongs to an experiment.", f"There are: {', '.join(rows.experiments)}.")
        options, head = BackboneChoice(name=name), row.head
        input_size, image_size, classes = row.image_size, None, row.classes
    else:
        (experiment,), notes = catalog.choose([row], overrides, rows)
        for line in notes:
            note(line)
        if with_settings:
            return {"settings": [setting.model_dump(mode="json") for setting in schema.settings(experiment)]}
        row, options, head = catalog.backbone(experiment.backbone.name), experiment.backbone, experiment.head
        dataset = catalog.find(rows.datasets, "dataset", experiment.dataset.name)
        image_size, classes = experiment.image_size, len(dataset.class_names or _added(dataset.name))
        input_size = dataset.input_side(image_size)
    # `list` need not wait for what these import: HTTP's client, and Keras.
    from vgg16.cli import prepare

    with prepare.tensorflow(f"building {name}"):
        from vgg16.network import build, describe

        with build.explain_out_of_memory(name):
            model = build.build(row, options, head, input_size=input_size, image_size=image_size, classes=classes)
        return describe.describe(model, name).model_dump(mode="json")


def _added(name: str) -> tuple[str, ...]:
    """The classes of a user's own dataset, which are known where it was added. Raises RequestError where it was not."""
    from vgg16.data import published  # it imports NumPy, which `list` does without

    current = published.recall(open_workplace().store, name)
    if current is None:
        raise RequestError(f"{name} was not added yet, so its classes are not known.", f"vgg16 data add {name} SOURCE")
    return current.dataset.class_names
