"""The chain as a person runs it: real data, real training, real registry, in processes of their own."""

from __future__ import annotations

import csv
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.flows.conftest import FirstRun
from vgg16.evaluation.corruptions import KINDS


def test_the_first_run_promotes_the_better_of_a_scratch_and_a_fine_tuned_model(first_run: FirstRun) -> None:
    answer = first_run.answer
    assert answer["verdict"] == "promote"
    assert answer["stage"] == "Production"
    assert [run["experiment"] for run in answer["runs"]] == ["digits-scratch", "digits-finetune"]
    by_val = max(answer["runs"], key=lambda run: run["metrics"]["best_val_top1"])
    assert answer["challenger"] == by_val["model"]
    assert answer["dataset"]["name"] == "digits"


def test_both_recipes_learn_and_only_what_was_promoted_is_scored_on_test(first_run: FirstRun) -> None:
    scratch, finetune = first_run.answer["runs"]
    assert scratch["metrics"]["gate_top1"] >= 0.95
    assert finetune["metrics"]["gate_top1"] >= 0.93
    names = {"train_loss", "train_top1", "val_loss", "val_top1", "best_val_top1", "images_per_s", "temperature"}
    scores = {"top1", "top1_low", "top1_high", "top5", "loss", "brier", "ece", "ece_low", "ece_high"}
    for run in (scratch, finetune):
        metrics = run["metrics"]
        assert names | {f"gate_{score}" for score in scores} <= metrics.keys()
        assert 0 <= metrics["gate_top1_low"] < metrics["gate_top1"] < metrics["gate_top1_high"] <= 1
        if run["model"] != first_run.answer["challenger"]:
            assert [name for name in metrics if name.startswith("test_")] == []
            continue
        assert metrics["test_top1"] >= 0.95
        assert {f"test_{score}" for score in scores} <= metrics.keys()
        corrupted = [metrics[f"test_{kind}_top1"] for kind in KINDS]
        assert metrics["test_corrupted_top1"] == pytest.approx(sum(corrupted) / len(corrupted), abs=2e-6)
        assert metrics["latency_ms"] < 1000
        assert metrics["answers_per_s"] > 1
        # A quarter of VGG-16's width with its head: four bytes for each of about a million numbers.
        assert 2 < metrics["model_megabytes"] < 10


def test_progress_is_told_for_every_epoch_and_nothing_else_is_printed(first_run: FirstRun) -> None:
    lines = [line for line in first_run.told.splitlines() if line.strip()]
    assert sum("epoch" in line and "val_top1" in line for line in lines) == 28
    starts = (
        "run ",
        "data ",
        "duplicates ",
        "validation ",
        "training ",
        "base ",
        "typicality ",
        "export ",
        "test ",
        "typicality ",
        "verdict ",
        "  epoch ",
        "            ",
        "  digits-",
        "  glyphs-",
    )
    assert [line for line in lines if not line.startswith(starts)] == []


def test_everything_is_inside_the_home(first_run: FirstRun) -> None:
    assert list(first_run.home.parent.iterdir()) == [first_run.home]
    assert list(first_run.elsewhere.rglob("*")) == []
    assert {"mlflow.db", "store", "samples"} <= {path.name for path in first_run.home.iterdir()}
    assert Path(first_run.answer["docs"]).is_file()


def test_curves_figures_tables_and_the_dataset_are_in_the_mlflow_run(first_run: FirstRun) -> None:
    (run,) = first_run.command("compare", first_run.answer["runs"][0]["run_id"]).json["runs"]
    assert run["params"]["phases.0.epochs"] == "10"
    scored = {
        "evaluation.json",
        "classes.csv",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "recall_classes.png",
        "reliability.png",
    }
    for member in first_run.answer["runs"]:
        artifacts = first_run.home / "mlflow" / "digits" / member["run_id"] / "artifacts"
        files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
        assert files >= {"experiment.json", "learning_curves.png", *(f"gate/{name}" for name in scored)}
        # The pictures of gate would show a person the images that decide.
        assert "gate/mistakes.png" not in files
        promoted = member["model"] == first_run.answer["challenger"]
        shown = {name.removeprefix("test/") for name in files if name.startswith("test/")}
        assert shown == (scored | {"answers.csv", "mistakes.png", "corruptions.png"} if promoted else set())


