"""What is said of a photograph, and of an eye or a patient by those of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.predictions.verdict import Judged, Verdict, joint


@dataclass(frozen=True)
class Reading:
    """What an ensemble says of a photograph; all numbers are None of one that can't be read.

    Of C grades: `probabilities` are those with which the operating points are compared, `tempered`
    the ones to look at (None without a calibration). `p_referable` and `p_vision_threatening` are
    the sums of `probabilities` from grade 2 and 3 on (None unless C is 5). `agreement`: the share
    of the members with the same grade. `likely`: the lowest and the highest grade of the conformal
    set. `quality`: 0 to 1, None where it is unknown. `p_like_train`: the p-value that it is like
    the photographs of the training, None where that can't be told.
    """

    verdict: str  # one of `dr_ovo.predictions.verdict.Verdict`
    reasons: tuple[str, ...]
    gradable: bool
    grade: int | None = None
    grade_name: str = ""
    probabilities: tuple[float, ...] | None = None
    tempered: tuple[float, ...] | None = None
    p_referable: float | None = None
    p_vision_threatening: float | None = None
    agreement: float | None = None
    likely: tuple[int, int] | None = None
    quality: float | None = None
    p_like_train: float | None = None

    @property
    def judged(self) -> Judged:
        """The verdict and why."""
        return Judged(Verdict(self.verdict), self.reasons)


def unreadable(why: str) -> Reading:
    """The reading of a file that can't be read as a photograph."""
    return Reading(str(Verdict.UNGRADABLE), (f"can't be read: {why}",), gradable=False)


def joint_reading(readings: Sequence[Reading]) -> Reading:
    """Of an eye, from those of its photographs, or of a patient from those of the eyes.

    The verdict is the first that any of them has: a positive, a person, ungradable. The worst
    photograph gives the rest: the highest grade, P(grade >= k) and ends of the sets. Photographs
    that can't be graded count only where there are no others. The best quality counts.
    """
    judged = joint([one.judged for one in readings])
    used = [one for one in readings if one.gradable] or list(readings)
    graded = [one for one in used if one.grade is not None]
    qualities = [one.quality for one in used if one.quality is not None]
    if not graded:
        return Reading(str(judged.verdict), judged.reasons, gradable=False)
    worst = max(graded, key=lambda one: one.grade or 0)
    tempered = [one.tempered for one in graded if one.tempered is not None]
    likely = [one.likely for one in graded if one.likely is not None]
    return Reading(
        verdict=str(judged.verdict),
        reasons=judged.reasons,
        gradable=any(one.gradable for one in readings),
        grade=worst.grade,
        grade_name=worst.grade_name,
        probabilities=_worst([one.probabilities or () for one in graded]),
        tempered=_worst(tempered) if len(tempered) == len(graded) else None,
        p_referable=_largest([one.p_referable for one in graded]),
        p_vision_threatening=_largest([one.p_vision_threatening for one in graded]),
        agreement=_smallest([one.agreement for one in graded]),
        likely=(max(low for low, _ in likely), max(high for _, high in likely)) if likely else None,
        quality=max(qualities) if qualities else None,
        p_like_train=_largest([one.p_like_train for one in used]),
    )


def _worst(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Probabilities whose P(grade >= k) is the largest of several, as in the evaluation of
    patients."""
    above = np.cumsum(np.array(rows)[:, ::-1], axis=1)[:, ::-1].max(axis=0)
    above[0] = 1.0
    own = (above - np.append(above[1:], 0.0)).clip(min=0)
    return tuple(map(float, own / own.sum()))


def _largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _smallest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
