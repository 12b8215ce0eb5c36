"""The pairs' point metrics that training looks at."""

import json

import numpy as np
import pytest

from dr_ovo.predictions.pair_metrics import pair_metrics


def test_two_pairs_by_hand():
    targets = np.array([0, 0, 1, 1, 1, 2])
    logits = np.array([[-1, 9], [2, 9], [1, -9], [3, -9], [-2, -9], [9, -1]], dtype=float)
    first, second = pair_metrics(targets, logits, [(0, 1), (1, 2)])
    assert first["pair"] == [0, 1]
    assert first["n"] == 5
    assert first["accuracy"] == pytest.approx(3 / 5)
    assert first["sensitivity"] == pytest.approx(2 / 3)
    assert first["specificity"] == pytest.approx(1 / 2)
    # Of 6 comparisons of a 1 with a 0: (1 > -1), (3 > -1), (3 > 2) are right.
    assert first["auc"] == pytest.approx(3 / 6)
    assert second["n"] == 4
    assert second["accuracy"] == pytest.approx(3 / 4)
    assert second["auc"] == 1.0


def test_absent_classes_give_none_and_plain_numbers():
    one_sided, empty = pair_metrics(
        np.array([0, 0]), np.array([[-1.0, 1], [1, 1]]), [(0, 1), (1, 2)]
    )
    assert one_sided["auc"] is None
    assert one_sided["sensitivity"] is None
    assert one_sided["specificity"] == 0.5
    assert empty["n"] == 0
    assert empty["accuracy"] is None
    json.dumps([one_sided, empty], allow_nan=False)
