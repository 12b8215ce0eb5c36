import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_ovo.decoding.heads import logit_width
from dr_ovo.models.losses import LossSettings, OrdinalLoss, OvoLoss, SoftmaxLoss, create_loss
from dr_ovo.pairs import class_pairs

LN2 = math.log(2)
THREE = class_pairs(3)  # (0,1) (0,2) (1,2)
FIVE = class_pairs(5)
HEADS = ["ovo", "softmax", "ordinal", "regression"]


def make_settings(classes: int = 3, **changes) -> LossSettings:
    """Cross-entropy, except for the changes."""
    plain = {
        "gamma": 0.0,
        "alpha": (1.0,) * classes,
        "smoothing": 0.0,
        "weights": None,
        "counts": None,
    }
    return LossSettings(**(plain | changes))


def outputs(head: str, classes: int) -> int:
    return logit_width(head, classes)


def random_batch(head: str, classes: int = 5, samples: int = 24):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(samples, outputs(head, classes), generator=generator)
    return logits, torch.arange(samples) % classes


# --- values computed by hand


def test_a_sample_fills_the_cells_of_the_pairs_that_hold_its_grade():
    loss = OvoLoss(make_settings(), THREE)
    assert loss.cells == 2
    # Grade 1 against 0 (logit 2, right) and against 2 (logit -1, right); (0,2) does not count.
    total = loss(torch.tensor([[2.0, 5.0, -1.0]]), torch.tensor([1]))
    assert total.tolist() == pytest.approx([0.126928 + 0.313262], abs=1e-6)
    total = loss(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    assert total.tolist() == pytest.approx([2 * LN2] * 3)


@pytest.mark.parametrize(
    ("target", "used", "sign"), [(0, [0, 1], [-1, -1]), (1, [0, 2], [1, -1]), (2, [1, 2], [1, 1])]
)
def test_a_positive_logit_speaks_for_the_higher_grade(target, used, sign):
    logits = torch.zeros(1, 3, requires_grad=True)
    OvoLoss(make_settings(), THREE)(logits, torch.tensor([target])).sum().backward()
    expected = np.zeros(3)
    expected[used] = [-0.5 * s for s in sign]  # the loss falls towards the correct side
    assert logits.grad[0].tolist() == pytest.approx(expected.tolist())


def test_a_single_pair_has_one_cell_and_ignores_other_grades():
    loss = OvoLoss(make_settings(5), [(1, 3)])
    assert loss.cells == 1
    total = loss(torch.full((5, 1), 2.0), torch.arange(5))
    assert total.tolist() == pytest.approx([0, 2.126928, 0, 0.126928, 0], abs=1e-6)


def test_focal_loss_by_hand():
    # p = .880797, (1 - p)^2 = .0142093, -log p = .126928
    loss = OvoLoss(make_settings(2, gamma=2.0), [(0, 1)])
    right, wrong = loss(torch.tensor([[2.0], [2.0]]), torch.tensor([1, 0])).tolist()
    assert right == pytest.approx(0.0142093 * 0.126928, rel=1e-4)
    assert wrong == pytest.approx(0.880797**2 * 2.126928, rel=1e-5)


def test_smoothed_focal_loss_by_hand():
    # Target .95; at logit 0: |.95 - .5|^3 ln 2.
    loss = OvoLoss(make_settings(2, gamma=3.0, smoothing=0.1), [(0, 1)])
    assert loss(torch.zeros(1, 1), torch.tensor([1])).item() == pytest.approx(0.45**3 * LN2)
    # At logit 2: BCE = .126928 + .05 * 2
    total = loss(torch.tensor([[2.0]]), torch.tensor([1])).item()
    assert total == pytest.approx((0.95 - 0.880797) ** 3 * 0.226928, rel=1e-4)


def test_weights_from_counts_within_each_pair():
    loss = OvoLoss(make_settings(counts=(10, 30, 60)), THREE)
    # n / (2 n_a): (0,1) 2 and 2/3, (0,2) 3.5 and 7/12, (1,2) 1.5 and .75
    expected = [(2 + 3.5) * LN2, (2 / 3 + 1.5) * LN2, (7 / 12 + 0.75) * LN2]
    assert loss(torch.zeros(3, 3), torch.arange(3)).tolist() == pytest.approx(expected)


def test_softmax_weights_from_counts():
    loss = SoftmaxLoss(make_settings(counts=(10, 30, 60)))
    ln3 = math.log(3)  # n / (C n_a): 10/3, 10/9, 5/9
    expected = [10 / 3 * ln3, 10 / 9 * ln3, 5 / 9 * ln3]
    assert loss(torch.zeros(3, 3), torch.arange(3)).tolist() == pytest.approx(expected)


def test_softmax_focal_loss_by_hand():
    # p_t = 1/2 of two classes, smoothed cross-entropy ln 2: (1/2)^3 ln 2
    loss = SoftmaxLoss(make_settings(2, gamma=3.0, smoothing=0.1))
    assert loss.cells == 1
    assert loss(torch.zeros(1, 2), torch.tensor([0])).item() == pytest.approx(LN2 / 8)
    # logits (2, 0): p_t = .880797, log p = -.126928 and -2.126928, each weighed .95 and .05
    total = loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item()
    expected = (1 - 0.880797) ** 3 * (0.95 * 0.126928 + 0.05 * 2.126928)
    assert total == pytest.approx(expected, rel=1e-4)


def test_ordinal_cells_ask_whether_the_grade_is_above_each_threshold():
    loss = OrdinalLoss(make_settings(4))
    assert loss.cells == 3
    # Logits that speak for grade 2: above 0, above 1, not above 2.
    total = loss(torch.tensor([[2.0, 2.0, -2.0]]).expand(4, 3), torch.arange(4)).tolist()
    good, bad = 0.126928, 2.126928
    expected = [2 * bad + good, bad + 2 * good, 3 * good, 2 * good + bad]
    assert total == pytest.approx(expected, abs=1e-5)


def test_each_threshold_is_weighted_by_its_own_counts():
    counts = (100, 5, 30, 9, 6)
    loss = OrdinalLoss(make_settings(5, counts=counts))
    # At logits of 0 a cell is worth its weight times log 2. Above threshold 0 are 50 of 150.
    cells = loss(torch.zeros(5, 4), torch.arange(5)) / math.log(2)
    above = [150 / (2 * sum(counts[k + 1 :])) for k in range(4)]
    below = [150 / (2 * sum(counts[: k + 1])) for k in range(4)]
    expected = [sum(above[k] if grade > k else below[k] for k in range(4)) for grade in range(5)]
    assert cells.tolist() == pytest.approx(expected, rel=1e-5)
    # Both sides of each threshold weigh the same over train.
    total = sum(count * sum(above[:grade]) for grade, count in enumerate(counts))
    assert total == pytest.approx(4 * 150 / 2)


# --- factors


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_alpha_scales_the_samples_of_its_class(head, gamma):
    alpha = (0.5, 1.0, 2.5, 4.0, 1.5)
    logits, targets = random_batch(head)
    plain = create_loss(head, make_settings(5, gamma=gamma), FIVE)(logits, targets)
    scaled = create_loss(head, make_settings(5, gamma=gamma, alpha=alpha), FIVE)(logits, targets)
    assert torch.allclose(scaled, plain * torch.tensor(alpha)[targets])


@pytest.mark.parametrize("head", ["ovo", "softmax"])
def test_given_weights_take_the_place_of_those_from_counts(head):
    weights = (1.0, 9.0, 2.0, 0.5, 3.0)
    logits, targets = random_batch(head)
    plain = create_loss(head, make_settings(5), FIVE)(logits, targets)
    given_ = create_loss(head, make_settings(5, weights=weights, counts=(9, 8, 7, 6, 5)), FIVE)
    assert torch.allclose(given_(logits, targets), plain * torch.tensor(weights)[targets])


@given(st.lists(st.integers(1, 1000), min_size=3, max_size=3))
def test_counted_weights_give_both_sides_of_a_pair_the_same_say(counts):
    loss = OvoLoss(make_settings(counts=tuple(counts)), THREE)
    cells = (loss.factor * torch.tensor(counts).view(3, 1)).numpy()  # weight x samples
    for column, (a, b) in enumerate(THREE):
        assert cells[a, column] == pytest.approx(cells[b, column], rel=1e-5)
        assert cells[:, column].sum() == pytest.approx(counts[a] + counts[b], rel=1e-5)


def test_equal_counts_weigh_nothing():
    for head in ("ovo", "softmax"):
        logits, targets = random_batch(head)
        plain = create_loss(head, make_settings(5), FIVE)(logits, targets)
        counted = create_loss(head, make_settings(5, counts=(7,) * 5), FIVE)(logits, targets)
        assert torch.allclose(plain, counted)


# --- against torch


def test_one_vs_one_is_cross_entropy_between_the_two_grades():
    logits, targets = random_batch("ovo")
    expected = torch.zeros(len(targets))
    for column, (a, b) in enumerate(FIVE):
        mine = (targets == a) | (targets == b)
        two = torch.stack([torch.zeros(int(mine.sum())), logits[mine, column]], dim=1)
        expected[mine] += F.cross_entropy(two, (targets[mine] == b).long(), reduction="none")
    assert torch.allclose(OvoLoss(make_settings(5), FIVE)(logits, targets), expected, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_is_torchs(smoothing):
    logits, targets = random_batch("ovo", 2)
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = F.cross_entropy(two, targets, reduction="none", label_smoothing=smoothing)
    found = OvoLoss(make_settings(2, smoothing=smoothing), [(0, 1)])(logits, targets)
    assert torch.allclose(found, expected, atol=1e-6)
    logits, targets = random_batch("softmax")
    expected = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    found = SoftmaxLoss(make_settings(5, smoothing=smoothing))(logits, targets)
    assert torch.allclose(found, expected)


def test_softmax_with_weights_is_torchs():
    logits, targets = random_batch("softmax")
    weights = (1.0, 2.0, 0.5, 4.0, 3.0)
    expected = F.cross_entropy(logits, targets, weight=torch.tensor(weights), reduction="none")
    found = SoftmaxLoss(make_settings(5, weights=weights))(logits, targets)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_without_smoothing_the_modulator_is_the_usual_one(gamma):
    logits, targets = random_batch("ovo", 2)
    right = torch.sigmoid(torch.where(targets.view(-1, 1) == 1, logits, -logits))[:, 0]
    found = OvoLoss(make_settings(2, gamma=gamma), [(0, 1)])(logits, targets)
    assert torch.allclose(found, -((1 - right) ** gamma) * right.log(), rtol=1e-4)


# --- the minimum


@settings(deadline=None)
@given(st.floats(0.01, 0.5), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 5.0]), st.booleans())
def test_smoothing_keeps_its_minimum_at_the_smoothed_target(smoothing, gamma, positive):
    # The modulator from the hard target would pull the minimum to p = 1.
    target = (1 - smoothing) + smoothing / 2 if positive else smoothing / 2
    best = math.log(target / (1 - target))
    logits = (best + torch.tensor([-2.0, -0.5, 0.5, 2.0])).view(-1, 1).requires_grad_()
    loss = OvoLoss(make_settings(2, gamma=gamma, smoothing=smoothing), [(0, 1)])
    loss(logits, torch.full((4,), int(positive))).sum().backward()
    slopes = logits.grad[:, 0]
    assert (slopes[:2] < 0).all()
    assert (slopes[2:] > 0).all()


