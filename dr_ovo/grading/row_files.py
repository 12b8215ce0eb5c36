"""Rows of photographs, eyes and patients, as CSV and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dr_ovo.csv_text import csv_line
from dr_ovo.files import atomic_path
from dr_ovo.grading.reading import Reading
from dr_ovo.grading.rules import SCOPE, Rules
from dr_ovo.predictions.calibration_file import POINTS
from dr_ovo.predictions.operating_points import CONDITIONS

Cells = dict[str, Any]  # by column: a number, text, a truth value, a list of texts, or None


@dataclass(frozen=True)
class Row:
    """A photograph: what was read from it, and on what day (UTC)."""

    path: Path
    reading: Reading
    date: str


def photograph_cells(row: Row, patient: str, eye: str, rules: Rules) -> Cells:
    """A photograph. The first columns are those that the CSV of inference had from the start."""
    marks = {"marks": " ".join(rules.marks)} if rules.marks else {}
    return {
        "file": str(row.path),
        "grade": row.reading.grade_name or None,
        **_by_name("probability", row.reading.probabilities, rules),
        **marks,
        "patient": patient,
        "eye": eye,
        **_common(row.reading, row.date, rules),
    }


def subject_cells(subject: dict[str, Any], reading: Reading, date: str, rules: Rules) -> Cells:
    """An eye or a patient, whose first columns are those of `subject`."""
    return {
        **subject,
        "grade": reading.grade_name or None,
        **_by_name("probability", reading.probabilities, rules),
        **({"marks": " ".join(rules.marks)} if rules.marks else {}),
        **_common(reading, date, rules),
    }


def write_rows(
    csv_file: Path,
    rows: Iterable[Cells],
    lines_file: Path | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Writes rows with the same columns as CSV, and as JSON lines; each file whole or not at all.
    `columns` are needed where there may be no rows. Holds one row in memory. Raises MachineError
    where the disk refuses."""
    with ExitStack() as stack:
        table, lines = (
            None if path is None else stack.enter_context(_opened(path))
            for path in (csv_file, lines_file)
        )
        assert table is not None
        if columns:
            table.write(csv_line(columns))
        for number, cells in enumerate(rows):
            if not number and not columns:
                table.write(csv_line(list(cells)))
            table.write(csv_line([_shown(value) for value in cells.values()]))
            if lines is not None:
                lines.write(json.dumps(cells) + "\n")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    with (
        atomic_path(path) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


def _shown(value: Any) -> Any:
    """A cell of the CSV."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}"
    return "; ".join(value) if isinstance(value, list) else value


def _by_name(word: str, values: Sequence[float] | None, rules: Rules) -> Cells:
    found = [None] * len(rules.class_names) if values is None else values
    return {f"{word}_{n}": value for n, value in zip(rules.class_names, found, strict=True)}


def _common(reading: Reading, date: str, rules: Rules) -> Cells:
    names = rules.class_names
    low, high = (None, None) if reading.likely is None else (names[i] for i in reading.likely)
    points = {
        f"{condition}_{name}": getattr(rules.points[condition], name).threshold
        for condition in CONDITIONS
        for name in POINTS
    }
    return {
        "verdict": reading.verdict,
        "reasons": list(reading.reasons),
        "gradable": reading.gradable,
        "quality": reading.quality,
        "p_like_train": reading.p_like_train,
        "p_referable": reading.p_referable,
        "p_vision_threatening": reading.p_vision_threatening,
        **_by_name("tempered", reading.tempered, rules),
        "agreement": reading.agreement,
        "set_lowest": low,
        "set_highest": high,
        "coverage": rules.coverage if rules.conformal else None,
        **points,
        "models": rules.models,
        "version": rules.version,
        "date": date,
        "scope": SCOPE,
    }
