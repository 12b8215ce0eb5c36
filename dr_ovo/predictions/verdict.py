"""What certified readers say of an eye, by frozen operating points: referable or not.

The points are compared with the summed probabilities on which they were fitted, not tempered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dr_ovo.predictions.operating_points import CONDITIONS, OperatingPoints, summed_probability


class Verdict(StrEnum):
    """Of a photograph, an eye or a patient. In this order: of several photographs or eyes, the
    first verdict that any of them has is that of all."""

    VISION_THREATENING = "vision-threatening"  # and so referable
    REFERABLE = "referable"
    PERSON = "refer to a person"
    UNGRADABLE = "ungradable"
    NEGATIVE = "negative"


RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
POSITIVE = frozenset({Verdict.VISION_THREATENING, Verdict.REFERABLE})


@dataclass(frozen=True)
class Judged:
    """A verdict, and why, in words."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graded:
    """What verdicts depend on, of N photographs: `probabilities` (N, C), not tempered; their grades
    `predicted` (N,); the conformal `sets` (N, 2), lowest and highest grade, or None; the `grades`
    (M, N) of the members; and for each why it can't be graded, if anything."""

    probabilities: np.ndarray
    predicted: np.ndarray
    sets: np.ndarray | None
    grades: np.ndarray
    ungradable: Sequence[tuple[str, ...]]


def judge(
    graded: Graded, points: dict[str, OperatingPoints], class_names: Sequence[str]
) -> list[Judged]:
    """The verdict on each of N photographs, by the operating points of both conditions."""
    sums = {name: summed_probability(graded.probabilities, name) for name in CONDITIONS}
    found = []
    for place, why in enumerate(graded.ungradable):
        if why:
            found.append(Judged(Verdict.UNGRADABLE, why))
            continue
        judged = _by_points({name: float(sums[name][place]) for name in sums}, points)
        if judged.verdict is Verdict.NEGATIVE:
            doubts = tuple(_doubts(graded, place, class_names))
            judged = Judged(Verdict.PERSON, doubts) if doubts else judged
        found.append(judged)
    return found


def _by_points(sums: dict[str, float], points: dict[str, OperatingPoints]) -> Judged:
    """By the summed probabilities of an image that can be graded. Where high_specificity lies below
    high_sensitivity, it alone decides, since it is asked first."""
    reasons = []
    for condition, verdict in (
        ("vision_threatening", Verdict.VISION_THREATENING),
        ("referable", Verdict.REFERABLE),
    ):
        name, point = condition.replace("_", "-"), points[condition].high_specificity
        if point.threshold is None:
            reasons.append(f"no high_specificity point for {name}: {point.reason}")
        elif sums[condition] >= point.threshold:
            said = f"P({name}) {sums[condition]:.3f} >= {point.threshold:.3f}"
            return Judged(verdict, (f"{said} (high_specificity)",))
    value, point = sums["referable"], points["referable"].high_sensitivity
    if point.threshold is None:
        reasons.append(f"no high_sensitivity point for referable: {point.reason}")
        return Judged(Verdict.PERSON, tuple(reasons))
    if value < point.threshold:
        said = f"P(referable) {value:.3f} < {point.threshold:.3f} (high_sensitivity)"
        return Judged(Verdict.NEGATIVE, (said, *reasons))
    return Judged(
        Verdict.PERSON, (f"P(referable) {value:.3f} lies between the operating points", *reasons)
    )


def _doubts(graded: Graded, place: int, class_names: Sequence[str]) -> Iterable[str]:
    """Why a negative is left to a person."""
    first = CONDITIONS["referable"]
    if graded.sets is not None and graded.sets[place, 1] >= first:
        low, high = graded.sets[place]
        yield f"the set of likely grades reaches {class_names[high]} (from {class_names[low]})"
    if graded.predicted[place] >= first:
        yield f"it is graded {class_names[graded.predicted[place]]}"
    above = int((graded.grades[:, place] >= first).sum())
    if above:
        yield f"{above} of {len(graded.grades)} members grade it {class_names[first]} or worse"


def joint(judged: Sequence[Judged]) -> Judged:
    """The verdict on an eye from those on its photographs, or on a patient from those on the eyes:
    a positive wins, then a person, then ungradable."""
    verdict = min((one.verdict for one in judged), key=RANK.__getitem__)
    reasons = [reason for one in judged if one.verdict is verdict for reason in one.reasons]
    return Judged(verdict, tuple(dict.fromkeys(reasons)))
