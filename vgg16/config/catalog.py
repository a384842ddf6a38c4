"""The rows by their names, the shipped ones and with them a user's; experiments with their settings, and whether their
parts fit together."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from vgg16.config import entries, study_entries
from vgg16.config.overrides import SettingError, apply_settings
from vgg16.config.types import Backbone, BackboneChoice, Dataset, Experiment, Phase, Study
from vgg16.errors import RequestError
from vgg16.suggestions import nearest

Row = TypeVar("Row")

WEIGHTS_SUFFIXES = (".h5", ".hdf5", ".keras")
# A weights file that the store keeps under its sha256 is `weights:SHA256.SUFFIX`.
KEPT_WEIGHTS = "weights:"
# How the addresses of models in MLflow begin.
MODELS = ("models:/", "runs:/")


def is_weights_file(base: str) -> bool:
    """Whether a base is named as a file of this machine."""
    return not base.startswith((*MODELS, "s3://", KEPT_WEIGHTS)) and ("/" in base or base.endswith(WEIGHTS_SUFFIXES))


def expanded(path: str) -> Path:
    """The path with ~ as the home that it is; as it is where nobody of that name has an account."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, or a folder that may not be entered
        return False


@dataclass(frozen=True)
class Catalog:
    """All rows by their names."""

    datasets: Mapping[str, Dataset]
    backbones: Mapping[str, Backbone]
    experiments: Mapping[str, Experiment]
    studies: Mapping[str, Study]


def shipped_tables(name: str) -> dict[str, Any]:
    """The tables of `rows/NAME.toml`."""
    return tomllib.loads(files("vgg16.config").joinpath(f"rows/{name}.toml").read_text(encoding="utf-8"))


def _shipped() -> Catalog:
    datasets = {
        name: entries.row(Dataset, entry | {"name": name}, ("datasets", name))
        for name, entry in shipped_tables("datasets")["datasets"].items()
    }
    backbones = {
        name: entries.row(Backbone, entry | {"name": name}, ("backbones", name))
        for name, entry in shipped_tables("backbones")["backbones"].items()
    }
    experiments = entries.experiments(shipped_tables("experiments")["experiments"], {})
    for dataset in datasets.values():
        if dataset.floors:
            experiments |= recipes_on(dataset)
    courses = shipped_tables("course")["studies"]
    studies = {name: study_entries.study(name, entry, experiments, {})[0] for name, entry in courses.items()}
    return Catalog(datasets, backbones, experiments, studies)


# Recipes have the sides of phases for images of so many pixels, those of networks for picture files of so many.
_RECIPES_SIDE = 32
_NETWORKS_SIDE = 128


def recipes_on(dataset: Dataset) -> dict[str, Experiment]:
    """The experiments `<dataset>-<recipe>` of a dataset of photographs; the sides of their phases grow with it,
    and for picture files that of the network too. What the table `own` says of a recipe holds for picture files."""
    tables = shipped_tables("recipes")
    own = tables["own"] if dataset.source else {}
    on_dataset = {
        name: ({} if "extends" in entry else {"dataset": dataset.name}) | entry | own.get(name, {})
        for name, entry in tables["recipes"].items()
    }
    made = entries.experiments(on_dataset, {}, "recipes")
    return {
        f"{dataset.name}-{recipe}": experiment.model_copy(
            update={
                "name": f"{dataset.name}-{recipe}",
                "gate": experiment.gate.model_copy(update={"floor": dataset.floors[recipe]}),
                "phases": tuple(_sized(phase, dataset.image_size) for phase in experiment.phases),
                "image_size": _network_side(experiment.image_size, dataset),
            }
        )
        for recipe, experiment in made.items()
    }


