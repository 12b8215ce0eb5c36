"""From a folder of photographs and a CSV of grades to train/ val/ test/, no patient in two of them.

Which split a patient goes to depends on the seed, the patient's name and the patient's worst grade,
not on the order of files or rows.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.data.index import IMAGE_SUFFIXES, SPLITS, patient_and_eye
from dr_ovo.errors import UserError

# EyePACS, APTOS, IDRiD, Messidor-2; compared in lower case.
IMAGE_COLUMNS = (
    "image",
    "id_code",
    "image name",
    "image_id",
    "image_name",
    "file",
    "filename",
    "id",
)
GRADE_COLUMNS = (
    "level", "diagnosis", "retinopathy grade", "adjudicated_dr_grade", "grade", "dr_grade", "label",
)  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """A photograph with its grade and its patient."""

    path: Path
    grade: int
    patient: str


def read_labels(images: Path, labels: Path, num_classes: int = 5) -> list[Labelled]:
    """The photographs of `images` (searched in depth) that the CSV `labels` grades.

    Columns are found by their usual names; the image column holds file names with or without a
    suffix. Raises UserError for columns not found, grades out of range, and images that are missing
    or stand twice.
    """
    if not images.is_dir():
        raise UserError(f"--images {images}: there is no such folder.")
    rows = _read_rows(labels)
    image_column = _find_column(labels, rows[0], IMAGE_COLUMNS, "images")
    grade_column = _find_column(labels, rows[0], GRADE_COLUMNS, "grades")
    files = _files_by_stem(images)
    found, missing = [], []
    for number, row in enumerate(rows, start=2):
        name = row[image_column].strip()
        grade = _grade(labels, number, row[grade_column], num_classes)
        path = files.get(_stem(name))
        if path is None:
            missing.append(name)
        else:
            found.append(Labelled(path, grade, patient_and_eye(path.stem, path.stem)[0]))
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise UserError(
            f"{labels} names {len(missing)} images that are not in {images}: {shown}. "
            "Complete the folder, or take their rows out."
        )
    return found


def _read_rows(labels: Path) -> list[dict[str, str]]:
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"--labels {labels}: can't be read as CSV ({error}).") from None
    if not rows:
        raise UserError(f"--labels {labels}: has no rows.")
    return rows


def _find_column(labels: Path, row: dict[str, str], usual: tuple[str, ...], what: str) -> str:
    columns = {name.strip().lower(): name for name in row if name}
    for name in usual:
        if name in columns:
            return columns[name]
    raise UserError(
        f"{labels} has no column of {what} that is known by name: it has {', '.join(columns)}; "
        f"expected one of {', '.join(usual)}. Rename it."
    )


def _grade(labels: Path, number: int, text: str, num_classes: int) -> int:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = -1.0
    if value not in range(num_classes):
        raise UserError(
            f"{labels} line {number}: '{text}' is not a grade from 0 to {num_classes - 1}. "
            "Mend it, or take the row out."
        )
    return int(value)


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _files_by_stem(images: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if path.stem in files:
                raise UserError(f"{files[path.stem]} and {path} have one name: rename one.")
            files[path.stem] = path
    return files


def split_patients(
    photographs: list[Labelled], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Patient -> split; each grade of patients (their worst eye) is divided in these shares.

    Raises UserError for shares that leave nothing to train on.
    """
    if not (val_fraction > 0 and test_fraction > 0 and val_fraction + test_fraction < 1):
        raise UserError(
            f"--val_fraction {val_fraction} and --test_fraction {test_fraction}: both above 0, "
            "and below 1 together."
        )
    worst: dict[str, int] = {}
    for photograph in photographs:
        worst[photograph.patient] = max(photograph.grade, worst.get(photograph.patient, 0))
    by_grade = defaultdict(list)
    for patient, grade in worst.items():
        by_grade[grade].append(patient)
    split = {}
    for patients in by_grade.values():
        patients.sort(key=lambda patient: hashlib.sha256(f"{seed} {patient}".encode()).hexdigest())
        test = round(test_fraction * len(patients))
        val = max(1, round(val_fraction * len(patients)))
        for position, patient in enumerate(patients):
            split[patient] = SPLITS[2 if position < test else 1 if position < test + val else 0]
    return split


def write_tree(
    photographs: list[Labelled], split: dict[str, str], output: Path
) -> dict[str, Counter[int]]:
    """Links (or copies, across file systems) each photograph to `<output>/<split>/<grade>/`.

    Returns the counts by split and grade. Raises UserError for an output that holds something.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} is not an empty folder: choose a new one.")
    counts: dict[str, Counter[int]] = {name: Counter() for name in SPLITS}
    for photograph in photographs:
        name = split[photograph.patient]
        target = output / name / str(photograph.grade) / photograph.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(photograph.path, target)
        except OSError:  # another file system, or one without links
            shutil.copy2(photograph.path, target)
        counts[name][photograph.grade] += 1
    return counts