def test_each_member_has_a_report_of_its_own_end_in_the_home_and_in_mlflow(first_run: FirstRun) -> None:
    for member in first_run.answer["runs"]:
        page = first_run.home / "reports" / f"{member['run_id']}.html"
        html = page.read_text()
        assert (
            first_run.home / "mlflow" / "digits" / member["run_id"] / "artifacts" / "report.html"
        ).read_text() == html
        promoted = member["model"] == first_run.answer["challenger"]
        assert (first_run.answer["report"] == str(page)) == promoted
        split, end = ("test", "in production") if promoted else ("gate", "not judged")
        low, high, top1 = (100 * member["metrics"][f"{split}_top1{end}"] for end in ("_low", "_high", ""))
        assert f"right on {top1:.1f}\xa0% ({low:.1f} to {high:.1f}\xa0%)" in html
        assert f">{end}</span>" in html
        assert ("image-rendering" in html and 'class="small"' in html) == promoted
    judged = first_run.command("report").json
    assert judged == {"page": first_run.answer["report"], "run_id": Path(first_run.answer["report"]).stem}


def test_runs_carry_the_tags_of_the_vocabulary_and_versions_their_card(first_run: FirstRun) -> None:
    from vgg16.tracking.tags import TAGS

    with sqlite3.connect(first_run.home / "mlflow.db") as database:
        used = {key for (key,) in database.execute("select distinct key from tags where key like 'vgg16.%'")}
        cards = [card for (card,) in database.execute("select description from model_versions")]
        views = database.execute("select count(*) from experiment_tags where key like 'mlflow.sharedViewState.%'")
        assert views.fetchone()[0] >= 1
    assert used <= set(TAGS)
    assert used >= {"vgg16.experiment", "vgg16.chain", "vgg16.model", "vgg16.verdict", "vgg16.commit"}
    assert all("## How to use it" in card for card in cards)


def test_runs_have_the_metrics_of_the_vocabulary(first_run: FirstRun) -> None:
    from vgg16.tracking.tags import METRICS

    with sqlite3.connect(first_run.home / "mlflow.db") as database:
        used = {key for (key,) in database.execute("select distinct key from metrics") if not key.startswith("system/")}
    fields = {"split": ("gate", "test"), "phase": ("0", "1"), "corruption": tuple(KINDS)}
    values = [dict(zip(fields, each, strict=True)) for each in itertools.product(*fields.values())]
    named = {name.format(**each, question="") for name in METRICS for each in values}
    assert used <= named
    assert used >= {"val_loss", "best_epoch", "gate_ece_low", "test_jpeg_top1", "seconds_of_phase_1", "latency_ms"}


def test_compare_without_names_shows_the_members_of_the_last_run(first_run: FirstRun) -> None:
    members = [run["run_id"] for run in first_run.answer["runs"]]
    ours = first_run.command("compare", *members).json["runs"]
    assert [run["run_id"] for run in ours] == members


def test_the_champion_reads_digits_from_picture_files(first_run: FirstRun) -> None:
    pictures = sorted((first_run.home / "samples" / "digits").glob("*.png"))
    assert len(pictures) == 10
    found = first_run.command("predict", *map(str, pictures)).json["predictions"]
    assert [each["image"] for each in found] == [str(picture) for picture in pictures]
    right = sum(each["label"] == picture.stem[-1] for each, picture in zip(found, pictures, strict=True))
    assert right >= 9
    for each in found:
        assert each["top5"][0] == {"label": each["label"], "probability": each["probability"]}
        assert len(each["top5"]) == 5
        assert 0.01 < each["typicality"] <= 1


