"""Every statistic of a model against scikit-learn, as a value and under weights."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from dr_ovo.predictions.metrics import expected_calibration_error
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    brier_statistic,
    calibration_error_statistic,
    class_auc_statistic,
    condition_auc_statistic,
    f1_statistic,
    kappa_statistic,
    macro_auc_statistic,
    pair_statistics,
    precision_statistic,
    recall_statistic,
    sensitivity_and_specificity,
    specificity_statistic,
)


def value(statistic, count):
    return float(statistic.compute(np.ones((count, 1)))[0])


def weighted(statistic, weights):
    return float(statistic.compute(weights[:, None].astype(np.float32))[0])


@pytest.fixture
def p(draw):
    return draw(count=150, seed=4, strength=0.6)


def expected(p, w):
    """Each figure by scikit-learn, samples weighted."""
    t, g, probabilities = p.targets, p.predicted, p.probabilities
    one = {"average": "macro", "labels": [2], "sample_weight": w}
    rest = (t == 2).astype(int)
    aucs = [roc_auc_score(t == c, probabilities[:, c], sample_weight=w) for c in range(5)]
    referable = probabilities[:, 2:].sum(axis=1)
    return {
        accuracy_statistic: accuracy_score(t, g, sample_weight=w),
        balanced_accuracy_statistic: balanced_accuracy_score(t, g, sample_weight=w),
        kappa_statistic: cohen_kappa_score(t, g, weights="quadratic", sample_weight=w),
        macro_auc_statistic: np.mean(aucs),
        (lambda q: recall_statistic(q, 2)): recall_score(t, g, **one),
        (lambda q: precision_statistic(q, 2)): precision_score(t, g, **one),
        (lambda q: specificity_statistic(q, 2)): recall_score(
            1 - rest, (g != 2).astype(int), sample_weight=w
        ),
        (lambda q: f1_statistic(q, 2)): f1_score(t, g, **one),
        (lambda q: class_auc_statistic(q, 2)): aucs[2],
        (lambda q: condition_auc_statistic(q, "referable")): roc_auc_score(
            t >= 2, referable, sample_weight=w
        ),
        (lambda q: sensitivity_and_specificity(q, "referable")[0]): recall_score(
            t >= 2, g >= 2, sample_weight=w
        ),
        (lambda q: sensitivity_and_specificity(q, "referable", 0.4)[1]): recall_score(
            t < 2, referable < 0.4, sample_weight=w
        ),
        (lambda q: brier_statistic(q.targets, q.probabilities)): sum(
            brier_score_loss(t == c, probabilities[:, c], sample_weight=w) for c in range(5)
        ),
    }


def test_every_value_is_that_of_scikit_learn(p):
    for metric, known in expected(p, np.ones(150)).items():
        assert value(metric(p), 150) == pytest.approx(known, abs=1e-9)


def test_every_resample_is_that_of_scikit_learn(p):
    weights = np.random.default_rng(1).integers(0, 4, size=150)
    for metric, known in expected(p, weights).items():
        assert weighted(metric(p), weights) == pytest.approx(known, abs=1e-6)


def test_the_calibration_error_is_the_point_metric(p):
    statistic = calibration_error_statistic(p.targets, p.probabilities)
    known = expected_calibration_error(p.targets, p.probabilities)
    assert value(statistic, 150) == pytest.approx(known)


def test_pairs_judge_the_images_of_their_two_grades(p):
    found = pair_statistics(p)
    assert len(found) == 10
    accuracy, auc = found[1, 3]
    own = np.isin(p.targets, (1, 3))
    higher, logits = p.targets[own] == 3, p.logits[own, 5]  # (0,1)..(0,4), (1,2), (1,3)
    assert value(accuracy, 150) == pytest.approx(accuracy_score(higher, logits > 0))
    assert value(auc, 150) == pytest.approx(roc_auc_score(higher, logits))


def test_what_is_absent_is_nan_with_its_reason(build):
    random = np.random.default_rng(0)
    p = build(np.array([0, 1, 0, 1, 2]), random.normal(size=(5, 10)), predicted=[0, 1, 0, 0, 1])
    said = {
        recall_statistic(p, 3): "no image of grade 3",
        precision_statistic(p, 4): "no image was predicted as grade 4",
        f1_statistic(p, 3): "no image of grade 3",
        class_auc_statistic(p, 3): "no image of grade 3",
        macro_auc_statistic(p): "no image of grade 3, 4",
        balanced_accuracy_statistic(p): "no image of grade 3, 4",
        pair_statistics(p)[0, 4][1]: "no image of grade 4",
        pair_statistics(p)[3, 4][0]: "no image of grade 3 and 4",
        condition_auc_statistic(p, "vision_threatening"): "no image is vision-threatening",
        sensitivity_and_specificity(p, "vision_threatening")[0]: "no image is vision-threatening",
    }
    for statistic, reason in said.items():
        assert np.isnan(value(statistic, 5))
        assert statistic.undefined == reason


def test_one_grade_alone(build):
    grades = np.full(4, 2)
    p = build(grades, np.random.default_rng(0).normal(size=(4, 10)), predicted=grades)
    assert np.isnan(value(kappa_statistic(p), 4))
    assert "one grade" in kappa_statistic(p).undefined
    assert np.isnan(value(specificity_statistic(p, 2), 4))
    assert specificity_statistic(p, 2).undefined == "all images are of grade 2"
    assert condition_auc_statistic(p, "referable").undefined == "all images are referable"
    assert value(accuracy_statistic(p), 4) == 1.0