def _network_side(image_size: int | None, dataset: Dataset) -> int | None:
    """What the network of a recipe sees: files hold more pixels, which larger images are to show."""
    if not image_size or not dataset.source:
        return image_size
    return max(_RECIPES_SIDE, image_size * dataset.image_size // _NETWORKS_SIDE)


def _sized(phase: Phase, side: int) -> Phase:
    return phase.model_copy(
        update={"image_size": phase.image_size and max(8, phase.image_size * side // _RECIPES_SIDE)}
    )


SHIPPED = _shipped()


def find(rows: Mapping[str, Row], kind: str, name: str) -> Row:
    """The row of that name. Raises RequestError that names the nearest rows, or all."""
    if name in rows:
        return rows[name]
    raise RequestError(f"There is no {kind} {name!r}.", nearest(name, rows))


def dataset(name: str) -> Dataset:
    """The shipped dataset of that name."""
    return find(SHIPPED.datasets, "dataset", name)


def backbone(name: str) -> Backbone:
    """The backbone of that name."""
    return find(SHIPPED.backbones, "backbone", name)


def choose(
    requested: Sequence[str | Experiment],
    overrides: Sequence[str],
    rows: Catalog = SHIPPED,
) -> tuple[list[Experiment], list[str]]:
    """The experiments with their settings, and notes on settings that fit only some of them. `rows` are those that
    names may mean, a base's too.

    Raises RequestError for unknown names and settings, and for experiments on different datasets.
    """
    if not requested:
        raise RequestError("Name at least one experiment.", f"There are: {', '.join(rows.experiments)}.")
    experiments, notes = apply_settings(
        [
            find(rows.experiments, "experiment", row) if isinstance(row, str) else row
            for row in dict.fromkeys(requested)
        ],
        overrides,
    )
    for member in experiments:
        check(member, rows)
    if len({member.dataset for member in experiments}) > 1:
        datasets = ", ".join(f"{member.name} on {member.dataset.name}" for member in experiments)
        raise RequestError(f"One run compares experiments on one dataset, found {datasets}.", "Run them one by one.")
    return experiments, notes


def travelled(experiments: Sequence[str | Experiment], bases: Mapping[str, Experiment]) -> Catalog:
    """The shipped rows with those that a request brings along: the experiments that its own start from, and the
    datasets of these, which the store has, or says that it has not."""
    whole = [*bases.values(), *(row for row in experiments if isinstance(row, Experiment))]
    own = {
        name: Dataset(name=name, description="")
        for name in (row.dataset.name for row in whole)
        if name not in SHIPPED.datasets
    }
    return replace(SHIPPED, datasets={**SHIPPED.datasets, **own}, experiments={**SHIPPED.experiments, **bases})


def bases_of(experiments: Sequence[Experiment], by_name: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The experiments, not shipped ones, that these start from, and those that they start from in turn."""
    own: dict[str, Experiment] = {}
    waiting = list(experiments)
    while waiting:
        base = waiting.pop().base or ""
        if base in by_name and base not in SHIPPED.experiments and base not in own:
            own[base] = by_name[base]
            waiting.append(by_name[base])
    return own


def check(experiment: Experiment, rows: Catalog = SHIPPED) -> None:
    """Raises SettingError for a dataset, backbone or base that does not exist, and for parts that do not fit
    together."""
    _check_named(experiment, "dataset", experiment.dataset.name, rows.datasets)
    _check_named(experiment, "backbone", experiment.backbone.name, SHIPPED.backbones)
    row = backbone(experiment.backbone.name)
    _check_blocks(experiment, row)
    _check_width(experiment, row)
    options = experiment.backbone
    if not row.blocks and options != BackboneChoice(name=row.name):
        reason = f"{row.name} takes no width, batch_norm or dropout."
        raise SettingError(experiment.name, "backbone", options.name, reason, "The VGG family does.")
    if experiment.base is not None:
        _check_base(experiment, row, experiment.base, rows.experiments)


def _check_named(experiment: Experiment, kind: str, name: str, rows: Mapping[str, Any]) -> None:
    if name not in rows:
        reason = f"There is no {kind} {name!r}."
        raise SettingError(experiment.name, f"{kind}.name", name, reason, nearest(name, rows), reason)


def _check_blocks(experiment: Experiment, row: Backbone) -> None:
    depth = len(row.blocks) or row.depth
    for number, phase in enumerate(experiment.phases):
        if phase.trains.startswith("block") and int(phase.trains.removeprefix("block")) > depth:
            raise SettingError(
                experiment.name,
                f"phases.{number}.trains",
                phase.trains,
                f"trains={phase.trains}, but {row.name} has {depth} blocks.",
                f"Choose all, head, or block1 to block{depth}.",
            )


def _check_width(experiment: Experiment, row: Backbone) -> None:
    width, fewest = experiment.backbone.width, min((filters for _, filters in row.blocks), default=0)
    if row.blocks and width * fewest < 1:
        reason = f"backbone.width={width:g} leaves no filter of the {fewest} in the first block."
        hint = f"Choose {1 / fewest:.2g} or more."
        raise SettingError(experiment.name, "backbone.width", width, reason, hint)


def _check_base(member: Experiment, row: Backbone, base: str, by_name: Mapping[str, Experiment]) -> None:
    if base == "imagenet":
        _check_imagenet(member, row)
    elif base.startswith((*MODELS, "s3://", KEPT_WEIGHTS)):
        return
    elif is_weights_file(base):
        if not base.endswith(WEIGHTS_SUFFIXES) or not _is_file(expanded(base)):
            reason = f"base={base}: expected a weights file ({', '.join(WEIGHTS_SUFFIXES)}), and there is none."
            hint = "Or name imagenet, an experiment, models:/NAME/VERSION or s3://BUCKET/KEY."
            raise SettingError(member.name, "base", base, reason, hint, reason)
    elif base not in by_name:
        reason = f"There is no experiment {base!r}."
        raise SettingError(member.name, "base", base, reason, nearest(base, ["imagenet", *by_name]), reason)
    else:
        _check_ends(member, by_name)


def _check_ends(member: Experiment, by_name: Mapping[str, Experiment]) -> None:
    """Raises SettingError for an experiment that starts, by way of others, from itself."""
    chain, base = [member.name], member.base or ""
    while base in by_name:
        chain.append(base)
        if base in chain[:-1]:
            reason = f"{' starts from '.join(chain)}, which never ends."
            raise SettingError(member.name, "base", member.base, reason, "Let one of them start from other weights.")
        base = by_name[base].base or ""


def _check_imagenet(experiment: Experiment, row: Backbone) -> None:
    if row.pretrained is None:
        others = ", ".join(other.name for other in SHIPPED.backbones.values() if other.pretrained)
        reason = f"there are no ImageNet weights of {row.name}."
        raise SettingError(experiment.name, "base", "imagenet", reason, f"There are of: {others}.")
    if (experiment.backbone.width, experiment.backbone.batch_norm) != (1, "none"):
        reason = f"the ImageNet weights are of {row.name} with width 1 and without batch normalisation."
        hint = "Set backbone.width=1 and backbone.batch_norm=none."
        raise SettingError(experiment.name, "base", "imagenet", reason, hint)
