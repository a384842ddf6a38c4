"""The shipped rows, and the laws that their names follow."""

from __future__ import annotations

import tomllib

import pytest

from vgg16.config import catalog, entries, written
from vgg16.config.canonical import experiment_json
from vgg16.config.catalog import SHIPPED
from vgg16.config.types import Dataset, Experiment

RECIPES = tuple(catalog.shipped_tables("recipes")["recipes"])
PHOTOGRAPHS = [row.name for row in SHIPPED.datasets.values() if row.floors]


def test_every_dataset_of_photographs_has_every_recipe() -> None:
    assert PHOTOGRAPHS == ["cifar10", "cifar100"]
    assert RECIPES == ("scratch", "finetune", "scratch-fast", "finetune-fast")
    for dataset in PHOTOGRAPHS:
        assert set(SHIPPED.datasets[dataset].floors) == set(RECIPES)
        for recipe in RECIPES:
            experiment = SHIPPED.experiments[f"{dataset}-{recipe}"]
            assert (experiment.name, experiment.dataset.name) == (f"{dataset}-{recipe}", dataset)
            assert experiment.gate.floor == SHIPPED.datasets[dataset].floors[recipe]


def test_a_name_is_one_dataset_and_one_recipe_at_most() -> None:
    # Else pets-scratch-fast would be scratch-fast on pets, or fast on pets-scratch.
    assert not [(one, other) for one in RECIPES for other in RECIPES if one.endswith(f"-{other}")]


def test_picture_files_have_recipes_that_arrays_have_not() -> None:
    own = catalog.shipped_tables("recipes")["own"]
    assert set(own) <= set(RECIPES)
    files = SHIPPED.datasets["cifar10"].model_copy(update={"source": ("photos",), "image_size": 192})
    fast, shipped = catalog.recipes_on(files)["cifar10-finetune-fast"], SHIPPED.experiments["cifar10-finetune-fast"]
    assert (fast.image_size, fast.batch_size, shipped.image_size, shipped.batch_size) == (192, 16, 64, 64)
    # Features are computed once only where images are not shifted.
    assert [phase.augmentation and phase.augmentation.shift for phase in fast.phases] == [0, 0]
    same = ("base", "head", "backbone", "loss", "label_smoothing", "precision")
    assert all(getattr(fast, key) == getattr(shipped, key) for key in same)


@pytest.mark.parametrize("row", SHIPPED.experiments.values(), ids=lambda row: row.name)
def test_what_a_run_keeps_of_an_experiment_is_read_as_the_same_request(row: Experiment) -> None:
    text = written.project_file([row, row.model_copy(update={"name": "own"})], SHIPPED.experiments)
    read = entries.experiments(tomllib.loads(text)["experiments"], SHIPPED.experiments)
    assert list(read) == [f"my-{row.name}", "own"]
    for name, experiment in read.items():
        assert experiment_json(experiment) == experiment_json(row.model_copy(update={"name": name}))


def test_every_experiment_of_a_file_has_a_name_of_its_own() -> None:
    row = SHIPPED.experiments["digits-scratch"]
    rows = [row, row.model_copy(update={"name": "my-digits-scratch"}), row.model_copy(update={"name": "own"})]
    names = list(tomllib.loads(written.project_file(rows, SHIPPED.experiments))["experiments"])
    assert len(names) == 3
    assert names[1:] == ["my-digits-scratch", "own"]


def test_descriptions_with_any_letters_are_written_as_toml_reads_them() -> None:
    text = 'Ünïcode "quoted" back\\slash \x7f \x01 \N{GRINNING FACE}, and\na second line'
    row = SHIPPED.experiments["digits-scratch"].model_copy(update={"name": "own", "description": text})
    assert tomllib.loads(written.project_file([row], ()))["experiments"]["own"]["description"] == text


def test_a_member_of_a_study_extends_an_experiment_or_a_member_before_it() -> None:
    members = SHIPPED.studies["course"].members
    assert [member.name for member in members][:3] == [
        "course-reference-adam",
        "course-reference-sgd",
        "course-batchnorm-adam",
    ]
    assert members[2].backbone.batch_norm == "after"
    assert members[2].phases == members[0].phases


@pytest.mark.parametrize(("written", "read"), [("", ()), ("photos", ("photos",)), (["a", "b"], ("a", "b"))])
def test_a_row_of_an_earlier_version_has_its_source(written: object, read: tuple[str, ...]) -> None:
    assert Dataset.model_validate({"name": "own", "description": "", "source": written}).source == read
