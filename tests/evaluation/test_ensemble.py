"""The mean of several models."""

from dataclasses import replace

import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.evaluation.ensemble import mean_predictions
from dr_ovo.evaluation.predictions import load_predictions, save_predictions


def test_the_mean_of_two_models_by_hand(tmp_path, build):
    ids = np.array([0, 1])
    first = build(ids, np.log([[0.9, 0.1], [0.9, 0.1]]), head="softmax", classes=2)
    second = build(ids, np.log([[0.5], [7.0 / 3]]), head="ovo", classes=2)  # 1/3 and 7/10 for 1
    mean = mean_predictions([first, second])
    expected = [[(0.9 + 2 / 3) / 2, (0.1 + 1 / 3) / 2], [0.6, 0.4]]
    np.testing.assert_allclose(mean.probabilities, expected, atol=1e-8)
    np.testing.assert_array_equal(mean.predicted, [0, 0])
    np.testing.assert_allclose(np.exp(mean.logits), expected, atol=1e-8)
    assert (mean.head, mean.pairs.shape) == ("ensemble", (0, 2))
    save_predictions(tmp_path / "p.npz", mean)
    assert load_predictions(tmp_path / "p.npz").head == "ensemble"


def test_other_samples_labels_or_classes_are_refused(draw):
    first = draw()
    for name, value in {
        "sample_ids": first.sample_ids[::-1],
        "targets": first.targets[::-1],
        "class_names": list("abcde"),
    }.items():
        with pytest.raises(UserError, match=f"differ in their {name.replace('_', ' ')}"):
            mean_predictions([first, replace(first, **{name: value})])
    with pytest.raises(UserError, match="no predictions"):
        mean_predictions([])
