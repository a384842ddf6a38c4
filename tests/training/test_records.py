"""A divergence is a fact, worded once, as version 0.1 worded it."""

from __future__ import annotations

import pytest

from vgg16.training.records import Diagnosis, Divergence, divergence_in_words

NAN, INFINITE = float("nan"), float("inf")
WORDS = [
    (Divergence(kind="loss", epoch=2, step=7, loss=NAN), "the loss became nan in epoch 2, step 7"),
    (Divergence(kind="loss", epoch=1, step=1, loss=INFINITE), "the loss became inf in epoch 1, step 1"),
    (Divergence(kind="val_loss", epoch=3, loss=NAN), "the loss on val became nan in epoch 3"),
    (Divergence(kind="weights", epoch=4), "weights became infinite or nan in epoch 4"),
    (
        Divergence(kind="stuck", epoch=5, best=0.12345, chance=0.1),
        "accuracy stuck at chance: at most 0.123 in 5 epochs, and always answering the commonest class gives 0.100",
    ),
    (Divergence(kind="other", epoch=1, text="as 0.1 said it"), "as 0.1 said it"),
]
DIAGNOSES = [
    (Diagnosis(), False, False, ""),
    (Diagnosis(broken=("fc1", "fc2")), False, False, "; weights of 2 layers are infinite or nan, from fc1 on"),
    (Diagnosis(units=10, dead=5, answer="cat", share=0.89), False, False, ""),
    (Diagnosis(units=10, dead=6), True, False, "; 6 of 10 rectified units answer 0 to every image of val"),
    (
        Diagnosis(units=10, dead=2, silent="fc1", answer="a", share=0.9),
        True,
        True,
        "; 2 of 10 rectified units answer 0 to every image of val, all of fc1 among them; 90% of val are answered 'a'",
    ),
]


@pytest.mark.parametrize(("divergence", "words"), WORDS, ids=lambda each: getattr(each, "kind", ""))
def test_every_kind_of_divergence_is_worded_as_in_0_1(divergence: Divergence, words: str) -> None:
    assert divergence_in_words(divergence) == words
    assert divergence_in_words(divergence, Diagnosis()) == words


@pytest.mark.parametrize(("diagnosis", "mostly_dead", "one_answer", "words"), DIAGNOSES)
def test_a_diagnosis_is_told_beyond_its_thresholds(
    diagnosis: Diagnosis, mostly_dead: bool, one_answer: bool, words: str
) -> None:
    assert (diagnosis.mostly_dead, diagnosis.one_answer) == (mostly_dead, one_answer)
    weights = Divergence(kind="weights", epoch=1)
    assert divergence_in_words(weights, diagnosis) == divergence_in_words(weights) + words
