"""The columns of the CSV that `--mode inference` writes, one row per photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dr_ovo.csv_text import csv_line
from dr_ovo.files import atomic_path


def write_csv(
    output: Path,
    rows: Iterable[tuple[str, str, Sequence[float]]],
    class_names: Sequence[str],
    marks: Sequence[str],
) -> None:
    """One row per photograph: file, grade, a probability per grade, and the models' marks (such as
    LEAKY), if they have any. Holds one row in memory."""
    marks_cell = [" ".join(marks)] if marks else []
    header = ["file", "grade", *(f"probability_{name}" for name in class_names)]
    with (
        atomic_path(output) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.write(csv_line([*header, *(["marks"] if marks else [])]))
        for path, grade, probabilities in rows:
            cells = (f"{value:.6f}" for value in probabilities)
            file.write(csv_line([path, grade, *cells, *marks_cell]))
