"""Which members an ensemble can drop: backward elimination on val, and the margin for no loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.ensembles.combination import replaced
from dr_ovo.ensembles.cross_fitting import cross_fitted
from dr_ovo.ensembles.weights import MemberPredictions
from dr_ovo.predictions.metrics import quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.statistics.differences import Metric, difference
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.model_statistics import accuracy_statistic, kappa_statistic

MARGIN = 0.01  # of accuracy and of kappa: a smaller loss counts as none
MIN_IMAGES = 100  # with fewer, a single image is more than a point
RULE = (
    "A member can be left out where the upper ends of the paired 95 % intervals of the loss are "
    "below 1 point of accuracy and 0.010 of kappa. The member whose removal costs least goes "
    "first, and every loss is measured against the whole ensemble, cross-fitted, on val. With "
    "fewer than 100 images there, a single one is more than a point, and nothing is left out."
)
METRICS: dict[str, Metric] = {
    "accuracy": accuracy_statistic,
    "quadratic_kappa": kappa_statistic,
}
Loss = dict[str, Any]  # "accuracy" and "quadratic_kappa", whole minus smaller, with intervals


@dataclass(frozen=True)
class Elimination:
    """The loss without each member, the members that stay, and the loss of dropping the others."""

    images: int  # on which the losses were measured
    losses: tuple[Loss, ...]
    spare: tuple[bool, ...]  # per member: could be left out by itself
    kept: tuple[int, ...]
    loss: Loss | None  # None where all stay


def eliminate(val: Sequence[Predictions], method: str, weight_by: str) -> Elimination:
    """Backward elimination of members by `RULE`, from their predictions on val."""
    subsets = _Subsets(val, method, weight_by)
    all_members = tuple(range(len(val)))
    losses = subsets.losses([_without(all_members, member) for member in all_members])
    enough, kept, loss = subsets.images >= MIN_IMAGES, all_members, None
    while len(kept) > 1 and enough:
        smaller = max((_without(kept, member) for member in kept), key=subsets.kappa)
        (smaller_loss,) = subsets.losses([smaller])
        if not is_no_loss(smaller_loss):
            break
        kept, loss = smaller, smaller_loss
    spare = tuple(enough and is_no_loss(member_loss) for member_loss in losses)
    return Elimination(subsets.images, tuple(losses), spare, kept, loss)


def is_no_loss(loss: Loss) -> bool:
    """Whether both losses are shown to stay below the margin."""
    ends = [metric.get("high") for metric in loss.values()]
    return all(end is not None and end < MARGIN for end in ends)


def _without(members: tuple[int, ...], dropped: int) -> tuple[int, ...]:
    return tuple(member for member in members if member != dropped)


class _Subsets:
    """Ensembles of subsets of the members, cross-fitted on val's selection share and cached."""

    def __init__(self, val: Sequence[Predictions], method: str, weight_by: str) -> None:
        selected = ~val[0].calibration
        self._template = take(val[0], selected)
        self._answers = MemberPredictions.of(val).samples(selected)
        self._how = method, weight_by
        self.images = len(self._template.targets)
        self._made: dict[tuple[int, ...], Predictions] = {}
        self._whole = self._ensemble(tuple(range(len(val))))

    def _ensemble(self, members: tuple[int, ...]) -> Predictions:
        if members not in self._made:
            grades, probabilities, _ = cross_fitted(self._answers.members(members), *self._how)
            if len(members) == 1:  # the grades that its own decoder chose
                grades = self._answers.grades[members[0]]
            self._made[members] = replaced(self._template, self._how[0], grades, probabilities)
        return self._made[members]

    def kappa(self, members: tuple[int, ...]) -> float:
        """Quadratic weighted kappa of the members' ensemble; -inf where undefined."""
        p = self._ensemble(members)
        kappa = quadratic_kappa(p.targets, p.predicted, p.num_classes)
        return -np.inf if np.isnan(kappa) else kappa

    def losses(self, subsets: Sequence[tuple[int, ...]]) -> list[Loss]:
        """How much each smaller ensemble loses against the whole, with paired intervals."""
        tree = [self._loss(self._ensemble(members)) for members in subsets]
        losses: list[Loss] = with_intervals(tree, self._template.patient_ids)
        return losses

    def _loss(self, smaller: Predictions) -> Loss:
        if np.array_equal(self._whole.predicted, smaller.predicted):
            # No grade changes, so the loss is 0 in every resample and there is nothing to resample.
            return {name: {"value": 0.0, "low": 0.0, "high": 0.0} for name in METRICS}
        return {name: difference(metric, self._whole, smaller) for name, metric in METRICS.items()}
