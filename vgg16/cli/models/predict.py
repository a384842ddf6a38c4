"""Pictures of the user's own, classified."""

from __future__ import annotations

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import predictions as show_predictions
from vgg16.data.pictures import find_pictures
from vgg16.flows import progress
from vgg16.steps.champion import only_champion
from vgg16.workplace.tensorflow import import_tensorflow


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--model", "model_uri", metavar="URI", help="models:/NAME/VERSION, models:/NAME@champion or runs:/RUN/model."
)
@answers(show_predictions.predictions)
def predict(images: tuple[str, ...], model_uri: str | None) -> Answer:
    """Class and probability of pictures: files, folders and globs. Without --model, by the only champion there is.

    Beside them typicality, how usual a picture is among those that the model learned from, 0 to 1: at 0.01 or less it
    is unlike them, and its class means little.

    Any size and colours: a picture is made what the model learned from, the middle square or all of it, resized, and
    transparency becomes white. Files that cannot be read are listed with the reason.
    """
    paths = find_pictures(images)
    with progress.working("loading the model"):
        workplace = prepare.open_reader()
        uri = model_uri or only_champion(workplace.tracker.registry.champions())
        import_tensorflow()
        # It imports Keras.
        from vgg16.steps import predict as step

        predict_pictures = step.load(uri, workplace)
    progress.console.quiet = False
    with progress.counting("pictures") as on_step:
        predictions, failed = predict_pictures(paths, on_step)
    return {
        "model": uri,
        "predictions": [prediction.model_dump(mode="json") for prediction in predictions],
        "failed": [picture.model_dump(mode="json") for picture in failed],
    }