@pytest.mark.parametrize("head", ["ovo", "ordinal"])
@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_gradients_are_those_of_the_loss(head, gamma):
    settings_ = make_settings(5, gamma=gamma, smoothing=0.1, alpha=(1.0, 2.0, 3.0, 4.0, 5.0))
    loss = create_loss(head, settings_, FIVE)
    logits, targets = random_batch(head, samples=5)
    logits.requires_grad_()
    loss(logits, targets).sum().backward()
    step = 1e-2
    for row, column in np.ndindex(*logits.shape):
        nudge = torch.zeros_like(logits)
        nudge[row, column] = step
        with torch.no_grad():
            up, down = loss(logits + nudge, targets), loss(logits - nudge, targets)
        slope = (up.double().sum() - down.double().sum()).item() / (2 * step)
        assert logits.grad[row, column].item() == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("gamma", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_and_perfect_answers_have_finite_gradients(head, gamma, smoothing):
    loss = create_loss(head, make_settings(3, gamma=gamma, smoothing=smoothing), THREE)
    width = outputs(head, 3)
    perfect = math.log((1 - smoothing / 2) / (smoothing / 2)) if smoothing else 90.0
    for level in (-1e4, -60.0, 0.0, perfect, -perfect, 1e4):
        logits = torch.full((3, width), level)
        logits[:, 0] = 0.0
        logits.requires_grad_()
        total = loss(logits, torch.arange(3))
        total.sum().backward()
        assert torch.isfinite(total).all()
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("head", HEADS)
def test_half_precision_logits_are_widened(head):
    logits, targets = random_batch(head)
    loss = create_loss(head, make_settings(5, gamma=3.0, smoothing=0.1), FIVE)
    total = loss(logits.bfloat16(), targets)
    assert total.dtype == torch.float32
    assert torch.equal(total, loss(logits.bfloat16().float(), targets))


# --- sums


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("sizes", [[2, 2, 2, 2], [1, 7], [3, 3, 2]])
def test_micro_batches_add_up_to_the_large_batch(head, sizes):
    # Grade 4 is rare: in one micro-batch alone.
    targets = torch.tensor([0, 1, 0, 4, 2, 3, 1, 0])
    logits = random_batch(head, samples=8)[0].requires_grad_()
    settings_ = make_settings(
        5, gamma=3.0, smoothing=0.1, counts=(30, 12, 9, 8, 1), alpha=(2.5,) * 5
    )
    loss = create_loss(head, settings_, FIVE)
    constant = loss.cells * 8
    (loss(logits, targets).sum() / constant).backward()
    whole, logits.grad = logits.grad, None
    ends = np.cumsum([0, *sizes])
    for start, end in pairwise(ends):
        (loss(logits[start:end], targets[start:end]).sum() / constant).backward()
    assert torch.allclose(logits.grad, whole, rtol=1e-6, atol=0)


def test_single_pair_branches_add_up_to_the_shared_one():
    logits, targets = random_batch("ovo")
    settings_ = make_settings(5, gamma=3.0, smoothing=0.1, counts=(30, 12, 9, 8, 1))
    alone = sum(
        OvoLoss(settings_, [pair])(logits[:, column : column + 1], targets)
        for column, pair in enumerate(FIVE)
    )
    assert torch.allclose(OvoLoss(settings_, FIVE)(logits, targets), alone)


@pytest.mark.parametrize(("head", "cells"), [("ovo", 4), ("softmax", 1), ("ordinal", 4)])
def test_each_sample_fills_the_same_number_of_cells(head, cells):
    loss = create_loss(head, make_settings(5), FIVE)
    assert loss.cells == cells
    total = loss(torch.zeros(5, outputs(head, 5)), torch.arange(5))
    nothing_known = math.log(5) if head == "softmax" else LN2
    assert total.tolist() == pytest.approx([cells * nothing_known] * 5)


def test_two_classes_are_one_cell():
    assert OvoLoss(make_settings(2), [(0, 1)]).cells == 1
    assert OrdinalLoss(make_settings(2)).cells == 1


def test_no_constant_of_a_loss_is_trained():
    for head in HEADS:
        loss = create_loss(head, make_settings(5, counts=(5, 4, 3, 2, 1)), FIVE)
        assert list(loss.parameters()) == []
        assert loss.factor.dtype == torch.float32


# --- what weights add to the logits


@pytest.mark.parametrize("head", ["ovo", "softmax", "ordinal"])
@pytest.mark.parametrize(
    "change",
    [
        {"counts": (40, 10, 25)},
        {"weights": (0.5, 3.0, 1.0)},
        {"alpha": (0.5, 3.0, 1.0)},
        {"drawn": (0.4, 4.0, 1.0)},
        {"counts": (40, 10, 25), "alpha": (0.5, 3.0, 1.0), "drawn": (0.4, 4.0, 1.0)},
    ],
    ids=str,
)
def test_prior_shift_is_what_weights_add_to_the_best_logits(head, change):
    """Free logits that minimise the loss over counts of 40, 10 and 25, with weights and without."""
    if head == "ordinal" and "weights" in change:
        pytest.skip("--class_weights does not apply to thresholds")
    present = (40, 10, 25)
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(present))
    best = []
    change = {"present": present, **change}
    for settings_ in (make_settings(3), make_settings(3, **change)):
        loss = create_loss(head, settings_, THREE)
        times = settings_.all_drawn[targets]
        logits = torch.zeros(len(loss.prior_shift), requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-9)

        def closure(loss=loss, times=times, logits=logits, optimizer=optimizer):
            optimizer.zero_grad()
            total = (loss(logits.expand(len(targets), -1), targets) * times).sum()
            total.backward()
            return total

        optimizer.step(closure)
        found = logits.detach() - (logits.detach().mean() if head == "softmax" else 0)
        best.append(found)
    shift = create_loss(head, make_settings(3, **change), THREE).prior_shift
    assert (best[1] - best[0]).tolist() == pytest.approx(list(shift), abs=1e-3)


def test_regression_is_a_distance_from_the_grade():
    logits, targets = torch.tensor([[0.5], [3.0], [2.0]]), torch.tensor([0, 1, 2])
    smooth = create_loss("regression", make_settings(3), [])
    squared = create_loss("regression", make_settings(3, distance="mse"), [])
    assert smooth(logits, targets).tolist() == pytest.approx([0.125, 1.5, 0.0])
    assert squared(logits, targets).tolist() == pytest.approx([0.25, 4.0, 0.0])
    weighted = create_loss("regression", make_settings(3, counts=(1, 2, 3)), [])
    assert weighted(logits, targets).tolist() == pytest.approx([0.125 * 2, 1.5, 0.0])
