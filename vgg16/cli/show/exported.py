"""Exported files as text for a person: what was written, what was proven, and how it is run."""

from __future__ import annotations

import click

from vgg16.cli.command import Answer
from vgg16.cli.terminal import paragraph, printable
from vgg16.exports.formats import format_of

_RUN = {
    "onnx": (
        "import onnxruntime",
        'onnxruntime.InferenceSession("{path}").run(None, {{"images": images}})',
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        'Interpreter("{path}").get_signature_runner()(images=images)',
    ),
    "savedmodel": (
        "import tensorflow as tf  # after: unzip {path} -d FOLDER",
        'tf.saved_model.load("FOLDER").signatures["serving_default"](images=tf.constant(images))',
    ),
}


def files(answer: Answer) -> None:
    click.secho(f"{answer['model']} version {answer['version']}, exported and proven", fg="green", bold=True)
    for file in answer["files"]:
        title = format_of(file["format"], file["quantize"]).title
        click.secho(f"{printable(file['path'])}", bold=True)
        paragraph(f"{title}, {file['bytes'] / 1e6:.1f} MB, {file['latency_ms']:.3g} ms an image here", first=4)
        paragraph(_proven(file["parity"], file["quantize"]), first=4)
        for line in _RUN[file["format"]]:
            click.echo(f"      {line.format(path=printable(file['path']))}")
    click.echo("images are uint8 [n, height, width, 3]; outputs: probabilities and, where there is one, typicality")


def _proven(parity: Answer, quantize: str | None) -> str:
    images = f"{parity['images']:,} gate images"
    if quantize == "int8":
        least, margin = 100 * parity["least_difference"], 100 * parity["margin"]
        top1 = f"top-1 {parity['top1']:.4f} beside {parity['float_top1']:.4f} in float32 on {images}"
        same = f"the same class on {parity['same_top1']:.2%}"
        return f"{top1}: at the least {least:+.2f} points, asked {-margin:+.2f}; {same}"
    same = "all" if parity["same_top1"] == 1 else f"{parity['same_top1']:.2%} of"
    alone, most = f"{parity['singles']:,} of them one by one too", f"{parity['max_difference']:.1g} at most"
    rounding = f" (the model itself is {parity['rounding']:.1g} from exact)" if parity.get("rounding") else ""
    return f"the same class as the model on {same} {images}, {alone}; probabilities differ by {most}{rounding}"
