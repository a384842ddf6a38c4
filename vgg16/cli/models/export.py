"""A registered version as files that run without this project."""

from __future__ import annotations

import uuid
from pathlib import Path

import click

from vgg16.cli import prepare
from vgg16.cli.command import Answer, answers
from vgg16.cli.show import exported as show_exported
from vgg16.errors import RequestError, Vgg16Error
from vgg16.exports.formats import Kind, Quantize, format_of
from vgg16.flows import progress
from vgg16.steps.exporting import kept
from vgg16.steps.exporting.export import export as export_version
from vgg16.steps.exporting.records import Exported
from vgg16.steps.lineage import named
from vgg16.storage.files import sha256_of
from vgg16.storage.store import Store
from vgg16.workplace.workplace import open_workplace


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--format",
    "kinds",
    type=click.Choice(["onnx", "litert", "savedmodel"]),
    multiple=True,
    default=("onnx",),
    show_default=True,
    help="Which kind of file; may be given several times.",
)
@click.option(
    "--quantize", type=click.Choice(["float16", "int8"]), help="Of LiteRT: smaller weights, or int8 throughout."
)
@click.option("--output", default=".", show_default=True, metavar="FOLDER", help="Where the files go.")
@answers(show_exported.files)
def export(model: str, kinds: tuple[Kind, ...], quantize: Quantize | None, output: str) -> Answer:
    """Write a version as a file that runs without this project, proven to answer as it does.

    MODEL is a dataset or a registered model, for the version in production; NAME/VERSION or NAME@ALIAS for another one,
    or an address as `vgg16 predict --model` takes it. A file takes uint8 pixels [n, height, width, 3] and answers
    probabilities and typicality; names of the classes and the rest are in its metadata. It is read back and asked on
    the gate's images before it is written; where its answers are others, the exit status is 3 and there is no file.
    """
    formats = [format_of(kind, quantize).name for kind in dict.fromkeys(kinds)]
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"--output {output} is a file; expected a folder, which may be new.")
    prepare.open_console(f"export      {model} as {', '.join(formats)}")
    workplace = open_workplace(progress)
    version = workplace.tracker.registry.version(*named.find(model, workplace))
    exported = export_version(version, formats, workplace)
    _check_free(folder, exported)
    files = [{**_facts(one), "path": str(_write(folder, one, workplace.store))} for one in exported]
    return {"model": version.name, "version": version.version, "files": files}


def _check_free(folder: Path, exported: tuple[Exported, ...]) -> None:
    """Raises RequestError where another file has a name that is needed."""
    for one in exported:
        path = folder / one.file_name
        if path.exists() and not _is(path, one):
            raise RequestError(
                f"{path} is there already, and is another file; it is left as it is.",
                "Move or remove it, or choose another folder with --output. The new file is proven and kept: the same "
                "command then only writes it.",
            )


def _is(path: Path, exported: Exported) -> bool:
    return path.is_file() and path.stat().st_size == exported.bytes and sha256_of(path) == exported.sha256


def _write(folder: Path, exported: Exported, store: Store) -> Path:
    """Write the file under its name, whole or not at all, where it is not there yet."""
    path = folder / exported.file_name
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{path.name}-{uuid.uuid4().hex}"
        try:
            kept.download(store, exported, draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Vgg16Error(
            f"{path} cannot be written: {error.strerror or error}.",
            "The file is proven and kept: the same command, with another --output, only writes it.",
        ) from None
    return path


def _facts(exported: Exported) -> Answer:
    facts = exported.model_dump(mode="json", include={"quantize", "bytes", "sha256", "latency_ms"})
    return {"format": exported.row.kind, **facts, "parity": exported.parity.model_dump(mode="json")}
