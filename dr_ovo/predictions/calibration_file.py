"""calibration.json: temperature and thresholds, written and read; a changed one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.json_files import as_schema, read_json
from dr_ovo.predictions.conformal import OUT_OF_FOLD, Conformal
from dr_ovo.predictions.operating_points import CONDITIONS, OperatingPoints

SCHEMA = 1
TEMPERATURES = (0.05, 20.0)  # range in which one is searched
POINTS = ("high_sensitivity", "high_specificity")
FARTHEST = 1e6  # a threshold of the grade from 0
AGAIN = "Evaluate the model again."
Temperature = Annotated[float, Meta(ge=TEMPERATURES[0], le=TEMPERATURES[1])]
GradeThreshold = Annotated[float, Meta(ge=-FARTHEST, le=FARTHEST)]
VAL_OF_FOLDS = "train and val, out of fold"  # what stands in place of val


@dataclass(frozen=True)
class Calibration:
    """What was fitted on `n` images of val.

    `divided`: val was split, and these images took no part in model selection. `grade_thresholds`
    (C-1,): of the expected grade, where the decoder is `expected`; None: rounding.
    """

    temperature: Temperature
    referable: OperatingPoints
    vision_threatening: OperatingPoints
    n: Annotated[int, Meta(ge=1)]
    divided: bool
    grade_thresholds: tuple[GradeThreshold, ...] | None = None
    conformal: Conformal | None = None  # None: fitted by an earlier version

    @property
    def out_of_fold(self) -> bool:
        """Whether the images are those of a cross-validation, each graded by a member that did not
        see it: no val was divided, and they chose nothing in the training of that member."""
        return self.conformal is not None and OUT_OF_FOLD in self.conformal.chosen

    def to_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {"schema": SCHEMA, **asdict(self)}


def save_calibration(path: Path | str, calibration: Calibration, marks: Sequence[str] = ()) -> None:
    """Write calibration.json with its `marks` (LEAKY, ...); raises MachineError if that fails."""
    write_json(path, calibration.to_json() | {mark.lower(): True for mark in marks})


def load_calibration(path: Path | str) -> Calibration:
    """The calibration in a file.

    Raises UserError, which names the key and its value, where it is missing or damaged, or holds
    what no evaluation writes: a temperature outside 0.05 to 20, a threshold outside 0 to 1.
    """
    path = Path(path)
    data = read_json(path, AGAIN)
    if data.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has schema {data.get('schema')}; this version reads {SCHEMA}. {AGAIN}"
        )
    calibration = as_schema(data, Calibration, path, AGAIN)
    check_calibration(calibration, path, AGAIN)
    return calibration


def check_calibration(calibration: Calibration, path: Path, advice: str) -> None:
    """Raises UserError, with the `advice`, for what the types of the fields don't tell."""
    for condition in CONDITIONS:
        for name in POINTS:
            point = getattr(getattr(calibration, condition), name)
            if point.threshold is None and not point.reason:
                raise UserError(
                    f"{path} is damaged: its {condition}.{name} has no threshold, and no reason "
                    f"why. {advice}"
                )
    sets = calibration.conformal
    if sets is not None and not sets.fits:
        raise UserError(f"{path} is damaged: its conformal scores have other grades. {advice}")
    numbers = calibration.grade_thresholds
    if numbers and any(above < below for below, above in pairwise(numbers)):
        raise UserError(f"{path} is damaged: its grade_thresholds decrease: {numbers}. {advice}")
