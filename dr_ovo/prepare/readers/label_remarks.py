"""What the user is told of label files that were read: rows that repeat, pictures without a row."""

from __future__ import annotations

from collections.abc import Container, Sequence

from dr_ovo.dataset.patients_and_eyes import eye_in_name
from dr_ovo.dataset.words import is_unknown
from dr_ovo.prepare.readers.label_files.csv_columns import simple_name
from dr_ovo.prepare.readers.label_files.gradable import quality_hint
from dr_ovo.prepare.readers.label_files.image_lookup import ImageLookup
from dr_ovo.prepare.readers.label_files.label_rows import LabelFile, Row

SHOWN = 10
GROUP_HINTS = ("visit", "visit_id", "exam_id", "session", "site", "clinic", "hospital", "centre")


def label_remarks(
    files: Sequence[LabelFile],
    rows: Sequence[Row],
    repeats: Container[int],
    lookup: ImageLookup,
    *,
    keep_splits: bool,
) -> list[str]:
    """Remarks on the N `rows` of the label files; `repeats` are positions of rows that repeat.

    `keep_splits` is False where the user wants no official splits.
    """
    titles = ", ".join(file.labels.name for file in files)
    hints = [hint for file in files for hint in (_group_hint(file), _quality_hint(file))]
    remarks = [
        _joined(files) if keep_splits else "",
        *dict.fromkeys(hints),
        _unnamed(lookup.unnamed({row.path for row in rows}), titles),
        _repeated([row for at, row in enumerate(rows) if at in repeats], titles),
        _other_eyes([row for at, row in enumerate(rows) if at not in repeats]),
        _placeholders([row for at, row in enumerate(rows) if at not in repeats]),
    ]
    return [remark for remark in remarks if remark]


def _joined(files: Sequence[LabelFile]) -> str:
    """That several files are one set, where neither names nor columns say otherwise."""
    if len(files) < 2 or any(file.split or "split" in file.columns for file in files):
        return ""
    return (
        f"{len(files)} label files are joined, and divided anew: their names do not say different "
        "splits. Where they are official splits, name them so (train.csv, val.csv, test.csv), or "
        "name a column with --split_column."
    )


def _group_hint(file: LabelFile) -> str:
    found = [name for name in file.table.header if simple_name(name) in GROUP_HINTS]
    if not found or "group" in file.columns:
        return ""
    return f"--group_column {found[0]} would keep the photographs of one {found[0]} in one split."


def _quality_hint(file: LabelFile) -> str:
    used = {*file.columns.values(), *file.gradable}
    used |= {at for column in file.candidates for at in column.positions.values()}
    header = file.table.header
    return quality_hint(
        {name: simple_name(name) for at, name in enumerate(header) if at not in used}
    )


def _other_eyes(rows: Sequence[Row]) -> str:
    """Where the column of eyes contradicts the names of the files."""
    found = [
        row
        for row in rows
        if row.labelled_eye and eye_in_name(row.path.stem) not in ("", row.labelled_eye)
    ]
    if not found:
        return ""
    row = found[0]
    return (
        f"{_photographs_have(len(found))} another eye in the column {row.file.title('eye')} than "
        f"in {'its name' if len(found) == 1 else 'their names'} ({row.image}: "
        f"{row.labelled_eye}). The column is used; to use the names: --eye_column none."
    )


def _photographs_have(count: int) -> str:
    return "1 photograph has" if count == 1 else f"{count} photographs have"


def _unnamed(names: Sequence[str], labels: str) -> str:
    if not names:
        return ""
    have, are = ("image has", "is") if len(names) == 1 else ("images have", "are")
    return f"{len(names)} {have} no row in {labels} and {are} left out: {_few(names)}."


def _repeated(rows: Sequence[Row], labels: str) -> str:
    if not rows:
        return ""
    names = [row.image for row in rows]
    if len(names) == 1:
        return f"1 row in {labels} repeats an earlier one and counts once: {names[0]}."
    return f"{len(names)} rows in {labels} repeat an earlier one and count once: {_few(names)}."


def _placeholders(rows: Sequence[Row]) -> str:
    patients = [row.cell("patient") for row in rows]
    placeholders = sorted({patient for patient in patients if patient and is_unknown(patient)})
    if not placeholders:
        return ""
    count = sum(patient in placeholders for patient in patients)
    return (
        f"{_photographs_have(count)} {', '.join(map(repr, placeholders))} as patient: treated as "
        "unknown, so each counts as a patient of its own."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
