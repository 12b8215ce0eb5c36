"""How much each member of an ensemble counts, fitted on samples of val."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.ensembles.combination import combine
from dr_ovo.predictions.metrics import accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import SMALLEST_PROBABILITY, Predictions
from dr_ovo.statistics.intervals import SEED

BAGS, ADDITIONS = 10, 20  # resamples of the patients; members added in each


@dataclass(frozen=True, eq=False)
class MemberPredictions:
    """What M members said of the same N samples."""

    targets: np.ndarray  # (N,)
    patients: np.ndarray  # (N,)
    grades: np.ndarray  # (M, N)
    probabilities: np.ndarray  # (M, N, C)

    @classmethod
    def of(cls, members: Sequence[Predictions]) -> MemberPredictions:
        """The answers of models that saw the same samples in the same order."""
        return cls(
            members[0].targets,
            members[0].patient_ids,
            np.stack([member.predicted for member in members]),
            np.stack([member.probabilities for member in members]),
        )

    def samples(self, chosen: np.ndarray) -> MemberPredictions:
        """Those on the samples where (N,) bool is true."""
        return MemberPredictions(
            self.targets[chosen],
            self.patients[chosen],
            self.grades[:, chosen],
            self.probabilities[:, chosen],
        )

    def members(self, chosen: Sequence[int]) -> MemberPredictions:
        """Those of some members."""
        rows = list(chosen)
        return MemberPredictions(
            self.targets, self.patients, self.grades[rows], self.probabilities[rows]
        )

    def combined(self, method: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grades (N,) and probabilities (N, C) of all members together."""
        return combine(method, self.grades, self.probabilities, weights)


Weigh = Callable[[MemberPredictions], np.ndarray]


def weigher(method: str, weight_by: str) -> Weigh:
    """The function that gives a method its weights (M,), which sum to 1."""
    return by_score(weight_by) if method == "weighted" else greedy if method == "greedy" else equal


def is_fitted(method: str) -> bool:
    """Whether the method's weights depend on the samples that it is shown."""
    return method in ("weighted", "greedy")


def equal(answers: MemberPredictions) -> np.ndarray:
    """The same for each: a plain mean, and plain votes."""
    return np.full(len(answers.grades), 1 / len(answers.grades))


def by_score(name: str) -> Weigh:
    """Weights in proportion to the members' `accuracy` or quadratic weighted `kappa`.

    A kappa below 0, or one that is undefined, counts as 0; where all are 0, all count the same.
    """

    def weigh(answers: MemberPredictions) -> np.ndarray:
        classes = answers.probabilities.shape[2]
        scores = [
            accuracy(answers.targets, grades)
            if name == "accuracy"
            else quadratic_kappa(answers.targets, grades, classes)
            for grades in answers.grades
        ]
        known = np.nan_to_num(np.array(scores)).clip(min=0)
        return known / known.sum() if known.sum() > 0 else equal(answers)

    return weigh


def greedy(answers: MemberPredictions) -> np.ndarray:
    """Weights by greedy selection with replacement (Caruana et al., ICML 2004).

    A bag of members begins with the best one; the member that lowers the log loss of the bag's
    mean most is added, 20 times; the bag is the best it was on the way. Log loss, for kappa and
    accuracy change in leaps on a small val and overfit it. For the same reason ten bags are
    filled, each on another bootstrap of the patients, and the weights are the bags' mean.
    """
    own = np.broadcast_to(answers.targets[None, :, None], (*answers.grades.shape, 1))
    true = np.take_along_axis(answers.probabilities, own, axis=2)[:, :, 0]  # (M, N)
    true = true.clip(min=SMALLEST_PROBABILITY).astype(np.float32)
    patients, of_sample = np.unique(answers.patients, return_inverse=True)
    random, total = np.random.default_rng(SEED), np.zeros(len(true))
    for _ in range(BAGS):
        draws = random.integers(len(patients), size=len(patients))
        times = np.bincount(draws, minlength=len(patients))[of_sample].astype(np.float32)
        total += _fill_bag(true, times)
    return total / total.sum()


def _fill_bag(true: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(M,) shares of the members in the best bag; `true` (M, N), `times` (N,)."""
    counts, summed = np.zeros(len(true)), np.zeros_like(true[0])
    best, best_loss = counts, np.inf
    for size in range(1, ADDITIONS + 1):
        losses = -(np.log((summed + true) / size) @ times)
        added = int(losses.argmin())
        counts[added] += 1
        summed += true[added]
        if losses[added] < best_loss:
            best, best_loss = counts / size, float(losses[added])
    return best
