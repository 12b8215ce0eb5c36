"""From a number on the scale of grades to probabilities: an ordered probit model, and its fit.

A photograph with the number x is above grade k with probability Phi((x - cutpoints[k]) / sigma).
McKelvey & Zavoina, Journal of Mathematical Sociology 4 (1975) 103-120.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST_SIGMA, LARGEST_SIGMA = 0.05, 20.0
CLOSEST_CUTPOINTS = 1e-3  # in units of sigma
BETTER = 1e-6  # in mean log-likelihood, nats: the least that counts
FLOOR = 1e-12  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class GradeScale:
    """`cutpoints` (C-1,), increasing, between the grades, and the spread `sigma` around them."""

    cutpoints: tuple[float, ...]
    sigma: float

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Class probabilities (N, C) of numbers (N,)."""
        from scipy.special import ndtr

        above = ndtr((values[:, None] - np.array(self.cutpoints)) / self.sigma)
        edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        return -np.diff(edges, axis=1)


def unfitted_scale(num_classes: int) -> GradeScale:
    """The scale that rounding implies, before anything is fitted."""
    return GradeScale(tuple(k + 0.5 for k in range(num_classes - 1)), 0.5)


def fit_scale(values: np.ndarray, targets: np.ndarray, num_classes: int) -> GradeScale:
    """The scale of the largest likelihood, of numbers (N,) and grades (N,).

    Sigma is kept within 0.05 and 20, or the range of the numbers where that is larger. A grade
    without samples gets next to no room. Where there is only one grade, nothing can be fitted, and
    the scale is that of rounding.

    The search begins twice: with the scale of rounding, and with one that lies where the numbers
    lie. For numbers far from the grades the likelihood of the first is the same wherever it looks.
    """
    from scipy.optimize import minimize

    if len(np.unique(targets)) < 2:
        return unfitted_scale(num_classes)
    widest = max(LARGEST_SIGMA, float(np.ptp(values)))
    gap = np.log(CLOSEST_CUTPOINTS * SMALLEST_SIGMA)
    bounds = [
        (float(values.min()) - 10, float(values.max()) + 10),
        *[(gap, np.log(widest))] * (num_classes - 2),
        (np.log(SMALLEST_SIGMA), np.log(widest)),
    ]
    lower, upper = np.transpose(bounds)
    usual, near = (
        minimize(
            _negative_log_likelihood,
            _parameters_of(start).clip(lower, upper),
            (values, targets),
            "L-BFGS-B",
            jac=True,
            bounds=bounds,
        )
        for start in (unfitted_scale(num_classes), _scale_near(values, targets, num_classes))
    )
    return _scale_of(near.x if near.fun < usual.fun - BETTER else usual.x)


def _scale_near(values: np.ndarray, targets: np.ndarray, num_classes: int) -> GradeScale:
    """Cutpoints that leave as many of the numbers (N,) below as there are grades (N,) below, and
    the spread of the numbers within the grades."""
    shares = [float((targets <= grade).mean()) for grade in range(num_classes - 1)]
    rest = [
        values[targets == grade] - values[targets == grade].mean() for grade in np.unique(targets)
    ]
    sigma = max(float(np.concatenate(rest).std()), SMALLEST_SIGMA)
    steps = CLOSEST_CUTPOINTS * sigma * np.arange(num_classes - 1)  # where a grade has no samples
    return GradeScale(tuple((np.quantile(values, shares) + steps).tolist()), sigma)


def _parameters_of(scale: GradeScale) -> np.ndarray:
    """As `_scale_of` takes them."""
    steps = np.log(np.diff(scale.cutpoints))
    return np.array([scale.cutpoints[0], *steps, np.log(scale.sigma)])


def _scale_of(parameters: np.ndarray) -> GradeScale:
    """From the first cutpoint, the logarithms of the steps to the next ones, and that of sigma."""
    cutpoints = np.cumsum([parameters[0], *np.exp(parameters[1:-1])])
    return GradeScale(tuple(cutpoints.tolist()), float(np.exp(parameters[-1])))


def _negative_log_likelihood(
    parameters: np.ndarray, values: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    """The mean over samples, and its gradient."""
    from scipy.special import ndtr

    scale = _scale_of(parameters)
    cuts = np.array([-np.inf, *scale.cutpoints, np.inf])
    z = (cuts - values[:, None]) / scale.sigma  # (N, C + 1)
    density = np.exp(-np.minimum(z**2, 1400) / 2) / np.sqrt(2 * np.pi)
    density[:, [0, -1]] = 0.0
    rows = np.arange(len(values))
    low, high = (rows, targets), (rows, targets + 1)
    likelihood = (ndtr(z[high]) - ndtr(z[low])).clip(min=FLOOR)
    by_cut = np.zeros(len(cuts))
    np.add.at(by_cut, targets + 1, density[high] / likelihood)
    np.add.at(by_cut, targets, -density[low] / likelihood)
    by_cut = by_cut[1:-1] / scale.sigma
    finite = np.where(np.isfinite(z), z, 0.0)
    by_log_sigma = -(density[high] * finite[high] - density[low] * finite[low]) / likelihood
    onwards = np.cumsum(by_cut[::-1])[::-1]  # a step moves all later cutpoints
    gradient = np.array([onwards[0], *(onwards[1:] * np.exp(parameters[1:-1])), by_log_sigma.sum()])
    count = len(values)
    return -float(np.log(likelihood).sum()) / count, -gradient / count
