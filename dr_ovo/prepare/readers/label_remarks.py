"""What the user is told of label files that were read: rows that repeat, pictures without a row."""

from __future__ import annotations

from collections.abc import Container, Sequence

from dr_ovo.dataset.words import is_unknown
from dr_ovo.prepare.readers.label_files.csv_columns import group_hint
from dr_ovo.prepare.readers.label_files.image_lookup import ImageLookup
from dr_ovo.prepare.readers.label_files.label_rows import LabelFile, Row

SHOWN = 10


def label_remarks(
    files: Sequence[LabelFile], rows: Sequence[Row], repeats: Container[int], lookup: ImageLookup
) -> list[str]:
    """Remarks on the N `rows` of the label files; `repeats` are positions of rows that repeat."""
    titles = ", ".join(file.labels.name for file in files)
    hints = [group_hint(file.table.header, "group" in file.columns) for file in files]
    remarks = [
        *dict.fromkeys(hints),
        _unnamed(lookup.unnamed({row.path for row in rows}), titles),
        _repeated([row for at, row in enumerate(rows) if at in repeats], titles),
        _placeholders([row for at, row in enumerate(rows) if at not in repeats]),
    ]
    return [remark for remark in remarks if remark]


def _unnamed(names: Sequence[str], labels: str) -> str:
    if not names:
        return ""
    return f"{len(names)} images have no row in {labels} and are left out: {_few(names)}."


def _repeated(rows: Sequence[Row], labels: str) -> str:
    if not rows:
        return ""
    names = [row.image for row in rows]
    return f"{len(names)} rows in {labels} repeat an earlier one and count once: {_few(names)}."


def _placeholders(rows: Sequence[Row]) -> str:
    patients = [row.cell("patient") for row in rows]
    placeholders = sorted({patient for patient in patients if patient and is_unknown(patient)})
    if not placeholders:
        return ""
    count = sum(patient in placeholders for patient in patients)
    return (
        f"{count} photographs have {', '.join(map(repr, placeholders))} as patient: treated as "
        "unknown, so each counts as a patient of its own."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
