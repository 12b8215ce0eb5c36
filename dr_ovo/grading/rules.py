"""What turns a network's answer into a verdict: frozen points, conformal sets, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo import __version__
from dr_ovo.decoding.tempering import temper
from dr_ovo.gates.gated import Gated
from dr_ovo.grading.reading import Reading
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.conformal import Conformal
from dr_ovo.predictions.operating_points import (
    CONDITIONS,
    GRADED_CLASSES,
    OperatingPoint,
    OperatingPoints,
    summed_probability,
    ungraded,
)
from dr_ovo.predictions.verdict import Graded, judge

SCOPE = "By retinopathy grade alone; macular oedema is not assessed."


@dataclass(frozen=True)
class Rules:
    """What is fixed before any photograph is read. `models`: the sha256 of the checkpoints' own.
    `calibration` is None where there is none, for the reason in `uncalibrated`. `no_gate`: why some
    networks can't tell photographs that are unlike those of their training."""

    class_names: tuple[str, ...]
    calibration: Calibration | None
    uncalibrated: str
    coverage: float
    models: str
    members: int
    marks: tuple[str, ...]
    no_gate: tuple[str, ...] = ()
    version: str = __version__

    @property
    def points(self) -> dict[str, OperatingPoints]:
        """The operating points of each condition; without a calibration none, with the reason."""
        if self.calibration is not None and len(self.class_names) == GRADED_CLASSES:
            return {name: getattr(self.calibration, name) for name in CONDITIONS}
        classes = len(self.class_names)
        graded = classes == GRADED_CLASSES
        missing = OperatingPoint(None, self.uncalibrated if graded else ungraded(classes))
        return dict.fromkeys(CONDITIONS, OperatingPoints(missing, missing))

    @property
    def conformal(self) -> Conformal | None:
        """What the sets are made of."""
        return self.calibration.conformal if self.calibration else None

    def read(
        self,
        predicted: np.ndarray,
        probabilities: np.ndarray,
        grades: np.ndarray,
        gated: Gated,
    ) -> list[Reading]:
        """The readings of n photographs: grades (n,) and probabilities (n, C), not tempered, of the
        ensemble, the `grades` (M, n) of its members, and what the gates say of them."""
        sets = self.conformal.sets(probabilities, self.coverage) if self.conformal else None
        why, quality, p_like_train = gated.reasons, gated.quality, gated.p_like_train
        graded = Graded(probabilities, predicted, sets, grades, why)
        judged = judge(graded, self.points, self.class_names)
        sums = {name: self._summed(probabilities, name) for name in CONDITIONS}
        tempered = self._tempered(probabilities)
        agreement = (grades == predicted).mean(axis=0)
        return [
            Reading(
                verdict=str(one.verdict),
                reasons=one.reasons,
                gradable=not why[place],
                grade=int(predicted[place]),
                grade_name=self.class_names[int(predicted[place])],
                probabilities=_numbers(probabilities[place]),
                tempered=None if tempered is None else _numbers(tempered[place]),
                p_referable=sums["referable"][place],
                p_vision_threatening=sums["vision_threatening"][place],
                agreement=float(agreement[place]),
                likely=None if sets is None else (int(sets[place, 0]), int(sets[place, 1])),
                quality=_known(quality[place]),
                p_like_train=_known(p_like_train[place]),
            )
            for place, one in enumerate(judged)
        ]

    def _summed(self, probabilities: np.ndarray, condition: str) -> list[float | None]:
        if len(self.class_names) != GRADED_CLASSES:
            return [None] * len(probabilities)
        return list(map(float, summed_probability(probabilities, condition)))

    def _tempered(self, probabilities: np.ndarray) -> np.ndarray | None:
        return temper(probabilities, self.calibration.temperature) if self.calibration else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _numbers(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, values))
