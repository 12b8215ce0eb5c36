"""The columns of a label CSV: their usual names, and how cells are read as grade, split, eye."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dr_ovo.dataset.words import EYES, NUM_GRADES, SPLIT_WORDS, grade_of, is_unknown, split_of
from dr_ovo.errors import UserError

NOT_USED = "none"  # `--split_column none`: ignore a column that would be found by its name
# EyePACS, APTOS, IDRiD, Messidor-2, DeepDRiD, DDR, BRSET; in lower case; the first match is used.
USUAL_NAMES = {
    "image": (
        "image", "id_code", "image name", "image_id", "image_name", "image id", "image_path",
        "file", "filename", "file_name", "path", "id",
    ),
    "grade": (
        "level", "diagnosis", "retinopathy grade", "retinopathy_grade", "adjudicated_dr_grade",
        "dr_grade", "dr_icdr", "icdr", "patient_dr_level", "grade", "dr", "label",
    ),
    "patient": ("patient", "patient_id", "patient id", "patientid", "subject", "subject_id"),
    "eye": ("eye", "laterality", "exam_eye", "eye_side", "side"),
    "split": ("split", "set", "subset", "partition", "dataset_split"),
    "group": (),  # a visit or site must be named by flag: a wrong guess would join whole clinics
}  # fmt: skip
REQUIRED = ("image", "grade")
GROUP_HINTS = ("visit", "visit_id", "exam_id", "session", "site", "clinic", "hospital", "centre")


def find_columns(labels: Path, header: list[str], named: Mapping[str, str]) -> dict[str, str]:
    """Role (a key of USUAL_NAMES) -> column of `header`; `named`: role -> column named by a flag.

    Raises UserError if a named column is missing, or if no column of images or grades is found.
    """
    present = {name.strip().lower(): name for name in reversed(header) if name.strip()}
    columns = {}
    for role, usual in USUAL_NAMES.items():
        wanted = named.get(role, "")
        if wanted.lower() == NOT_USED and role not in REQUIRED:
            continue
        for name in (wanted.strip().lower(),) if wanted else usual:
            if name in present:
                columns[role] = present[name]
                break
        else:
            if wanted or role in REQUIRED:
                raise UserError(_not_found(labels, role, wanted, header))
    return columns


def _not_found(labels: Path, role: str, wanted: str, header: list[str]) -> str:
    names = ", ".join(name for name in header if name.strip())
    if wanted:
        return f"--{role}_column {wanted}: {labels} has no such column. It has: {names}."
    return (
        f"{labels} has no column of {role}s under a usual name ({', '.join(USUAL_NAMES[role])})."
        f" It has: {names}. Name the right one with --{role}_column."
    )


def group_hint(header: list[str], columns: Mapping[str, str]) -> str:
    """A hint if an unused column seems to be visits or sites; else ""."""
    unused = [name for name in header if name and name not in columns.values()]
    found = [name for name in unused if name.strip().lower() in GROUP_HINTS]
    if not found or "group" in columns:
        return ""
    return f"--group_column {found[0]} would keep the photographs of one {found[0]} in one split."


def parse_grade(where: str, text: str) -> int | None:
    """The grade in a cell, by number or by name; None for an empty cell.

    Raises UserError, which names the line.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        # "none" may mean a healthy eye or a missing value.
        named = None if is_unknown(text) else grade_of(text)
        value = -1.0 if named is None else named
    if value not in range(NUM_GRADES):
        raise UserError(
            f"{where}: '{text}' is not a grade from 0 to {NUM_GRADES - 1}, nor a name such as "
            "No DR, Mild, Moderate, Severe or Proliferative DR. Fix it, or remove the row."
        )
    return int(value)


def parse_split(where: str, text: str) -> str:
    """train, val or test from the text of a cell. Raises UserError, which names the line."""
    if split := split_of(text):
        return split
    raise UserError(
        f"{where}: '{text}' is not a split. Expected one of {', '.join(SPLIT_WORDS)}. Fix it, "
        f"name another column with --split_column, or split again with --split_column {NOT_USED}."
    )


def parse_eye(where: str, text: str) -> str:
    """left, right or "" from the text of a cell. Raises UserError, which names the line."""
    if not text or text.lower() in EYES:
        return EYES.get(text.lower(), "")
    raise UserError(
        f"{where}: '{text}' is not an eye. Expected left or right (l, r, os, od) or an empty "
        f"cell. Fix it, or ignore the column with --eye_column {NOT_USED}."
    )
