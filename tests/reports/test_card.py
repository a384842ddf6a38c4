"""What a model card tells, and what runs say of their recipes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from vgg16.config import catalog
from vgg16.config.overrides import flat
from vgg16.config.types import Experiment, Split
from vgg16.evaluation.metrics import evaluate
from vgg16.records import DatasetRef, Evaluation, ModelVersion, Unseen
from vgg16.reports.card import MOST, ProvenFile, model_card
from vgg16.reports.recipes import recipes

REF = DatasetRef(name="pets", digest="d" * 64, key="k", class_names=("cat", "dog"), splits={"train": 80, "gate": 20})
FACTS = {"run": "pets s1, `abc`", "date": "2026-01-01 00:00 UTC", "code": "0.1", "base": "", "reasons": "too | few"}
FACTS |= {"reviewed": "", "address": "http://127.0.0.1:5000", "home": "", "env": "/home/me/.vgg16/stack/env"}
VERSION = ModelVersion(
    name="vgg16-pets",
    version="3",
    stage="Production",
    run_id="abc",
    experiment="pets-scratch",
    verdict="promote",
    metrics={"test_blur_top1": 0.75, "latency_ms": 12.345},
)


def evaluation(split: Split) -> Evaluation:
    labels = np.arange(20) % 2
    probabilities = np.eye(2, dtype=np.float32)[np.where(np.arange(20) < 2, 1 - labels, labels)]
    return evaluate(split, "", probabilities, labels, REF.class_names)


def test_a_card_says_what_it_is_how_good_its_limits_and_how_it_is_used(tiny: Experiment) -> None:
    card = model_card(VERSION, tiny, REF, [evaluation("gate"), evaluation("test")], FACTS)
    assert card.splitlines()[0] == "tiny, top-1 0.9000 on gate, 0.9000 on test"
    for fact in (
        "cat, dog",
        "digest `dddddddddddddddd`; images: train 80, gate 20",
        "Gates: promote: too \\| few",
        "| with 95 % intervals | 20 images of `gate` | 20 images of `test` |",
        "| top-1 | 0.9000 (0.6990 to 0.9721) | 0.9000 (0.6990 to 0.9721) |",
        "| top-1 when blurred | 0.75 |",
        "on 20 images top-1 may be off by 0.1366",
        "vgg16 predict photo.jpg --model models:/vgg16-pets/3",
    ):
        assert fact in card.replace("&emsp;", "")
    assert "Not scored on `test`" not in card
    assert "It has no typicality" in card
    known = VERSION.model_copy(update={"metrics": {"gate_unusual": 0.0123}})
    card = model_card(known, tiny, REF, [evaluation("gate")], FACTS)
    assert "0.01 or less of 1.2% of `gate`" in card
    assert "It has no typicality" not in card


def test_a_card_names_the_files_that_were_proven_with_size_and_digest(tiny: Experiment) -> None:
    assert "## Files" not in model_card(VERSION, tiny, REF, [], FACTS)
    files = [ProvenFile("ONNX float32", 58_912_345, "0123" * 16), ProvenFile("LiteRT int8", 0, "cdef" * 16)]
    card = model_card(VERSION, tiny, REF, [], FACTS, files).replace("&emsp;", "")
    assert f"| ONNX float32 | 58,912,345 | `{'0123' * 16}` |\n| LiteRT int8 |  | `{'cdef' * 16}` |\n" in card
    assert "vgg16 export models:/vgg16-pets/3 --format onnx --output ." in card


@pytest.mark.parametrize(
    ("reasons", "without"),
    [
        (0, []),
        (2_000, ["## Files"]),
        (3_500, ["## Files", "measured besides", "## Limits"]),
        (9_000, ["## Files", "measured besides", "## Limits", "## How to use it"]),
    ],
)
def test_a_card_that_is_too_long_for_mlflow_loses_what_is_told_elsewhere(
    tiny: Experiment, reasons: int, without: list[str]
) -> None:
    """PostgreSQL refuses a description of more characters, and with it the promotion's last step."""
    files = [ProvenFile("ONNX float32", 1, "0123" * 16), ProvenFile("LiteRT int8", 1, "cdef" * 16)]
    facts = FACTS | {"reasons": "no " * (reasons // 3)}
    card = model_card(VERSION, tiny, REF, [evaluation("gate"), evaluation("test")], facts, files)
    assert len(card) <= MOST == 5_000
    sections = ["## Files", "measured besides", "## Limits", "## How to use it"]
    assert [section for section in sections if section not in card] == without
    assert card.startswith("tiny, top-1 0.9000 on gate")
    assert card.endswith("`vgg16 history vgg16-pets` show the rest.\n") == bool(without)


def test_a_card_warns_and_names_the_real_places(tiny: Experiment) -> None:
    assert "Warning" not in model_card(VERSION, tiny, REF, [], FACTS)
    warned = VERSION.model_copy(
        update={"warnings": ("in low contrast right on only 0.39",), "name": "vgg16-pets.study"}
    )
    card = model_card(warned, tiny, REF, [], FACTS)
    assert "- **Warning**: in low contrast right on only 0.39\n" in card
    assert "source /home/me/.vgg16/stack/env\nvgg16 predict photo.jpg --model models:/vgg16-pets.study/3" in card
    assert "mlflow.set_tracking_uri('http://127.0.0.1:5000')" in card
    # A study's name has no champion.
    assert "`models:/vgg16-pets@champion`" in card
    here = FACTS | {"address": "sqlite:////home/a b/.vgg16/mlflow.db", "home": "/home/a b/.vgg16", "env": ""}
    card = model_card(VERSION, tiny, REF, [], here)
    assert "VGG16_HOME='/home/a b/.vgg16' vgg16 predict photo.jpg" in card
    assert "MLFLOW_TRACKING_URI='sqlite:////home/a b/.vgg16/mlflow.db' \\\n  mlflow models serve" in card
    assert "MLFLOW_TRACKING_PASSWORD" not in card


def test_a_card_tells_top1_without_the_images_that_train_has_seen(tiny: Experiment) -> None:
    row = "top-1 without images whose near-duplicates were learned from"
    gate, test = evaluation("gate"), evaluation("test")
    assert row not in model_card(VERSION, tiny, REF, [gate, test], FACTS)
    numbers = {"top1": 0.8, "top1_interval": (0.75, 0.84), "from_seen": 0.1}
    surely = Unseen(seen=1012, from_seen_interval=(0.02, 0.18), **numbers)
    perhaps = surely.model_copy(update={"from_seen_interval": (-0.02, 0.18)})
    large = test.model_copy(update={"images": 10_000})
    # The copies were found when gate was scored already.
    card = model_card(VERSION, tiny, REF, [gate, large.model_copy(update={"unseen": surely})], FACTS)
    card = card.replace("&emsp;", "")
    assert f"| {row} |  | 0.8000 (0.7500 to 0.8400), without 1,012 |" in card
    assert "| what these images add to top-1 |  | +0.1000 (+0.0200 to +0.1800) |" in card
    assert (
        "- **Warning**: top-1 0.9000 on test, 0.8000 (0.7500 to 0.8400) without the 1,012 images whose near-duplicates "
        "were learned from\n"
    ) in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows if "top-1 without" in row or "top-5" in row} == {4}
    card = model_card(VERSION, tiny, REF, [gate, large.model_copy(update={"unseen": perhaps})], FACTS)
    assert row in card
    assert "Warning" not in card
    everything = perhaps.model_copy(update={"seen": 20})
    card = model_card(VERSION, tiny, REF, [test.model_copy(update={"unseen": everything})], FACTS)
    assert "unknown: all are such" in card
    assert "**Warning**: near-duplicates of all 20 test images were learned from" in card


def test_a_card_of_what_was_not_promoted_says_that_test_was_not_looked_at(tiny: Experiment) -> None:
    assert "Not scored on `test`" in model_card(VERSION, tiny, REF, [evaluation("gate")], FACTS)


def test_names_and_words_of_others_are_text_in_a_card(tiny: Experiment) -> None:
    names = ("a|b", "<script>x</script>", "[x](javascript:alert(1))", "two\nlines\x1b[2J", "Häuser 猫")
    ref = REF.model_copy(update={"class_names": names})
    experiment = tiny.model_copy(update={"description": "`code` ![x](http://e/pixel)"})
    facts = FACTS | {"reasons": "forced: | <img src=x>\n# title", "base": "http://u:SECRET@h/<b>"}
    labels = np.arange(20) % 5
    gate = evaluate("gate", "", np.eye(5, dtype=np.float32)[labels], labels, names)
    card = model_card(VERSION, experiment, ref, [gate], facts)
    assert not re.search(r"<[a-z/!]|(?<!\\)\[x|(?<!\\)`code|^# title|\x1b|SECRET", card, re.MULTILINE)
    assert "two\\\\nlines" not in card  # a line's end is a space
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    for name in (r"a\|b", "&lt;script>", "Häuser 猫", r"forced: \| &lt;img src=x> \# title"):
        assert name in card


def members(**top1: list[float]) -> list[tuple[dict[str, Any], float]]:
    """Runs of `digits-scratch` by learning rate, one for each number, each with a seed of its own."""
    runs = []
    for rate, values in top1.items():
        for seed, top1_of_seed in enumerate(values):
            settings = [f"phases.0.optimizer.learning_rate={rate[1:]}", f"seed={seed}"]
            (chosen,), _ = catalog.choose(["digits-scratch"], settings)
            runs.append((flat(chosen.model_dump(mode="json")), top1_of_seed))
    return runs


RATES = {"x0.1": [0.95, 0.951, 0.952], "x0.2": [0.90, 0.902, 0.901]}


def test_with_one_seed_each_nothing_is_ranked() -> None:
    (sentence,) = recipes(members(**{"x0.1": [0.99], "x0.2": [0.5]}))
    assert sentence.startswith("one seed each: a difference between recipes may be chance")


def test_with_three_seeds_each_the_better_recipe_is_named_with_its_intervals() -> None:
    sentences = recipes(members(**RATES))
    one, other = (f"digits-scratch phases.0.optimizer.learning_rate={rate[1:]}" for rate in RATES)
    assert sentences[0] == f"{one}: best val top-1 0.9510 (0.9485 to 0.9535) over 3 seeds"
    assert sentences[2].startswith(f"{one} is better than {other} by 0.0500 (0.047")


def test_where_the_interval_of_the_difference_holds_zero_no_recipe_is_called_better() -> None:
    sentences = recipes(members(**{"x0.1": [0.95, 0.90, 0.97], "x0.2": [0.94, 0.96, 0.89]}))
    assert "better" not in " ".join(sentences)
    assert "no difference is shown" in sentences[-1]


def test_a_fourth_seed_that_one_recipe_lacks_is_not_made_up() -> None:
    (sentence,) = recipes(members(**{"x0.1": [0.9, 0.9, 0.9], "x0.2": [0.5, 0.5]}))
    assert sentence.startswith("2 to 3 seeds each")


def test_one_recipe_is_not_ranked() -> None:
    assert recipes(members(**{"x0.1": [0.9, 0.91, 0.92]})) == []
