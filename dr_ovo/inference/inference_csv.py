"""The columns of the CSV that `--mode inference` writes, one row per photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dr_ovo.csv_text import csv_text
from dr_ovo.files import atomic_write_text


def write_csv(
    output: Path,
    paths: Sequence[Path],
    grades: Sequence[str],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    marks: Sequence[str],
) -> None:
    """One row per photograph: file, grade, a probability per grade, and the models' marks (such as
    LEAKY), if they have any."""
    marks_cell = [" ".join(marks)] if marks else []
    header = ["file", "grade", *(f"probability_{name}" for name in class_names)]
    rows = [
        [path, grade, *(f"{value:.6f}" for value in row), *marks_cell]
        for path, grade, row in zip(paths, grades, probabilities, strict=True)
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    text = csv_text([*header, *(["marks"] if marks else [])], rows)
    atomic_write_text(output, text)
