"""The metrics of a branch after each epoch, and which epoch is its best."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss, roc_auc_score

from dr_ovo.decoding.decoders import decode
from dr_ovo.models.losses import LossSettings, create_loss
from dr_ovo.models.network import BranchSpec
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.auc import delong_variance
from dr_ovo.predictions.calibration import fit_temperature, temper
from dr_ovo.predictions.kappa_error import kappa_standard_error
from dr_ovo.predictions.metrics import confusion_matrix
from dr_ovo.training.measure import Score, measure, pair_score, score, with_uncertainty

PAIRS = class_pairs(5)
PLAIN = LossSettings(gamma=0.0, alpha=(1.0,) * 5, smoothing=0.0, weights=None, counts=None)
NONE_YET = None


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        ((0.1, -9.0), NONE_YET, True),
        ((0.6, -9.0), (0.5, -1.0), True),  # the value decides ...
        ((0.5, -0.9), (0.5, -1.0), True),  # ... then the lower loss
        ((0.5, -1.0), (0.5, -1.0), False),
        ((0.5, -1.1), (0.5, -1.0), False),
        ((0.4, 0.0), (0.5, -1.0), False),
        ((0.1, -1.0), (math.nan, -1.0), True),  # any value beats none
        ((math.nan, 0.0), (0.1, -1.0), False),
    ],
)
def test_which_score_is_better(new, old, better):
    best = None if old is None else Score(*old)
    assert Score(*new).better_than(best) is better


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Logits (40, 10) that carry some information about the grades (40,)."""
    rng = np.random.default_rng(5)
    targets = np.repeat(np.arange(5), 8)
    signs = np.array([[np.sign(t - (a + b) / 2) for a, b in PAIRS] for t in targets])
    return (signs + rng.normal(0, 1.5, signs.shape)).astype(np.float32), targets


def test_a_shared_branch_is_measured_by_the_decoded_grade(answers):
    logits, targets = answers
    spec = BranchSpec("ovo", tuple(PAIRS), 10)
    found = measure(spec, "ovo", create_loss("ovo", PLAIN, PAIRS), logits, targets, 5)
    predicted, probabilities = decode("ovo", logits, 5)
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
    assert found["kappa"] == pytest.approx(kappa)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    auc = roc_auc_score(targets, probabilities, multi_class="ovr", average="macro")
    assert found["auc"] == pytest.approx(auc)
    assert [row["n"] for row in found["pairs"]] == [16] * 10
    assert score(found) == Score(found["kappa"], -found["loss"])


def test_a_single_pair_is_measured_by_its_auc_then_its_log_loss(answers):
    logits, targets = answers
    own = np.isin(targets, (1, 3))
    logits, targets = logits[own][:, [PAIRS.index((1, 3))]], targets[own]
    spec = BranchSpec("1_3", ((1, 3),), 1, independent=True)
    loss = create_loss("ovo", PLAIN, [(1, 3)])
    found = measure(spec, "ovo", loss, logits, targets, 5)
    positive, share = targets == 3, 1 / (1 + np.exp(-logits[:, 0].astype(np.float64)))
    assert found["auc"] == pytest.approx(roc_auc_score(positive, logits[:, 0]))
    assert found["accuracy"] == pytest.approx(accuracy_score(positive, logits[:, 0] > 0))
    assert found["loss"] == pytest.approx(log_loss(positive, share), rel=1e-5)  # an unweighted loss
    best = pair_score((1, 3), found["auc"], logits, targets)
    assert best.value == found["auc"]
    assert best.tie_break == pytest.approx(-log_loss(positive, share))


def test_the_loss_measured_is_the_loss_trained(answers):
    logits, targets = answers
    settings = LossSettings(3.0, (2.5, 1.0, 1.0, 1.0, 2.0), 0.1, None, (8, 1, 5, 9, 2))
    loss = create_loss("ovo", settings, PAIRS)
    found = measure(BranchSpec("ovo", tuple(PAIRS), 10), "ovo", loss, logits, targets, 5)
    cells = loss(torch.from_numpy(logits), torch.from_numpy(targets))
    assert found["loss"] == pytest.approx(float(cells.sum()) / (4 * len(targets)))


@pytest.mark.parametrize(("head", "width"), [("softmax", 5), ("ordinal", 4)])
def test_heads_without_pairs_have_pair_figures_too(head, width, answers):
    logits, targets = answers[0][:, :width], answers[1]
    loss = create_loss(head, PLAIN, [])
    found = measure(BranchSpec(head, (), width), head, loss, logits, targets, 5)
    predicted, probabilities = decode(head, logits, 5)
    assert found["kappa"] == pytest.approx(
        cohen_kappa_score(targets, predicted, weights="quadratic")
    )
    assert [tuple(row["pair"]) for row in found["pairs"]] == PAIRS
    for row in found["pairs"]:
        a, b = row["pair"]
        own = np.isin(targets, (a, b))
        own_a, own_b = np.maximum(probabilities[own], 1e-12)[:, [a, b]].T
        odds = own_b / own_a
        assert row["auc"] == pytest.approx(roc_auc_score(targets[own] == b, odds))


def test_what_is_undefined_is_none(answers):
    logits, targets = answers
    only = targets == 2
    loss = create_loss("ovo", PLAIN, [(1, 2)])
    spec = BranchSpec("1_2", ((1, 2),), 1, independent=True)
    found = measure(spec, "ovo", loss, logits[only][:, :1], targets[only], 5)
    assert found["auc"] is None
    assert math.isnan(pair_score((1, 2), None, logits[only][:, :1], targets[only]).value)


@pytest.mark.parametrize(("head", "width"), [("ovo", 10), ("softmax", 5), ("ordinal", 4)])
def test_how_sure_kappa_is_and_the_log_loss_at_its_best_temperature(head, width, answers):
    logits, targets = answers[0][:, :width], answers[1]
    found = Score(0.5, -1.0)
    more = with_uncertainty(found, BranchSpec(head, (), width), head, logits, targets, 5)
    predicted, probabilities = decode(head, logits, 5)
    confusion = confusion_matrix(targets, predicted, 5)
    assert (more.value, more.tie_break) == (0.5, -1.0)
    assert more.standard_error == kappa_standard_error(confusion)
    tempered = temper(probabilities, fit_temperature(targets, probabilities))
    assert more.log_loss == pytest.approx(log_loss(targets, tempered))


def test_how_sure_the_auc_of_a_pair_is(answers):
    logits, targets = answers
    own = np.isin(targets, (1, 3))
    logits, targets = logits[own][:, [PAIRS.index((1, 3))]], targets[own]
    spec = BranchSpec("1_3", ((1, 3),), 1, independent=True)
    more = with_uncertainty(Score(0.5, -1.0), spec, "ovo", logits, targets, 5)
    positive, scores = targets == 3, logits[:, 0].astype(np.float64)
    variance = delong_variance(scores[positive], scores[~positive])
    assert more.standard_error == pytest.approx(math.sqrt(variance))
    losses = [log_loss(positive, expit(scale * scores)) for scale in np.geomspace(0.05, 20, 500)]
    assert more.log_loss == pytest.approx(min(losses), abs=1e-4)
    one = targets != 3
    one[np.flatnonzero(positive)[0]] = True  # an AUC with a single positive has no standard error
    alone = with_uncertainty(Score(0.5, -1.0), spec, "ovo", logits[one], targets[one], 5)
    assert math.isnan(alone.standard_error)