def test_what_is_no_digit_is_unusual_for_the_champion_however_sure_it_is(first_run: FirstRun, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(20):
        scene = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(scene).resize((320, 240), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.png")
    found = first_run.command("predict", str(tmp_path)).json["predictions"]
    assert sum(each["typicality"] <= 0.01 for each in found) >= 19
    for run in first_run.answer["runs"]:
        assert 0 <= run["metrics"]["gate_unusual"] < 0.05


def test_a_folder_is_scored_into_a_file_as_predict_answers_it(first_run: FirstRun, tmp_path: Path) -> None:
    known = first_run.home / "samples" / "digits"
    expected = {Path(one["image"]).name: one for one in first_run.command("predict", str(known)).json["predictions"]}
    found = first_run.command("score", str(known), "--output", str(tmp_path / "scores.csv"))
    answer = found.json
    assert found.status == 0
    assert (answer["rows"], answer["failed"]) == (10, 0)
    assert answer["model"].startswith("models:/vgg16-digits/")
    assert answer["images_per_s"] > 0
    rows = list(csv.DictReader((tmp_path / "scores.csv").open(newline="")))
    assert [row["path"] for row in rows] == sorted(expected)
    for row in rows:
        assert row["label"] == expected[row["path"]]["label"]
        assert abs(float(row["probability"]) - expected[row["path"]]["probability"]) < 1e-4
        assert bool(row["typicality"]) == answer["typicality"]


def test_a_folder_of_odd_pictures_is_answered_and_the_broken_ones_are_told(first_run: FirstRun, tmp_path: Path) -> None:
    known = first_run.home / "samples" / "digits"
    three = next(known.glob("*3.png"))
    folder = tmp_path / "odd [1]"
    (folder / "below").mkdir(parents=True)
    picture = Image.open(three).resize((400, 300))
    picture.convert("CMYK").save(folder / "b.jpg")
    picture.convert("L").save(folder / "below" / "größer.WEBP")
    (folder / "a.png").write_text("no picture")
    (folder / "c.png").write_bytes(three.read_bytes()[:200])
    (folder / "notes.txt").write_text("not looked at")

    found = first_run.command("predict", str(folder), str(three), f"{known}/*.png")
    assert found.status == 0
    assert found.stderr == ""
    answers, failed = found.json["predictions"], found.json["failed"]
    assert [each["image"] for each in answers[:3]] == [f"{folder}/b.jpg", f"{folder}/below/größer.WEBP", str(three)]
    assert len(answers) == 2 + 10
    assert answers[0]["source"] == {
        "size": [400, 300],
        "mode": "CMYK",
        "done": ["converted to RGB", "cropped to the middle square", "resized to 32x32"],
    }
    assert answers[2]["source"] == {"size": [32, 32], "mode": "RGB", "done": []}
    assert [(each["image"], each["reason"][:8]) for each in failed] == [
        (f"{folder}/a.png", "expected"),
        (f"{folder}/c.png", "damaged:"),
    ]

    none = first_run.command("predict", f"{folder}/[ac].png", f"{folder}/notes.txt")
    assert (none.status, none.json["error"]["kind"]) == (2, "request")
    assert [each["image"] for each in none.json["failed"]] == [
        f"{folder}/{name}" for name in ("a.png", "c.png", "notes.txt")
    ]
    assert all(each["reason"] in none.json["error"]["message"] for each in none.json["failed"])
    assert none.stderr == ""


def test_a_second_run_that_is_no_better_leaves_the_champion_and_says_why(
    first_run: FirstRun, second_run: dict[str, Any]
) -> None:
    champion = first_run.answer["challenger"]["version"]
    assert second_run["verdict"] == "refuse"
    assert second_run["stage"] == "Archived"
    assert second_run["production"] == champion
    # By how much follows from how threads added up: surely worse, or not better enough.
    assert any("than the champion (version" in reason for reason in second_run["reasons"])
    versions = first_run.command("models", "vgg16-digits").json["models"]
    assert [each["version"] for each in versions if each["stage"] == "Production"] == [champion]
    members = first_run.command("compare").json["runs"]
    assert [run["run_id"] for run in members] == [run["run_id"] for run in second_run["runs"]]


def test_with_ten_labels_a_class_fine_tuning_beats_scratch(second_run: dict[str, Any]) -> None:
    scratch, finetune = (run["metrics"]["gate_top1"] for run in second_run["runs"])
    assert finetune > scratch + 0.1


def test_the_life_of_a_champion(first_run: FirstRun) -> None:
    command = first_run.command
    champion = first_run.answer["challenger"]["version"]
    other = next(run["model"]["version"] for run in first_run.answer["runs"] if run["model"]["version"] != champion)

    nothing_before = command("rollback", "vgg16-digits")
    assert nothing_before.status == 3
    assert "no earlier production version" in nothing_before.json["error"]["message"]

    already = command("promote", "vgg16-digits", champion)
    assert (already.status, already.json["error"]["kind"]) == (3, "refused")

    unexplained = command("promote", "vgg16-digits", other, "--force")
    assert (unexplained.status, unexplained.json["error"]["kind"]) == (2, "request")

    forced = command("promote", "vgg16-digits", other, "--force", "--reason", "a demonstration")
    assert forced.status == 0
    assert (forced.json["stage"], forced.json["previous"]) == ("Production", champion)

    described = {path: path.read_text() for path in (first_run.home / "mlflow" / "digits").rglob("MLmodel")}
    for path, text in described.items():
        path.write_text(text.replace('["0", "1",', '["1", "0",'))
    damaged = command("rollback", "vgg16-digits")
    for path, text in described.items():
        assert path.read_text() != text
        path.write_text(text)
    assert (damaged.status, damaged.json["error"]["kind"]) == (3, "refused")
    assert "class names or framing are not what was logged" in damaged.json["error"]["message"]

    back = command("rollback", "vgg16-digits", "--reason", "the demonstration is over")
    assert (back.json["version"], back.json["previous"], back.json["stage"]) == (champion, other, "Production")

    first, second, third = command("history", "vgg16-digits").json["entries"]
    assert [each["action"] for each in (first, second, third)] == ["promote", "promote", "rollback"]
    assert second["forced"]
    assert second["reasons"][0] == "forced: a demonstration"
    assert third["reasons"] == ["the demonstration is over"]
    assert (first["version"], second["version"], third["version"]) == (champion, other, champion)
    stages = {each["version"]: each["stage"] for each in command("models", "vgg16-digits").json["models"]}
    assert stages[champion] == "Production"
    assert stages[other] == "Archived"


def test_the_ui_opens_at_the_comparison_and_ends_when_asked(first_run: FirstRun) -> None:
    try:
        answer = first_run.command("ui").json
        url, login = answer["url"], (answer["user"], answer["password"])
        assert "compareRunsMode=CHART" in url
        assert [httpx.get(url, auth=auth).status_code for auth in (None, login)] == [401, 200]
        assert first_run.command("ui").json == answer
    finally:
        first_run.command("ui", "--stop")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_doctor_finds_nothing_and_then_a_stage_that_was_moved_by_hand(first_run: FirstRun) -> None:
    well = first_run.command("doctor")
    assert well.status == 0
    assert all(check["ok"] for check in well.json["checks"])
    registry_file = first_run.home / "mlflow.db"
    champion = next(
        each["version"] for each in first_run.command("models").json["models"] if each["stage"] == "Production"
    )
    move = "update model_versions set current_stage = ? where name = 'vgg16-digits' and version = ?"
    with sqlite3.connect(registry_file) as database:
        database.execute(move, ("Archived", champion))
    ill = first_run.command("doctor")
    with sqlite3.connect(registry_file) as database:
        database.execute(move, ("Production", champion))
    assert ill.status == 1
    assert "stages" in ill.json["error"]["message"]
    assert [check["name"] for check in ill.json["checks"] if not check["ok"]] == ["stages"]
