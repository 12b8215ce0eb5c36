"""What is asked of a head, as coefficients of its logits."""

from __future__ import annotations

import numpy as np
import pytest

from dr_ovo.explanations.questions import GRADE, RIVAL, questions
from dr_ovo.pairs import class_pairs

NAMES = ("none", "mild", "moderate", "severe", "proliferative")


def test_one_vs_one_asks_the_grades_pairs_and_the_pair_of_both():
    why, against = questions("ovo", NAMES, 2, 3)
    pairs = class_pairs(5)
    signs = {pairs[k]: value for k, value in enumerate(why.coefficients) if value}
    assert signs == {(0, 2): 1, (1, 2): 1, (2, 3): -1, (2, 4): -1}
    assert {pairs[k]: v for k, v in enumerate(against.coefficients) if v} == {(2, 3): -1}
    assert (why.kind, against.kind) == (GRADE, RIVAL)
    assert (why.words, against.words) == ("moderate", "moderate, not severe")
    assert (why.limit, against.limit) == (4 * against.limit, against.limit)


@pytest.mark.parametrize(("grade", "rival"), [(0, 4), (3, 1)])
def test_softmax_asks_the_same_of_differences_of_logits(grade, rival):
    logits = np.random.default_rng(0).normal(size=5)
    differences = np.array([logits[b] - logits[a] for a, b in class_pairs(5)])
    for own, of_pairs in zip(
        questions("softmax", NAMES, grade, rival), questions("ovo", NAMES, grade, rival),
        strict=True,
    ):  # fmt: skip
        assert own.coefficients @ logits == pytest.approx(of_pairs.coefficients @ differences)
        assert (own.limit, own.words) == (of_pairs.limit, of_pairs.words)


def test_ordinal_asks_the_score_and_the_steps_between_the_grades():
    score, up = questions("ordinal", NAMES, 3, 1)
    assert score.coefficients.tolist() == [1, 1, 1, 1]
    assert up.coefficients.tolist() == [0, 1, 1, 0]  # above mild, above moderate
    assert score.words == "a more severe grade"
    _, down = questions("ordinal", NAMES, 1, 3)
    assert down.coefficients.tolist() == [0, -1, -1, 0]


def test_a_number_is_asked_as_it_is_and_with_the_sign_of_the_step():
    score, up = questions("regression", NAMES, 3, 2)
    assert score.coefficients.tolist() == up.coefficients.tolist() == [1]
    down = questions("regression", NAMES, 2, 3)[1]
    assert down.coefficients.tolist() == [-1]
    # 2.2 is by 0.3 nearer to 2 than the middle of 2 and 3 is; 2.8 is on the other side.
    assert [-number - down.offset for number in (2.2, 2.8)] == pytest.approx([0.3, -0.3])
    assert 2.8 - up.offset == pytest.approx(0.3)
    assert score.offset == 0
