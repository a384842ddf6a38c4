"""A user's project file: found, read, refused with line and suggestion, and what of it travels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vgg16.config import canonical, catalog, project, written
from vgg16.config.catalog import SHIPPED
from vgg16.config.project import ProjectError
from vgg16.config.schema import project_schema, settings
from vgg16.errors import RequestError

Write = Callable[[str], Path]

MINE = '[experiments.mine]\nextends = "digits-scratch"\n'
STUDY = '[studies.sizes.questions.size]\nmembers = [{extends = "digits-scratch"'

PETS = '[datasets.pets]\nsource = "photos"\n'
EXPECT = "[[datasets.pets.expectations]]\n"
MEAN = EXPECT + 'type = "ExpectColumnMeanToBeBetween"\n'

# By what is wrong: the file, the line that is told, a part of what is wrong, and a part of the suggestion.
MISTAKES = {
    "a key": (MINE + "batch_siez = 3\n", 3, "mine.batch_siez: no such setting", "batch_size"),
    "a nested key": (MINE + "backbone.batchnorm = 3\n", 3, "no such setting", "batch_norm"),
    "a key of a phase": (MINE + "\n# why\nphases.0.epohs = 3\n", 5, "phases.0.epohs", "epochs"),
    "a key of an optimizer": (MINE + "phases.0.optimizer = {name = 'sgd', rate = 3}\n", 3, "rate", "learning_rate"),
    "a key of a phase in full": (MINE + "[[experiments.mine.phases]]\nepoch = 3\n", 4, "phases.0.epoch", "epochs"),
    "a phase that is not there": (MINE + "phases.1.epochs = 3\n", 3, "no phases.1; there are: 0", "[[phases]]"),
    "an experiment to extend": (
        '[experiments.mine]\nextends = "digits-scrach"\n',
        2,
        "no experiment",
        "digits-scratch",
    ),
    "a circle": (
        '[experiments.a]\nextends = "b"\n[experiments.b]\nextends = "a"\n',
        4,
        "a extends b extends a",
        "extend a shipped",
    ),
    "nothing to extend": ("[experiments.mine]\nseed = 3\n", 1, "neither extends nor a dataset", "digits-scratch"),
    "a dataset": (MINE + 'dataset = "digit"\n', 3, "no dataset 'digit'", "digits"),
    "a dataset beside its limit": (MINE + 'dataset = "digits"\ndataset.limit = 30\n', 4, "overwrite", "dataset.name"),
    "a backbone": (MINE + 'backbone.name = "vgg61"\n', 3, "no backbone", "vgg16"),
    "a base": (MINE + 'base = "imagnet"\n', 3, "no experiment 'imagnet'", "imagenet"),
    "a base that does not fit": (MINE + 'base = "imagenet"\n', 3, "with width 1", "backbone.width=1"),
    "a weights file": (MINE + 'base = "weights/none.h5"\n', 3, "there is none", "imagenet"),
    "a base in a circle": (MINE + 'base = "mine"\n', 3, "mine starts from mine", "other weights"),
    "a block": (MINE + 'phases.0.trains = "block6"\n', 3, "has 5 blocks", "block1 to block5"),
    "what learns": (MINE + 'phases.0.trains = "blok3"\n', 3, "'blok3'", "block5"),
    "a choice": (MINE + 'backbone.batch_norm = "aftr"\n', 3, "'none', 'before' or 'after'", "after"),
    "a choice without likeness": (MINE + 'precision = "x"\n', 3, "found 'x'", "mixed_bfloat16"),
    "a number as text": (MINE + 'seed = "5"\n', 3, "expected a number, found a text", "Write 5."),
    "a number as yes or no": (MINE + "seed = true\n", 3, "expected a number, found True", "Of first weights"),
    "yes or no as text": (MINE + 'reproducible = "yes"\n', 3, "expected true or false", "Write true."),
    "too large a share": (MINE + "gate.floor = 80\n", 3, "less than or equal to 1", "Top-1"),
    "a fraction of epochs": (MINE + "phases.0.epochs = 2.5\n", 3, "2.5", "Passes over"),
    "what does not go together": (MINE + "label_smoothing = 0.1\n", 1, "needs loss=", "--settings"),
    "a shipped name": (
        '[experiments.digits-adam]\nextends = "digits-scratch"\n',
        1,
        "experiments.toml, line",
        "another",
    ),
    "a generated name": ("[experiments.cifar10-finetune]\nseed = 3\n", 1, "recipes.toml, line", "another name"),
    "a name with a dot": ('[experiments."a.b"]\nseed = 3\n', 1, "cannot be a name", "letters"),
    "a reserved name": ("[experiments.imagenet]\nseed = 3\n", 1, "cannot be a name", "neither imagenet"),
    "a value for a table": ("experiments.mine = 3\n", 1, "expected a table", "[experiments.mine]"),
    "tables": ("experiments = 3\n", 1, "expected tables", "[experiments.NAME]"),
    "a table": ('\n[experiment.mine]\nextends = "digits-scratch"\n', 2, "no such table", "experiments"),
    "a bracket": ("[experiments.mine\nseed = 3\n", 1, "Expected ']'", "quotes"),
    "an end too early": (MINE + 'base = "imagenet', 3, "Unterminated string", "quotes"),
    "a number of 5,000 digits": (MINE + "seed = " + "9" * 5000 + "\n", 3, "Exceeds the limit", ""),
    "a list in a list in a list": (
        MINE + "head.units = " + "[" * 5000 + "]" * 5000 + "\n",
        3,
        "nest too deep",
        "[512, 512]",
    ),
    "a list of a hundred lists": (MINE + "head.units = " + "[" * 100 + "]" * 100 + "\n", 3, "an integer, found [", ""),
    "a key of three thousand parts": (MINE + ".".join(["a"] * 3000) + " = 1\n", 3, "20 deep", "table.key"),
    "a setting within a setting": (MINE + "phases.0.epochs.x = 3\n", 3, "an integer, found a table", "epochs = 10"),
    "a setting by another name": (MINE + "lr = 0.1\n", 3, "no such setting", "phases.0.optimizer.learning_rate"),
    "a list that is a number": (MINE + "head.units = 4096\n", 3, "expected a list", "units = [4096]"),
    "a text that is a number": (MINE + "backbone.name = 3\n", 3, "expected a text", 'name = "vgg16"'),
    "no name to extend": ("[experiments.mine]\nextends = 0\n", 2, "no experiment 0", "There are"),
    "a list of names to extend": ('[experiments.mine]\nextends = ["digits-scratch"]\n', 2, "no experiment [", ""),
    "a study to extend": ('[studies.sizes]\nextends = ["course"]\n', 2, "no shipped study", "course"),
    "a number as dataset": (
        '[studies.s]\ndataset = "digits"\n' + STUDY.replace("sizes", "s") + ", dataset = 3}]\n",
        4,
        "expected a table",
        "",
    ),
    "an index by another spelling": (
        MINE + 'phases.0.epochs = 3\nphases.00.trains = "head"\n',
        4,
        "no phases.00",
        "[[",
    ),
    "a weights file's endless name": (MINE + f'base = "{"a" * 300}.h5"\n', 3, "there is none", "imagenet"),
    "a key with an escape": (MINE + '# why\n"s\\u0065d" = 1\n', 4, "no such setting", "seed"),
    "a description of two lines": (MINE + 'description = "red\\nhot"\n', 3, "one line of text", "control"),
    "a number in hexadecimal without end": (
        MINE + "batch_size = 0x" + "f" * 5000 + "\n",
        3,
        "batch_size",
        "training step",
    ),
    "experiments in a long row": (
        "".join(f'[experiments.e{n}]\nextends = "e{n + 1}"\n' for n in range(3000)),
        1,
        "in a row",
        "Shorten",
    ),
    "an end after letters that end lines elsewhere": (MINE + 'base = "\u2028\u2028', 3, "Unterminated", "quotes"),
    "somebody's weights": (MINE + 'base = "~nosuchuser/x.h5"\n', 3, "there is none", "imagenet"),
    "a rule by its old name": (MINE + "gate.level = 0.01\n", 3, "no such setting", "now gate.alpha"),
    "a number as backbone": (MINE + "backbone = 16\n", 3, "expected a table", "convolutional base"),
    "a backbone's name": ('[experiments.vgg16]\nextends = "digits-scratch"\n', 1, "name of a backbone", "another name"),
    "a member as a question": (
        STUDY + ', name = "b"}]\n[studies.sizes.questions.b]\nbest_of = "size"\n',
        2,
        "a question, and",
        "another",
    ),
    "a member as an experiment": (
        '[studies.digits.questions.q]\nmembers = [{extends = "digits-adam", name = "scratch"}]\n',
        2,
        "name of two experiments",
        "another",
    ),
    "a setting of the best": (
        STUDY + '}]\n[studies.sizes.questions.b]\nbest_of = "size"\nsettings = ["phases.0.epoch=3"]\n',
        5,
        "phases.0.epoch",
        "phases.0.epochs",
    ),
    "other images of the best": (
        STUDY + '}]\n[studies.sizes.questions.b]\nbest_of = "size"\nsettings = ["seed=2", "dataset.limit=50"]\n',
        5,
        "same images",
        "members",
    ),
    "a list without end": (MINE + "head.units = [64,\n", 3, "Invalid value", "quotes"),
    "a text without quotes": (MINE + "base = imagenet\n", 3, "Invalid value", "quotes"),
    "a table twice": (MINE + MINE, 3, "twice", "once"),
    "two members of a name": (STUDY + '}, {extends = "digits-scratch"}]\n', 2, "two members", "name ="),
    "a member's key": (STUDY + '}, {name = "b", sed = 3, extends = "digits-scratch"}]\n', 2, "members.1.sed", "seed"),
    "a member to extend": (STUDY + '}, {extends = "small"}]\n', 2, "no experiment 'small'", "digits-scratch"),
    "other images": (STUDY + '}, {extends = "digits-adam", dataset.limit = 90}]\n', 2, "other images", "of all or"),
    "whom to compare": (STUDY + '}]\ncompared = [["digits-scratch", "smal"]]\n', 3, "'smal'", "digits-scratch"),
    "the best of nothing": (STUDY + '}]\n[studies.sizes.questions.b]\nbest_of = "sise"\n', 4, "'sise'", "size"),
    "nobody who answers": ("[studies.sizes.questions.size]\nsettings = []\n", 1, "expected members", "who answers"),
    "a question's key": ("[studies.sizes.questions.size]\nmember = []\n", 2, "no such setting", "members"),
    "a language": (STUDY + '}]\n[studies.sizes]\nlanguage = "de"\n', 4, "'en' or 'fr'", "fr"),
    "an expectation's type": (
        PETS + EXPECT + 'type = "ExpectColumnMeanToBeBetwen"\n',
        4,
        "no expectation",
        "MeanToBeBetw",
    ),
    "an expectation's column": (PETS + MEAN + 'column = "men"\nmax_value = 3\n', 5, "no fact 'men'", "mean"),
    "no column": (PETS + MEAN + "max_value = 3\n", 3, "expected a column", "split"),
    "a column of texts": (PETS + MEAN + 'column = "label"\nmax_value = 3\n', 5, "numbers, found label", "min, max"),
    "a column of the table": (
        PETS + EXPECT + 'type = "ExpectTableRowCountToBeBetween"\ncolumn = "mean"\nmax_value = 3\n',
        5,
        "has no column",
        "all images",
    ),
    "no bounds": (PETS + MEAN + 'column = "mean"\n', 3, "min_value, max_value or both", "min_value"),
    "bounds exchanged": (
        PETS + MEAN + 'column = "mean"\nmin_value = 5\nmax_value = 3\n',
        6,
        "no more than",
        "Exchange",
    ),
    "what a mean does not take": (
        PETS + MEAN + 'column = "mean"\nmin_value = 5\nmostly = 0.5\n',
        7,
        "has no mostly",
        "min_value, max_value",
    ),
    "no set": (
        PETS + EXPECT + 'type = "ExpectColumnValuesToBeInSet"\ncolumn = "label"\n',
        3,
        "value_set",
        '["a", "b"]',
    ),
    "an expectation's key": (PETS + MEAN + 'column = "mean"\nmax_values = 3\n', 6, "no such setting", "max_value"),
    "a bound as text": (PETS + MEAN + 'column = "mean"\nmax_value = "3"\n', 6, "expected a number", "Write 3"),
    "a measure": (
        PETS + "typical.images = 9\ntypical.mean_intensty = [1, 2]\n",
        4,
        "no such setting",
        "mean_intensity",
    ),
    "a spread below nothing": (PETS + "typical.mean_intensity = [1, -2]\n", 3, "greater than or equal to 0", ""),
    "measures of how many": (PETS + "typical.mean_intensity = [1, 2]\n", 3, "expected images", "What the images"),
    "too many unreadable": (PETS + "unreadable = 5\n", 3, "less than or equal to 1", "share"),
    "a shipped study": ("[studies.course]\n", 1, "course.toml, line", "another name"),
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the project file of the working folder, and forget what was read before."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        project.load.cache_clear()
        path = tmp_path / "vgg16.toml"
        path.write_text(text, encoding="utf-8")
        return path

    yield write
    project.load.cache_clear()


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_write(name: str, write: Write) -> None:
    text, line, told, suggestion = MISTAKES[name]
    path = write(text)
    with pytest.raises(ProjectError) as refused:
        project.load()
    assert refused.value.status == 2
    assert refused.value.message.startswith(f"{path}, line {line}: ")
    assert told in refused.value.message
    assert suggestion in refused.value.hint
    (fact,) = refused.value.facts["mistakes"]  # type: ignore[misc]
    assert fact["line"] == line


def test_all_mistakes_of_a_file_are_told_in_the_order_of_their_lines(write: Write) -> None:
    path = write(
        MINE + 'loss = "no"\nbatch_siez = 3\n[experiments.b]\nextends = "mine"\n[experiments.c]\nextends="d"\n'
    )
    with pytest.raises(ProjectError) as refused:
        project.load()
    first, *others = refused.value.message.splitlines()
    assert first == f"{path} has 3 mistakes:"
    assert [line.split(":")[0].strip() for line in others] == ["line 3", "line 4", "line 8"]


def test_a_file_in_no_text_or_far_too_large_is_refused(write: Write) -> None:
    write("").write_bytes(b'[experiments.mine]\nextends = "\xff"\n')
    with pytest.raises(ProjectError, match="line 2: expected UTF-8"):
        project.load()
    write("# " + "x" * 1_000_001)
    with pytest.raises(RequestError, match="1,000,000 bytes"):
        project.load()


def test_the_nearest_file_upward_is_read_and_without_one_there_are_the_shipped_rows(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.load().catalog is SHIPPED
    write(MINE)
    below = tmp_path / "photos" / "pets"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project.load().path == tmp_path / "vgg16.toml"
    assert "mine" in project.load().catalog.experiments


@pytest.mark.parametrize("kind", ["folder", "broken link", "pipe"])
def test_what_is_no_file_is_not_read_and_said(kind: str, write: Write) -> None:
    path = write("")
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    assert project.load().catalog is SHIPPED
    assert project.load().note == f"{path} is no file and is not read"


def test_many_mistakes_are_not_told_without_end(write: Write) -> None:
    write("".join(f'[experiments.e{n}]\nextends = "zqzqzq"\n' for n in range(600)))
    with pytest.raises(ProjectError) as refused:
        project.load()
    assert refused.value.message.endswith("\n  and 560 more")
    assert len(refused.value.message) < 40_000
    write("a." * 20_000 + "a = 1\n")
    with pytest.raises(ProjectError, match="no such table"):
        project.load()


def test_a_file_that_another_account_owns_is_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("not even TOML")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert project.load().catalog is SHIPPED
    assert project.load().note == f"{path} belongs to another account and is not read"


def test_dotted_paths_change_what_is_extended_and_nothing_else(write: Write) -> None:
    write(
        """
