"""When a file's answers count as the model's: held with arrays alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import CLASSES, METADATA, SIDE
from vgg16.errors import RequestError, Vgg16Error
from vgg16.exports import formats, parity
from vgg16.exports.metadata import Metadata
from vgg16.statistics import PairedComparison

IMAGES = np.zeros((200, SIDE, SIDE, 3), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(200)


def expected() -> parity.Expected:
    random = np.random.RandomState(0)
    probabilities = random.dirichlet(np.ones(len(CLASSES)), 200).astype(np.float32)
    scores = np.sort(random.gamma(20, 5, 999)).astype(np.float32)
    unusualness = random.gamma(20, 5, 200).astype(np.float32)
    typicality = (1 + (unusualness[:, None] <= scores).sum(axis=1)) / 1000
    return parity.Expected(probabilities, typicality.astype(np.float32), unusualness, scores)


class File:
    """A file that answers to an image what stands in its row; `alone` where it is asked alone."""

    metadata: Metadata = METADATA

    def __init__(self, answers: parity.Expected, alone: parity.Expected | None = None) -> None:
        self.answers, self.alone = answers, alone or answers

    def answer(self, images: Any) -> Any:
        answers = self.alone if len(images) == 1 else self.answers
        rows = images[:, 0, 0, 0]
        return answers.probabilities[rows], None if answers.typicality is None else answers.typicality[rows]


def changed(difference: float = 0.0, ranks: float = 0.0) -> parity.Expected:
    """The expected answers with one probability and one typicality that differ so."""
    answers = expected()
    probabilities, typicality = answers.probabilities.copy(), np.asarray(answers.typicality).copy()
    probabilities[150, 2] += difference
    typicality[150] += ranks / 1000
    return dataclasses.replace(answers, probabilities=probabilities, typicality=typicality)


def test_a_difference_within_the_tolerance_is_told_and_one_beyond_it_is_refused() -> None:
    proven = parity.prove(File(changed(9e-5, 1)), expected(), IMAGES, parity.FLOAT32)
    assert proven.max_difference == pytest.approx(9e-5, rel=1e-3)
    assert proven.typicality_ranks == pytest.approx(1, abs=1e-3)
    for wrong in (changed(1.1e-4), changed(float("nan")), changed(ranks=60), changed(ranks=float("nan"))):
        with pytest.raises(parity.ParityError):
            parity.prove(File(wrong), expected(), IMAGES, parity.FLOAT32)


def test_what_is_wrong_of_single_images_alone_is_refused() -> None:
    constant = expected().rows(np.full(200, 150))
    with pytest.raises(parity.ParityError, match="one by one"):
        parity.prove(File(expected(), constant), expected().rows(np.arange(199)), IMAGES[:199], parity.FLOAT32)


def test_images_as_unusual_as_many_of_val_may_take_the_rank_of_any_of_those() -> None:
    answers = expected()
    scores = np.sort(np.append(np.asarray(answers.scores)[:500], np.full(499, 70.0))).astype(np.float32)
    tied = dataclasses.replace(answers, scores=scores, unusualness=np.full(200, 70.0, np.float32))
    high = dataclasses.replace(tied, typicality=np.asarray(tied.typicality) + np.float32(0.4))
    parity.prove(File(high), tied, IMAGES, parity.FLOAT32)
    apart = dataclasses.replace(tied, scores=np.linspace(1, 200, 999, dtype=np.float32))
    with pytest.raises(parity.ParityError, match="typicality"):
        parity.prove(File(high), apart, IMAGES, parity.FLOAT32)


def test_a_file_of_other_outputs_is_refused() -> None:
    bare = parity.Expected(expected().probabilities)
    for file, model in ((bare, expected()), (expected(), bare)):
        with pytest.raises(parity.ParityError, match="only one answers typicality"):
            parity.prove(File(file), model, IMAGES, parity.FLOAT32)
    with pytest.raises(parity.ParityError, match="names 4 classes"):
        parity.prove(File(parity.Expected(bare.probabilities[:, :3])), bare, IMAGES, parity.FLOAT32)


def test_an_int8_file_is_held_by_the_gates_rule() -> None:
    answers = parity.Expected(np.tile(expected().probabilities, (5, 1)))
    images = np.tile(IMAGES, (5, 1, 1, 1))
    labels = answers.probabilities.argmax(axis=1)
    file = File(parity.Expected(expected().probabilities))
    proven = parity.prove_noninferior(file, answers, images, labels, alpha=0.025, margin=0.005)
    assert (proven.top1, proven.float_top1, proven.same_top1) == (1.0, 1.0, 1.0)
    with pytest.raises(parity.ParityError, match="too small to tell") as told:
        parity.prove_noninferior(file, answers.rows(np.arange(552)), images[:552], labels[:552], 0.025, 0.005)
    assert "With 553 gate images" in told.value.hint
    flipped = parity.Expected(expected().probabilities[:, ::-1])
    with pytest.raises(parity.ParityError, match="worse than its float model"):
        parity.prove_noninferior(File(flipped), answers, images, labels, alpha=0.025, margin=0.005)


def test_how_many_images_are_needed_follows_from_the_gates_interval() -> None:
    parity.check_enough(553, 0.025, 0.005)
    with pytest.raises(parity.ParityError, match="552 images cannot tell") as told:
        parity.check_enough(552, 0.025, 0.005)
    assert told.value.status == 3
    assert "At least 553" in told.value.hint
    for wins, losses in ((0, 0), (3, 4), (10, 2)):
        needed = parity.images_needed(PairedComparison(wins=wins, losses=losses, images=1000), 0.025, 0.005)
        assert needed is not None
        for images, passes in ((needed, True), (needed - 2, False)):
            share = PairedComparison(
                wins=round(wins * images / 1000), losses=round(losses * images / 1000), images=images
            )
            assert (share.interval_at(0.95)[0] >= -0.005) == passes, (wins, losses)
    assert parity.images_needed(PairedComparison(wins=0, losses=5, images=1000), 0.025, 0.005) is None


def test_a_format_that_there_is_not_is_refused_and_says_what_there_is() -> None:
    assert formats.format_of("litert", "int8").name == "litert-int8"
    for kind in ("onnx", "savedmodel"):
        for quantize in ("float16", "int8"):
            with pytest.raises(RequestError, match=f"goes with --format litert; without it, {kind}"):
                formats.format_of(kind, quantize)


def test_missing_packages_are_named_once_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name in ("onnx", "ai_edge_litert") else object())
    with pytest.raises(Vgg16Error, match="ai-edge-litert and onnx are not installed") as told:
        formats.check_installed(formats.FORMATS.values())
    assert told.value.hint == "pip install 'vgg16[export]'"
    formats.check_installed([formats.FORMATS["savedmodel"]])


def test_metadata_survive_their_way_through_texts() -> None:
    assert Metadata.of_texts(METADATA.texts()) == METADATA
    with pytest.raises(KeyError):
        Metadata.of_texts({})
