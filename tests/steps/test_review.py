"""A reviewed finding does not come back, and the next version is what people decided."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from os import geteuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.planted import copies
from tests.checks.test_duplicates import scenes
from tests.data.test_folder import Heard, at_home, classes, row
from vgg16.checks import facts_file
from vgg16.checks.duplicates.search import FALSE_SHARE
from vgg16.cli.main import cli
from vgg16.config.types import Dataset, DatasetChoice, Experiment
from vgg16.data import published
from vgg16.data.images import Arrays, Images
from vgg16.data.reviews import kept
from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef, ModelVersion
from vgg16.steps.card import write_card
from vgg16.steps.data import review
from vgg16.steps.data.add import Added, add, changed_since
from vgg16.steps.data.check import check
from vgg16.steps.data.fetch import fetch
from vgg16.workplace.workplace import Workplace

ME = pwd.getpwuid(geteuid()).pw_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    classes(tmp_path / "photos", 10)
    return tmp_path / "photos"


def decide(added: Added, action: str, *findings: str, here: Workplace) -> review.Decided:
    return review.review(added.dataset, findings, action, here)


def labels(added: Added, here: Workplace) -> dict[str, tuple[str, int]]:
    """The class and the split of each picture, by its path."""
    data: Any = here.dataset(added.dataset)
    rows = zip(data.labels.tolist(), data.splits.tolist(), strict=True)
    named = ((data.class_names[label], split) for label, split in rows)
    return dict(zip(data.index.paths.to_pylist(), named, strict=True))


def save(pictures: Images, folder: Path, name: str) -> None:
    """The pictures as files of three classes, in turns."""
    for at, picture in enumerate(pictures):
        file = folder / ("ant", "bee", "cat")[at % 3] / f"{name}-{at:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)


def test_of_twenty_decisions_none_comes_back_in_two_later_versions(tmp_path: Path) -> None:
    drawn, random = scenes(62, 64, seed=11), np.random.default_rng(12)
    save(drawn[:60], tmp_path / "photos", "own")
    save(copies(drawn[:18], ["shift", "flip"], random), tmp_path / "photos", "copy")
    here, dataset = at_home(tmp_path / "home"), row(source=str(tmp_path / "photos"), image_size=64)
    first = add(dataset, here)

    def pairs(added: Added) -> tuple[set[frozenset[str]], int]:
        findings = check(added.dataset, FALSE_SHARE, here)
        return {frozenset(pair.names) for pair in findings.pairs}, findings.reviewed

    def planted(*numbers: int) -> set[frozenset[str]]:
        names = [(("ant", "bee", "cat")[at % 3], at) for at in numbers]
        return {frozenset({f"{name}/own-{at:02d}.png", f"{name}/copy-{at:02d}.png"}) for name, at in names}

    assert pairs(first) == (planted(*range(18)), 0)
    keeps = ["+".join(sorted(pair)) for pair in planted(*range(7))]
    drops = [min(pair) for pair in planted(*range(7, 14))]
    (relabelled,) = planted(15)
    decide(first, "keep", *keeps, here=here)
    decide(first, "drop", *drops, here=here)
    decide(first, "label=bee", *(f"ant/own-{at}.png" for at in (30, 33, 36)), max(relabelled), here=here)
    decide(first, "keep", "cat/own-41.png", "cat/own-44.png", here=here)
    reviews = kept.load(here.store, "own")
    assert len(reviews.latest) == 20
    # Of the version that is there, too, nothing is shown again.
    left = planted(*range(14, 18))
    assert pairs(first) == (left, 14)
    digests = {first.dataset.digest}
    for extra in (60, 61):
        save(drawn[extra : extra + 1], tmp_path / "photos", f"new-{extra}")
        later = add(dataset, here)
        digests.add(later.dataset.digest)
        assert pairs(later) == (left, 7)
        assert (later.reviewed.dropped, later.reviewed.relabelled) == (7, 4)
        there = labels(later, here)
        assert not there.keys() & {*drops}
        assert [there[f"ant/own-{at}.png"][0] for at in (30, 33, 36)] == ["bee"] * 3
        contents = here.dataset(later.dataset).content
        assert sum(reviews.settles_label(digest.tobytes().hex()) for digest in contents) == 6
    assert len(digests) == 3


def test_a_decision_makes_another_version_in_which_every_picture_keeps_its_split(folder: Path, tmp_path: Path) -> None:
    heard = Heard()
    here, dataset = at_home(tmp_path / "home", display=heard), row(source=str(folder))
    first = add(dataset, here)
    before = labels(first, here)
    one = decide(first, "label=cat", "ant/0.png", here=here)
    assert one.next_step == f"vgg16 data add own {folder}"
    decide(first, "drop", "bee/1.png", "bee/2.png", here=here)
    told = changed_since(dataset, here)
    assert "People have decided on 3 images since own" in told
    assert "vgg16 data add own" in told
    second = add(dataset, here)
    after = labels(second, here)
    assert "data        People changed 3 images of this data: 2 dropped, 1 relabelled" in heard.lines
    assert second.parent == first.dataset.digest != second.dataset.digest
    assert after["ant/0.png"] == ("cat", before["ant/0.png"][1])
    assert after | {name: before[name] for name in ("ant/0.png", "bee/1.png", "bee/2.png")} == before
    today = kept.load(here.store, "own").parts[0].at[:10]
    assert {one.image: one.reason for one in second.left_out} == {
        f"bee/{number}.png": f"dropped by {ME} on {today}" for number in (1, 2)
    }
    stored = here.dataset_row(second.dataset).reviewed
    assert stored == second.reviewed
    assert stored.sha256 == kept.load(here.store, "own", stored.files).sha256
    # Nothing new was decided: nothing to say, the same version, and no file for what stands.
    assert changed_since(dataset, here) == ""
    again = decide(second, "drop", kept.load(here.store, "own").parts[1].decisions[0].images[0], here=here)
    assert (again.stored, again.next_step) == (0, "")
    assert add(dataset, here).dataset == second.dataset
    # What is not there any more can be named, and is taken back.
    back = decide(second, "keep", "bee/1.png", "bee/2.png", "ant/0.png", here=here)
    assert [one.decision.text for one in back.taken_back] == ["drop", "drop", "label=cat"]
    assert back.next_step
    heard.lines.clear()
    assert add(dataset, here).dataset.digest == first.dataset.digest
    assert "People changed" not in " ".join(heard.lines)


def test_a_class_that_was_renamed_since_is_told(folder: Path, tmp_path: Path) -> None:
    heard = Heard()
    here, dataset = at_home(tmp_path / "home", display=heard), row(source=str(folder))
    decide(add(dataset, here), "label=cat", "ant/0.png", here=here)
    renamed = add(row(source=str(folder), classes={"cat": "feline"}), here)
    assert renamed.reviewed.relabelled == 0
    (line,) = [line for line in heard.lines if "no such class" in line]
    assert "ant/0.png is to be cat, by" in line
    assert "it stays ant. Decide again: vgg16 data review own" in line


def test_a_damaged_decision_stops_the_next_version_and_is_told_before_a_run(folder: Path, tmp_path: Path) -> None:
    here, dataset = at_home(tmp_path / "home"), row(source=str(folder))
    first = add(dataset, here)
    decide(first, "drop", "ant/0.png", here=here)
    second = add(dataset, here)
    here.store.delete("datasets/own/reviews/000001.json")
    with pytest.raises(Vgg16Error, match=r"reviews/000001.json is missing"):
        add(dataset, here)
    assert "000001.json is missing" in changed_since(dataset, here)
    current = published.recall(here.store, "own")
    assert current is not None
    assert current.dataset == second.dataset


REFUSED: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "an unknown image": ("keep", ("ant/0.png", "ant/99.png"), "has no image ant/99.png", "vgg16 data check own"),
    "a path from elsewhere": ("keep", ("photos/ant/1.png",), "has no image", "Did you mean ant/1.png?"),
    "a pair to be dropped": ("drop", ("ant/0.png+ant/1.png",), "which of the two is to go", "--as drop or vgg16"),
    "a pair to be relabelled": ("label=bee", ("ant/0.png+ant/1.png",), "has the wrong label", "--as label=bee or"),
    "a class that is none": ("label=beee", ("ant/0.png",), "own has no class 'beee'", "Did you mean bee?"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_decided_is_refused_and_nothing_of_it_is_kept(name: str, folder: Path, tmp_path: Path) -> None:
    action, findings, message, hint = REFUSED[name]
    here = at_home(tmp_path / "home")
    added = add(row(source=str(folder)), here)
    with pytest.raises(RequestError) as refused:
        decide(added, action, *findings, here=here)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert here.store.keys("datasets/own/reviews") == []


def test_of_a_shipped_dataset_pairs_are_kept_and_nothing_changes(tmp_path: Path) -> None:
    here = at_home(tmp_path)
    ref = fetch(DatasetChoice(name="digits"), "", "", here)
    first, second = (digest.tobytes().hex() for digest in here.dataset(ref).content[:2])
    for action in ("drop", "label=3"):
        with pytest.raises(RequestError, match="figures on it stay comparable"):
            review.review(ref, [first], action, here)
    assert review.review(ref, [f"{second[:12]}+{first[:8]}"], "keep", here).next_step == ""
    assert kept.load(here.store, "digits").settles_pair(first, second)
    (listed,) = review.decisions("digits", here)
    assert (listed["finding"], listed["by"], listed["counts"]) == (
        "+".join(sorted((first[:12], second[:12]))),
        ME,
        True,
    )
    assert review.decisions("cifar10", here) == []
    with pytest.raises(RequestError, match="There is no dataset 'pets'"):
        review.decisions("pets", here)


def card_of(ref: DatasetRef, here: Workplace, tiny: Experiment) -> str:
    """The card of a version that was trained on this dataset."""
    version = ModelVersion(name="vgg16-own", version="1", stage="None", run_id="abc", experiment="tiny")
    run = SimpleNamespace(commit="", run_name="r", run_id="abc", started=0, code_version="", base="", trained_on=ref)
    cards: list[str] = []
    same: Callable[..., Any] = lambda *_: version  # noqa: E731
    here.__dict__["tracker"] = SimpleNamespace(
        runs=SimpleNamespace(state=lambda _: "finished", get=lambda _: run),
        registry=SimpleNamespace(version=same, reasons=lambda _: "", describe=lambda _, text: cards.append(text)),
        results=SimpleNamespace(experiment=lambda _: tiny, evaluations=lambda _: []),
    )
    write_card(version, here)
    return cards[0]


def test_the_card_says_how_many_images_people_changed(folder: Path, tmp_path: Path, tiny: Experiment) -> None:
    here, dataset = at_home(tmp_path / "home"), row(source=str(folder))
    first = add(dataset, here)
    assert "People changed" not in card_of(first.dataset, here, tiny)
    decide(first, "drop", "ant/0.png", "bee/0.png", here=here)
    decide(first, "label=bee", "cat/0.png", here=here)
    line = "\n- People changed 3 images of this data: 2 dropped, 1 relabelled\n"
    assert line in card_of(add(dataset, here).dataset, here, tiny)
    # Of the version before nothing was changed, and of one that is gone nothing is known.
    assert "People changed" not in card_of(first.dataset, here, tiny)
    gone = first.dataset.model_copy(update={"key": "datasets/own/gone"})
    assert "People changed" not in card_of(gone, here, tiny)


def test_a_row_of_before_there_were_reviews_is_read_and_facts_follow_from_none(patches: Arrays) -> None:
    old = row().model_dump(mode="json", exclude={"reviewed"})
    assert Dataset.model_validate(old).reviewed.files == 0
    assert "reviewed" not in facts_file.made_of(row(), patches)["dataset"]


WRONG = {
    "no decision": (["pets", "ant/0.png"], "expected --as keep, drop or label=CLASS too"),
    "no finding": (["pets", "--as", "keep"], "expected a finding too"),
    "another decision": (["pets", "ant/0.png", "--as", "dorp"], "Did you mean drop"),
    "a drift that is dropped": (["digits", "drift", "--as", "drop"], "A drift is no image"),
    "a shipped dataset": (["digits", "ant/0.png", "--as", "drop"], "figures on it stay comparable"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_refused_before_anything_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, message = WRONG[name]
    monkeypatch.delattr("vgg16.cli.data.findings.open_workplace")
    with pytest.raises(RequestError) as refused:
        cli.main(["data", "review", *arguments], standalone_mode=False)
    assert message in str(refused.value)
