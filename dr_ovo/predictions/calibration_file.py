"""calibration.json: temperature and thresholds, written and read; a changed one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.predictions.operating_points import CONDITIONS, OperatingPoint, OperatingPoints

SCHEMA = 1
TEMPERATURES = (0.05, 20.0)  # range in which one is searched
POINTS = ("high_sensitivity", "high_specificity")
FARTHEST = 1e6  # a threshold of the grade from 0
ROUNDING = 1e-6  # by which a sum of probabilities may exceed 1


@dataclass(frozen=True)
class Calibration:
    """What was fitted on `n` images of val.

    `divided`: val was split, and these images took no part in model selection. `grade_thresholds`
    (C-1,): of the expected grade, where the decoder is `expected`; None: rounding.
    """

    temperature: float
    referable: OperatingPoints
    vision_threatening: OperatingPoints
    n: int
    divided: bool
    grade_thresholds: tuple[float, ...] | None = None

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
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} can't be read as a calibration ({error}). Evaluate the model again."
        ) from None
    reader = _Reader(Path(path))
    whole = reader.object("the file", data)
    if whole.get("schema") != SCHEMA:
        raise reader.refused("schema", whole.get("schema"), f"{SCHEMA}, as this version writes")
    return Calibration(
        reader.number(whole, "temperature", *TEMPERATURES),
        **{name: _operating_points(reader, whole, name) for name in CONDITIONS},
        n=reader.count(whole, "n"),
        divided=reader.boolean(whole, "divided"),
        grade_thresholds=reader.increasing(whole, "grade_thresholds"),
    )


def _operating_points(reader: _Reader, whole: Mapping[str, Any], condition: str) -> OperatingPoints:
    points = reader.object(condition, reader.value(whole, condition))
    found = {}
    for name in POINTS:
        place = f"{condition}.{name}"
        point = reader.object(place, reader.value(points, name, place))
        threshold, reason = (
            reader.value(point, "threshold", f"{place}.threshold"),
            point.get("reason"),
        )
        if threshold is not None:
            found[name] = OperatingPoint(
                reader.number(point, "threshold", 0.0, 1.0, f"{place}.threshold")
            )
        elif isinstance(reason, str) and reason:
            found[name] = OperatingPoint(None, reason)
        else:
            raise reader.refused(f"{place}.reason", reason, "text, as there is no threshold")
    return OperatingPoints(**found)


@dataclass(frozen=True)
class _Reader:
    """Takes values out of a JSON object; each method raises UserError for any other kind."""

    path: Path

    def refused(self, place: str, value: object, expected: str) -> UserError:
        """The error for a value that can't be right."""
        shown = json.dumps(value, ensure_ascii=False)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        return UserError(
            f"{self.path}: {place} is {shown}; expected {expected}. Evaluate the model again."
        )

    def value(self, table: Mapping[str, Any], key: str, place: str = "") -> Any:
        """What is under a key, which must be there."""
        if key not in table:
            raise UserError(f"{self.path} has no {place or key}. Evaluate the model again.")
        return table[key]

    def object(self, place: str, value: object) -> Mapping[str, Any]:
        """A JSON object."""
        if not isinstance(value, dict):
            raise self.refused(place, value, "an object, {...}")
        return value

    def number(
        self, table: Mapping[str, Any], key: str, low: float, high: float, place: str = ""
    ) -> float:
        """A number in a range, but for rounding; NaN is in none."""
        value = self.value(table, key, place)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high + ROUNDING:
            raise self.refused(place or key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def count(self, table: Mapping[str, Any], key: str) -> int:
        """A whole number from 1 on."""
        value = self.value(table, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refused(key, value, "a whole number from 1 on")
        return value

    def increasing(self, table: Mapping[str, Any], key: str) -> tuple[float, ...] | None:
        """Numbers that don't decrease; None where there are none, as in earlier versions."""
        values = table.get(key)
        if values is None:
            return None
        numbers = isinstance(values, list) and all(
            type(value) in (int, float) and abs(value) <= FARTHEST for value in values
        )
        if not numbers or sorted(values) != values:
            raise self.refused(key, values, "numbers that don't decrease, or null")
        return tuple(map(float, values))

    def boolean(self, table: Mapping[str, Any], key: str) -> bool:
        """True or false."""
        value = self.value(table, key)
        if not isinstance(value, bool):
            raise self.refused(key, value, "true or false")
        return value
