"""How far pictures are from those that a network learned from, by its features; p-values of that.

The distance is the mean one to the nearest NEIGHBOURS of the kept train features, each feature in
standard deviations of its own (Sun et al. 2022, "Out-of-distribution detection with deep nearest
neighbors"). What distance is usual can't be told from train: a network has learned those pictures,
and they are nearer to one another than new ones are to them. So the p-value is that among pictures
that it did not learn from, of val: (1 + those at least as far away) / (1 + all of them).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 2000  # train pictures that are kept, and val pictures of which the distance is
NEIGHBOURS = 10
WIDEST = 2048  # numbers that are kept of a picture
LEVEL = 0.01  # the share of pictures like those of val that may be called unlike
FEWEST = 49  # val pictures that make LEAST_LEVEL possible
LEAST_LEVEL = 0.02
BLOCK = 256  # pictures that are compared at a time
VAL, WITHOUT_PATIENT = "val", "train without the patient"
_LARGEST = 60_000.0  # that a float16 holds, rounded down


@dataclass(frozen=True, eq=False)
class NearestFeatures:
    """The kept `features` (M, F) float16 of train pictures, and the distances (n,) of pictures that
    were not learned from, or of those of train from the other patients' (`calibrated_on`)."""

    features: np.ndarray
    distances: np.ndarray
    calibrated_on: str

    @property
    def level(self) -> float:
        """The p-value up to which a picture is called unlike: LEVEL, or the smallest possible."""
        return max(LEVEL, 1 / (1 + len(self.distances)))

    def distances_of(self, features: np.ndarray) -> np.ndarray:
        """(N,) distances of features (N, F) as `folded` gives them."""
        return distances_between(self.features, features)

    def p_values(self, features: np.ndarray) -> np.ndarray:
        """(N,) p-values, of 1 / (n + 1) to 1, of features (N, F) as `folded` gives them."""
        return p_values(self.distances, self.distances_of(features))


def calibrated(
    features: np.ndarray, patients: np.ndarray, held_out: np.ndarray
) -> NearestFeatures | None:
    """What is kept of train `features` (M, F) of `patients` (M,), by those `held_out` (n, F), of
    pictures of different patients that were not learned from.

    With fewer than FEWEST of these, the distances are those of the train pictures from other
    patients' pictures, times as much as held-out ones are farther away (in the median): an
    approximation. None where there are too few pictures to say anything.
    """
    kept = np.clip(features, -_LARGEST, _LARGEST).astype(np.float16)
    if len(np.unique(patients)) <= NEIGHBOURS or not len(held_out):
        return None
    new = distances_between(kept, held_out)
    if len(new) >= FEWEST:
        return NearestFeatures(kept, np.sort(new), VAL)
    own = distances_between(kept, kept.astype(np.float32), patients)
    farther = max(1.0, float(np.median(new) / max(np.median(own), 1e-12)))
    if len(own) < FEWEST:
        return None
    return NearestFeatures(kept, np.sort(own * farther), WITHOUT_PATIENT)


def distances_between(
    kept: np.ndarray, features: np.ndarray, patients: np.ndarray | None = None
) -> np.ndarray:
    """(N,) mean distances of features (N, F) from their nearest NEIGHBOURS of the `kept` (M, F),
    per square root of F. With `patients` (N,) of both, M = N: from those of other patients."""
    reference, scale = _normalised(kept)
    squares = (reference**2).sum(axis=1)
    found = []
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        own = _in_scale(features[rows], scale)
        between = (own**2).sum(axis=1)[:, None] + squares - 2 * own @ reference.T
        if patients is not None:
            between[patients[rows, None] == patients[None, :]] = np.inf
        count = min(NEIGHBOURS, between.shape[1])
        nearest = np.partition(between, count - 1, axis=1)[:, :count]
        found.append(np.sqrt(np.maximum(nearest, 0)).mean(axis=1))
    return np.concatenate(found or [np.zeros(0)]) / np.sqrt(kept.shape[1])


def p_values(calibration: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(N,) (1 + the number of `calibration` (n,) >= distance) / (n + 1), of distances (N,)."""
    ordered = np.sort(calibration)
    at_least = len(ordered) - np.searchsorted(ordered, distances, side="left")
    return np.asarray((1 + at_least) / (1 + len(ordered)))


def _normalised(kept: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The kept features in standard deviations, and their (mean, deviation)."""
    values = kept.astype(np.float32)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # A feature that hardly varies in train is not to decide alone.
    deviation = np.hypot(deviation, 0.1 * float(deviation.mean()) + 1e-6)
    return (values - mean) / deviation, (mean, deviation)


def _in_scale(features: np.ndarray, scale: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    rounded = np.clip(features, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)
    return np.asarray((rounded - scale[0]) / scale[1])


def folded(features: np.ndarray) -> np.ndarray:
    """Features (N, F) as they are, or, where F is above WIDEST, as the ten networks of independent
    pairs have, added up with signs into WIDEST numbers, which keeps distances about the same
    (feature hashing; Weinberger et al. 2009)."""
    width = features.shape[1]
    if width <= WIDEST:
        return features
    mixed = (np.arange(width, dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
    place = ((mixed >> np.uint64(32)) % np.uint64(WIDEST)).astype(np.int64)
    sign = np.where(mixed >> np.uint64(63), -1.0, 1.0).astype(np.float32)
    result = np.zeros((len(features), WIDEST), np.float32)
    np.add.at(result.T, place, (features * sign).T)
    return result


def one_each_first(
    patients: Sequence[str], samples: Sequence[str], most: int = MOST, *, one_each: bool = False
) -> np.ndarray:
    """At most `most` positions: one picture of each patient, then a second of each, and so on; with
    `one_each` the first ones alone. In the order of the sha256 of patients and of their samples, so
    that it is the same for the same pictures, in order of position."""
    owners = [patient or sample for patient, sample in zip(patients, samples, strict=True)]
    order = sorted(range(len(owners)), key=lambda at: (_hash(owners[at]), _hash(samples[at])))
    seen: dict[str, int] = {}
    turns = []
    for place, at in enumerate(order):
        turn = seen.get(owners[at], 0)
        seen[owners[at]] = turn + 1
        turns.append((turn, place, at))
    chosen = [at for turn, _, at in sorted(turns) if not (one_each and turn)][:most]
    return np.array(sorted(chosen), dtype=np.int64)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
