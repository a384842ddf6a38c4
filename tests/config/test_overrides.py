"""Which settings there are, and what is said of a wrong request."""

import contextlib
import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgg16.config import catalog
from vgg16.config.catalog import SHIPPED
from vgg16.config.overrides import SettingError, apply_settings, flat
from vgg16.config.types import KEPT, Experiment
from vgg16.errors import RequestError

SCRATCH = SHIPPED.experiments["digits-scratch"]
FINETUNE = SHIPPED.experiments["digits-finetune"]


def test_a_setting_reaches_its_dotted_path_and_nothing_else() -> None:
    (changed,), _ = apply_settings([SCRATCH], ["phases.0.epochs=2"])
    before, after = flat(SCRATCH.model_dump(mode="json")), flat(changed.model_dump(mode="json"))
    assert {key for key in before if before[key] != after[key]} == {"phases.0.epochs"}
    assert changed.phases[0].epochs == 2


@pytest.mark.parametrize(
    ("setting", "is_set"),
    [
        ("dataset=glyphs", lambda e: e.dataset.name == "glyphs"),
        ("seed=7", lambda e: e.seed == 7),
        ("head.units=[4096,4096]", lambda e: e.head.units == (4096, 4096)),
        ("base=models:/vgg16-glyphs/1", lambda e: e.base == "models:/vgg16-glyphs/1"),
        ("dataset.limit=200", lambda e: e.dataset.limit == 200),
        ("augmentation.flip=true", lambda e: e.augmentation.flip is True),
    ],
)
def test_a_value_is_read_as_its_type(setting: str, is_set: object) -> None:
    (changed,), _ = apply_settings([SCRATCH], [setting])
    assert callable(is_set)
    assert is_set(changed)


@pytest.mark.parametrize("experiment", SHIPPED.experiments.values(), ids=lambda e: e.name)
def test_every_value_of_every_experiment_can_be_set_to_itself(experiment) -> None:
    values = flat(experiment.model_dump(mode="json"))
    settings = [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in ("name", "description")]
    assert apply_settings([experiment], settings) == ([experiment], [])


def test_a_setting_that_fits_one_of_two_applies_there_and_says_so() -> None:
    (scratch, finetune), notes = apply_settings([SCRATCH, FINETUNE], ["phases.1.epochs=1"])
    assert scratch == SCRATCH
    assert finetune.phases[1].epochs == 1
    assert notes == ["--set phases.1.epochs does not fit digits-scratch and was left out there"]


RENAMED = {
    "gate.level=0.05": ("gate.alpha=0.05", "--set gate.level is now gate.alpha"),
    "gate.margin=0.01": ("gate.noninferiority_margin=0.01", "--set gate.margin is now gate.noninferiority_margin"),
    "gate.worth=0": ("gate.min_gain=0", "--set gate.worth is now gate.min_gain"),
    'gate.policy="no-worse"': (
        'gate.policy="non-inferior"',
        '--set gate.policy="no-worse" is now gate.policy="non-inferior"',
    ),
    "gate.policy=no-worse": (
        "gate.policy=non-inferior",
        "--set gate.policy=no-worse is now gate.policy=non-inferior",
    ),
}


@pytest.mark.parametrize("old", RENAMED)
def test_a_setting_as_0_1_spelt_it_is_taken_with_a_note(old: str) -> None:
    new, note = RENAMED[old]
    (changed,), notes = apply_settings([SCRATCH], [old])
    assert ([changed], []) == apply_settings([SCRATCH], [new])
    assert changed != SCRATCH
    assert notes == [note]
    assert flat(changed.model_dump()).keys() == flat(SCRATCH.model_dump()).keys()


def test_an_error_of_a_setting_has_fields_that_survive_a_process() -> None:
    with pytest.raises(SettingError) as refused:
        catalog.choose(["digits-scratch"], ["phases.0.trains=block9"])
    error = pickle.loads(pickle.dumps(refused.value))
    assert (error.experiment, error.key, error.value) == ("digits-scratch", "phases.0.trains", "block9")
    assert error.reason == "trains=block9, but vgg16 has 5 blocks."
    assert error.message == f"digits-scratch: {error.reason}"
    assert str(error) == str(refused.value) == f"{error.message} Choose all, head, or block1 to block5."


