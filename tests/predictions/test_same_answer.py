"""Logits that are the same for every image."""

import numpy as np
import pytest

from dr_ovo.predictions.same_answer import only_grade, same_for_all, stopped_members, stopped_parts
from tests.fixtures.predictions import drawn, predictions_of


@pytest.mark.parametrize("level", [0.0, 0.7, 30.0])
def test_rounding_is_no_difference(level):
    logits = np.full((400, 2), level, dtype=np.float32)
    logits[::3, 0] += 1e-5
    logits[7, 1] += 0.01
    assert same_for_all(logits).tolist() == [True, False]


def test_a_model_is_named_by_its_head_or_its_pairs():
    learns, one, none = (drawn() for _ in range(3))
    one.logits[:, 3] = 0.25
    none.logits[:] = 0.25
    assert [*map(stopped_parts, (learns, one, none))] == [[], ["0-4"], ["ovo"]]
    members = zip("abc", (learns, one, none), strict=True)
    assert stopped_members(members) == ["b 0-4", "c"]


def test_one_logit_of_a_head_without_pairs_is_no_model():
    logits = np.random.default_rng(0).normal(size=(40, 5))
    predictions = predictions_of(np.arange(40) % 5, logits, head="softmax")
    predictions.logits[:, 1] = 0.25
    assert stopped_parts(predictions) == []


def test_a_single_image_says_nothing():
    assert not same_for_all(np.zeros((1, 10))).any()
    assert not same_for_all(np.zeros((0, 10))).any()


def test_one_grade_from_logits_that_differ():
    found = drawn()
    assert only_grade(found) is None
    found.predicted[:] = 3
    assert only_grade(found) == "3"
    found.targets[:] = 3  # rightly
    assert only_grade(found) is None
    few = predictions_of(np.arange(19) % 5, np.zeros((19, 5)), head="softmax")
    assert only_grade(few) is None