[experiments.later]
extends = "mine"
base = "none"
[experiments.mine]
extends = "cifar100-finetune-fast"
dataset = "cifar10"
phases.1.epochs = 3
phases.1.augmentation.flip = true
image_size = "none"
head.units = [64]
gate = { floor = 0.25 }
"""
    )
    shipped = SHIPPED.experiments["cifar100-finetune-fast"]
    before = {setting.key: setting.value for setting in settings(shipped)}
    mine = {setting.key: setting.value for setting in settings(project.load().catalog.experiments["mine"])}
    changed = {key: value for key, value in mine.items() if before.get(key, "absent") != value}
    assert changed == {
        "dataset.name": "cifar10",
        "phases.1.epochs": 3,
        "phases.1.augmentation.shift": 0,
        "phases.1.augmentation.flip": True,
        "image_size": None,
        "head.units": [64],
        "gate.floor": 0.25,
    }
    assert project.load().catalog.experiments["later"].base is None


def test_a_study_has_its_own_members_on_its_dataset_scored_on_test_and_each_compared_with_the_first(
    write: Write,
) -> None:
    write(
        MINE
        + """
[studies.sizes]
dataset = "glyphs"
[studies.sizes.questions.size]
members = [{ extends = "mine" }, { extends = "mine", name = "small", image_size = 24 }]
[studies.sizes.questions.longer]
best_of = "size"
settings = ["phases.0.epochs=12"]
"""
    )
    study = project.load().catalog.studies["sizes"]
    assert [member.name for member in study.members] == ["sizes-mine", "sizes-small"]
    assert {member.dataset.name for member in study.members} == {"glyphs"}
    assert study.members[1].image_size == 24
    assert {member.score_test for member in study.members} == {"always"}
    assert study.questions[0].compared == (("sizes-small", "sizes-mine"),)
    assert study.questions[1].compared == (("longer", "size"),)


def test_a_study_that_extends_the_course_is_another_study_of_the_same_members(write: Write) -> None:
    write('[studies.ours]\nextends = "course"\ndataset = "cifar10"\nlanguage = "fr"\n')
    ours, course = project.load().catalog.studies["ours"], SHIPPED.studies["course"]
    renamed = [member.name.replace("course-", "ours-") for member in course.members]
    assert [member.name for member in ours.members] == renamed
    assert {member.dataset.name for member in ours.members} == {"cifar10"}
    assert ours.language == "fr"


def test_own_experiments_travel_whole_with_the_own_ones_that_they_start_from(write: Write) -> None:
    write(
        """
