"""Scores of a map of a photograph; everything lies over the network's input, S pixels a side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

TOLERANCE = 0.03  # of a side, by which the highest place may miss a lesion; 15 pixels of 512
SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)  # of the retina, taken away or put back
BLUR = 0.08  # width of the Gaussian, of a side, that takes a place away


def points_at(values: np.ndarray, lesions: np.ndarray, retina: np.ndarray) -> float:
    """1 where the highest place of a map (S, S) on the retina is within TOLERANCE of a lesion, else
    0; masks are (S, S) bool. Pointing game: Zhang et al., Top-Down Neural Attention, IJCV 126
    (2018)."""
    row, column = np.unravel_index(np.where(retina, values, -np.inf).argmax(), values.shape)
    return float(widened(lesions)[row, column])


def widened(lesions: np.ndarray) -> np.ndarray:
    """Lesions with all that is within TOLERANCE of them."""
    radius = round(TOLERANCE * len(lesions))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(lesions.astype(np.uint8), disc) > 0


def shares_on(
    values: np.ndarray, lesions: np.ndarray, retina: np.ndarray
) -> tuple[float, float] | None:
    """What lesions have of the positive part of a map, and of the area, on the retina; None where
    there are no lesions, or nothing is positive."""
    positive = np.where(retina, values.clip(min=0), 0)
    inside = lesions & retina
    if not inside.any() or not positive.any():
        return None
    return float(positive[inside].sum() / positive.sum()), float(inside.sum() / retina.sum())


def deletion_and_insertion(
    image: np.ndarray,
    order: np.ndarray,
    retina: np.ndarray,
    answers: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """How an answer changes, in logits, as the highest places of an order (S, S) are blurred away
    from (S, S, 3) uint8, and as they are put back into the blurred photograph: means over SHARES.

    `answers` of (n, S, S, 3) are (n, Q); the results are (Q,). After RISE (Petsiuk et al.,
    BMVC 2018), with a blur in place of grey.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR * len(image))
    ranks = np.full(order.shape, order.size, dtype=np.int64)
    places = np.flatnonzero(retina)
    ranks.ravel()[places[np.argsort(-order.ravel()[places], kind="stable")]] = range(len(places))
    chosen = [ranks < share * len(places) for share in SHARES]
    without = [np.where(own[..., None], blurred, image) for own in chosen]
    only = [np.where(own[..., None], image, blurred) for own in chosen]
    found = answers(np.stack([image, blurred, *without, *only]))
    whole, none = found[0], found[1]
    taken, given = found[2 : 2 + len(SHARES)], found[2 + len(SHARES) :]
    return (taken - whole).mean(axis=0), (given - none).mean(axis=0)


def mean_and_interval(
    values: Sequence[float], generator: np.random.Generator, draws: int = 2000
) -> tuple[float, float, float]:
    """The mean over photographs, with a 95 % interval by drawing them again."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return (float("nan"),) * 3
    means = known[generator.integers(0, len(known), (draws, len(known)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(known.mean()), float(low), float(high)


def ratio_and_interval(
    pairs: Sequence[tuple[float, float]], generator: np.random.Generator, draws: int = 2000
) -> tuple[float, float, float]:
    """The mean of first shares over the mean of second ones, over photographs, likewise."""
    found = np.array(pairs)
    if not len(found):
        return (float("nan"),) * 3
    means = found[generator.integers(0, len(found), (draws, len(found)))].mean(axis=1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    return float(found[:, 0].mean() / found[:, 1].mean()), float(low), float(high)