WRONG = {
    "phases.0.epoch=2": "phases.0.epochs",
    "phases.7.epochs=2": "phases.0.epochs",
    "dataset.limits=2": "dataset.limit",
    "colour=blue": "`vgg16 show digits-scratch --settings` lists all.",
    "name=other": "dataset.name",
    "seed=abc": "expected an integer, found 'abc'",
    "seed=-1": "greater than or equal to 0",
    "phases.0.epochs=0": "greater than or equal to 1",
    "phases.0.epochs=1.5": "integer",
    "backbone.width=0": "greater than 0",
    "backbone.dropout=1": "less than 1",
    "backbone.batch_norm=both": "'none', 'before' or 'after'",
    "phases.0.trains=blok4": "pattern",
    "phases.0.optimizer.name=rmsprop": "'adam' or 'sgd'",
    "label_smoothing=0.1": "loss=categorical_crossentropy",
    "phases=[]": "phases.0",
    "phases.0.image_size=4": "greater than or equal to 8",
    "phases.0.augmentation.shift=1": "phases.0.augmentation",
    "phases.0.optimizer.average=1": "less than 1",
    "head.pooling=max": "'flatten' or 'average'",
    "image_size=2048": "less than or equal to 1024",
    "precision=half": "'auto'",
    "device=tpu": "'auto', 'cpu' or 'gpu'",
    "no-equals-sign": "KEY=VALUE",
    "lr=0.1": "Did you mean --set phases.0.optimizer.learning_rate=0.1?",
    "optimizer.lr=1e-3": "--set phases.0.optimizer.learning_rate=0.001?",
    "wd=0": "--set phases.0.optimizer.weight_decay=0?",
    "epoch=3": "--set phases.0.epochs=3",
    "batch-size=32": "Did you mean --set batch_size=32?",
    "learningrate=1": "phases.0.optimizer.learning_rate=1",
    "model=vgg19": "Did you mean --set backbone.name=vgg19?",
    "head.units=4096": "For example: --set head.units=[4096]",
    "head.units=wide": "For example: --set head.units=[512]",
    "balance_classes=perhaps": "For example: --set balance_classes=false",
    "batch_size=many": "For example: --set batch_size=64",
    "phases.0.optimizer.learning_rate=[0.1]": "For example: --set phases.0.optimizer.learning_rate=0.001",
    "dataset.limit=all": "For example: --set dataset.limit=10",
    "backbone.name=3": "For example: --set backbone.name=vgg16",
    "phases.0.trains=3": "For example: --set phases.0.trains=all",
    "gate.level": "'gate.level'",
    "=5": "KEY=VALUE",
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_setting_is_refused_with_what_would_be_right(setting: str) -> None:
    with pytest.raises(RequestError) as refused:
        apply_settings([SCRATCH], [setting])
    assert WRONG[setting] in str(refused.value)
    assert refused.value.status == 2


@given(st.text())
def test_any_text_as_a_setting_applies_or_is_refused(setting: str) -> None:
    with contextlib.suppress(RequestError):
        apply_settings([SCRATCH], [setting])


@pytest.mark.parametrize(
    ("names", "settings", "reason"),
    [
        (["digits-scrach"], [], "Did you mean digits-scratch"),
        (["zzz"], [], "There are: digits-scratch"),
        ([], [], "at least one"),
        (["digits-scratch", "glyphs-scratch"], [], "one dataset"),
        (["digits-scratch"], ["dataset=cifar1000"], "no dataset"),
        (["digits-scratch"], ["backbone.name=vgg12"], "no backbone"),
        (["digits-finetune"], ["base=nowhere"], "no experiment"),
        (["digits-finetune"], ["base=imagenet"], "Set backbone.width=1 and backbone.batch_norm=none"),
        (["cifar10-finetune"], ["backbone.name=vgg11"], "no ImageNet weights of vgg11. There are of: vgg16, vgg19"),
        (["cifar10-finetune"], ["backbone.name=resnet50", "backbone.width=0.5"], "resnet50 takes no width"),
        (["cifar10-finetune"], ["backbone.name=efficientnetb0", "phases.1.trains=block8"], "block1 to block7"),
        (["cifar10-finetune"], ["base=/nowhere/weights.h5"], "there is none"),
        (["cifar10-finetune"], [f"base={__file__}"], "expected a weights file (.h5, .hdf5, .keras)"),
        (["cifar10-scratch", "cifar100-scratch"], [], "one dataset"),
    ],
)
def test_an_impossible_run_is_refused(names: list[str], settings: list[str], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        catalog.choose(names, settings)
    assert reason in str(refused.value)


ABSURD = {
    "phases.0.epochs": ("1e23", "100000000000000000000000"),
    "batch_size": ("true",),
    "seed": ("false",),
    "head.units": ("[true]", "[100000000000000]", "[" * 5000),
    "gate.max_megabytes": ("Infinity", "inf", "NaN"),
    "gate.max_latency_ms": ("-Infinity", "1e999"),
    "gate.floor": ("true",),
    "label_smoothing": ("true",),
    "phases.0.schedule.warmup_epochs": ("1e300", "Infinity"),
    "phases.0.optimizer.weight_decay": ("NaN", "true"),
    "dataset.limit": ("true",),
    "image_size": ("true",),
    "backbone.width": ("1e-300", "0.01", "NaN"),
}


@pytest.mark.parametrize("key", ABSURD)
def test_absurd_numbers_are_refused_where_they_are_asked_for(key: str) -> None:
    for value in ABSURD[key]:
        with pytest.raises(RequestError):
            catalog.choose(["digits-scratch"], [f"{key}={value}"])


def test_true_is_a_value_where_it_is_asked_for_and_none_where_there_may_be_none() -> None:
    settings = ["reproducible=true", "backbone.width=0.05", "dataset.limit=none", "augmentation.flip=true"]
    (made,), _ = catalog.choose(["digits-scratch"], settings)
    assert (made.reproducible, made.dataset.limit, made.augmentation.flip) == (True, None, True)


def test_what_an_earlier_version_has_kept_is_read_though_it_would_be_refused_now() -> None:
    kept = SHIPPED.experiments["digits-scratch"].model_dump(mode="json")
    kept["gate"]["max_megabytes"] = math.inf
    assert Experiment.model_validate(kept, context=KEPT).gate.max_megabytes == math.inf