[experiments.first]
extends = "glyphs-scratch"
[experiments.second]
extends = "digits-finetune"
base = "first"
[experiments.third]
extends = "digits-finetune"
base = "second"
"""
    )
    ours = project.load()
    known = ours.catalog.experiments
    third, shipped = ours.requested(["third", "digits-finetune"])
    assert third == known["third"]
    assert shipped == "digits-finetune"
    assert catalog.bases_of([known["third"]], known) == {"second": known["second"], "first": known["first"]}
    assert catalog.bases_of([known["digits-finetune"]], known) == {}
    bases = {"second": known["second"], "first": known["first"]}
    chosen, _ = catalog.choose([third], [], catalog.travelled([third], bases))
    assert chosen == [known["third"]]


def test_the_file_that_a_run_keeps_gives_the_same_request_again(write: Write) -> None:
    write(MINE + 'phases.0.epochs = 3\nbase = "start"\n[experiments.start]\nextends = "glyphs-scratch"\n')
    known = project.load().catalog.experiments
    kept = written.project_file([known["mine"], known["start"]], SHIPPED.experiments)
    write(kept)
    again = project.load().catalog.experiments
    for name in ("mine", "start"):
        assert canonical.experiment_json(again[name]) == canonical.experiment_json(known[name])


def test_a_weights_file_is_named_from_the_project_file_on(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "own.h5").write_bytes(b"weights")
    write(MINE + 'base = "weights/own.h5"\n')
    monkeypatch.chdir(tmp_path / "weights")
    assert project.load().catalog.experiments["mine"].base == str(tmp_path / "weights" / "own.h5")


def _accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether a schema of the few words that ours has accepts a value."""
    if "$ref" in schema:
        return _accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        return any(_accepts(option, value, root) for option in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if schema.get("type") == "array":
        return isinstance(value, list) and all(_accepts(schema.get("items", {}), inner, root) for inner in value)
    if schema.get("type") == "object":
        return isinstance(value, dict) and all(_accepts(_of(schema, key), inner, root) for key, inner in value.items())
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    return "type" not in schema or isinstance(value, kinds[schema["type"]])


def _of(schema: dict[str, Any], key: str) -> dict[str, Any]:
    numbered = schema.get("patternProperties", {})
    if numbered and key.isdecimal():
        return dict(*numbered.values())
    others = schema.get("additionalProperties", {})
    return dict(schema.get("properties", {}).get(key, others or {"enum": []}))


def test_the_schema_accepts_what_is_read_and_knows_no_other_key(write: Write) -> None:
    import tomllib

    schema = json.loads(json.dumps(project_schema()))
    good = tomllib.loads(
        MINE
        + 'dataset.limit = 30\nphases.0.epochs = 3\nimage_size = "none"\n'
        + STUDY
        + '}, {extends = "mine", name = "b", seed = 3}]\ncompared = [["b", "mine"]]\n'
        + written.project_file([SHIPPED.experiments["cifar10-finetune"]], SHIPPED.experiments)
        + PETS
        + "unreadable = 0.1\n[datasets.pets.typical]\nimages = 30\nmean_intensity = [1.5, 2]\n"
        + MEAN
        + 'column = "mean"\nmin_value = 3\n'
    )
    assert _accepts(schema, good, schema)
    for bad in (
        "[experiments.m]\nsede = 3\n",
        "[experiments.m]\nphases.0.epohs = 3\n",
        '[experiments.m]\nseed = "x"\n',
        PETS + "typical.mean = [1, 2]\n",
        PETS + EXPECT + 'type = "ExpectColumnToExist"\n',
    ):
        assert not _accepts(schema, tomllib.loads(bad), schema)
