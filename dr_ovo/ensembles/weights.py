"""Weights of an ensemble's members, fitted on val: equal, by accuracy or kappa, greedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.expected_grade import expected_grade, fit_thresholds
from dr_ovo.decoding.tempering import SMALLEST_PROBABILITY
from dr_ovo.ensembles.combination import combine, grade_from_expected
from dr_ovo.predictions.metrics import accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.intervals import SEED

BAGS, ADDITIONS = 10, 20  # bootstraps of the patients; members added in each


@dataclass(frozen=True, eq=False)
class MemberPredictions:
    """The predictions of M members on the same N samples."""

    targets: np.ndarray  # (N,)
    patients: np.ndarray  # (N,)
    grades: np.ndarray  # (M, N)
    probabilities: np.ndarray  # (M, N, C)
    from_expected: bool = False  # whether the ensemble's grades come from the expected one

    @classmethod
    def of(cls, members: Sequence[Predictions]) -> MemberPredictions:
        """The predictions of models on the same samples in the same order."""
        return cls(
            members[0].targets,
            members[0].patient_ids,
            np.stack([member.predicted for member in members]),
            np.stack([member.probabilities for member in members]),
            grade_from_expected(members),
        )

    def samples(self, chosen: np.ndarray) -> MemberPredictions:
        """The predictions on the samples where (N,) bool is true."""
        return MemberPredictions(
            self.targets[chosen],
            self.patients[chosen],
            self.grades[:, chosen],
            self.probabilities[:, chosen],
            self.from_expected,
        )

    def members(self, chosen: Sequence[int]) -> MemberPredictions:
        """The predictions of some of the members."""
        rows = list(chosen)
        return MemberPredictions(
            self.targets,
            self.patients,
            self.grades[rows],
            self.probabilities[rows],
            self.from_expected,
        )

    def combined(
        self, method: str, weights: np.ndarray, expected: Fitted | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Grades (N,) and probabilities (N, C) of the ensemble of all members."""
        return combine(method, self.grades, self.probabilities, weights, expected)

    def fit_expected(self, weights: np.ndarray) -> Fitted | None:
        """What turns the expected grade of the ensemble into grades, fitted on these samples; None
        where the grade is the most probable one."""
        if not self.from_expected:
            return None
        mean = np.tensordot(weights, self.probabilities, axes=1)
        return Fitted(thresholds=fit_thresholds(expected_grade(mean), self.targets, mean.shape[1]))


Weigh = Callable[[MemberPredictions], np.ndarray]


def weigher(method: str, weight_by: str) -> Weigh:
    """The function that computes a method's weights (M,), which sum to 1."""
    return by_score(weight_by) if method == "weighted" else greedy if method == "greedy" else equal


def is_fitted(method: str) -> bool:
    """Whether the method's weights depend on the samples."""
    return method in ("weighted", "greedy")


def equal(answers: MemberPredictions) -> np.ndarray:
    """Equal weights: a plain mean, and plain votes."""
    return np.full(len(answers.grades), 1 / len(answers.grades))


def by_score(name: str) -> Weigh:
    """Weights in proportion to the members' `accuracy` or quadratic weighted `kappa`.

    A negative or undefined kappa counts as 0; where all scores are 0, all weights are equal.
    """

    def weigh(answers: MemberPredictions) -> np.ndarray:
        classes = answers.probabilities.shape[2]
        scores = [
            accuracy(answers.targets, grades)
            if name == "accuracy"
            else quadratic_kappa(answers.targets, grades, classes)
            for grades in answers.grades
        ]
        clipped = np.nan_to_num(np.array(scores)).clip(min=0)
        return clipped / clipped.sum() if clipped.sum() > 0 else equal(answers)

    return weigh


def greedy(answers: MemberPredictions) -> np.ndarray:
    """Weights by greedy selection with replacement (Caruana et al., ICML 2004).

    A bag starts with the best member; 20 times the member is added that lowers the log loss of
    the bag's mean most, and the best bag on the way is kept. Log loss is used because kappa and
    accuracy change in steps on a small val and overfit it. For the same reason ten bags are
    filled, each on its own bootstrap of the patients, and the weights are the mean of the bags.
    """
    columns = np.broadcast_to(answers.targets[None, :, None], (*answers.grades.shape, 1))
    true_class = np.take_along_axis(answers.probabilities, columns, axis=2)[:, :, 0]  # (M, N)
    true_class = true_class.clip(min=SMALLEST_PROBABILITY).astype(np.float32)
    patients, of_sample = np.unique(answers.patients, return_inverse=True)
    rng, total = np.random.default_rng(SEED), np.zeros(len(true_class))
    for _ in range(BAGS):
        draws = rng.integers(len(patients), size=len(patients))
        times = np.bincount(draws, minlength=len(patients))[of_sample].astype(np.float32)
        total += _fill_bag(true_class, times)
    return total / total.sum()


def _fill_bag(true_class: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(M,) shares of the members in the best bag.

    `true_class` (M, N) are the members' probabilities of the true class, `times` (N,) says how
    often each sample was drawn.
    """
    counts, summed = np.zeros(len(true_class)), np.zeros_like(true_class[0])
    best, best_loss = counts, np.inf
    for size in range(1, ADDITIONS + 1):
        losses = -(np.log((summed + true_class) / size) @ times)
        added = int(losses.argmin())
        counts[added] += 1
        summed += true_class[added]
        if losses[added] < best_loss:
            best, best_loss = counts / size, float(losses[added])
    return best
