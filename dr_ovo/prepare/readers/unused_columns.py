"""What is said of columns that are not used, and that may be those of patients or of the grade."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.prepare.readers.grade_columns import GradeColumn
from dr_ovo.prepare.readers.grade_scale import GRADED, MISSING, GradeScale
from dr_ovo.prepare.readers.label_files.csv_columns import simple_name
from dr_ovo.prepare.readers.label_files.label_rows import LabelFile, Row

# Words in the names of columns, as `simple_name` writes them.
_PATIENT_WORDS = {
    "patient", "patients", "pat", "pt", "subject", "participant", "person", "individual", "donor",
    "mrn", "chart", "case", "paciente", "patienten", "patientennummer", "hn", "uhid", "nhs",
}  # fmt: skip
_OF_A_PATIENT = {
    "age", "sex", "gender", "dob", "birth", "race", "ethnicity", "weight", "height", "bmi",
    "diabetes", "hba1c", "status", "group", "type", "eye", "side", "laterality", "consent", "date",
}  # fmt: skip
_GRADE_WORDS = {"grade", "grades", "level", "levels", "icdr", "severity"}
_OTHER_DISEASES = {
    "dme", "csme", "edema", "oedema", "macula", "macular", "maculopathy", "amd", "glaucoma",
    "cataract", "quality", "risk", "hypertensive", "myopia", "age", "education", "iop", "cup",
}  # fmt: skip
MAX_SHARE = 0.5  # of the rows, for one value: with more it is no patient


def unused_columns(
    file: LabelFile, used: GradeColumn, rows: Sequence[Row], scale: GradeScale
) -> list[str]:
    """Remarks on columns of a file that are not used: one that may be of patients, where no other
    is, and those that may be the grade and differ from the column that is `used`."""
    known = {*file.columns.values(), *file.gradable}
    known |= {at for column in file.candidates for at in column.positions.values()}
    own = [row for row in rows if row.file is file]
    others = {
        at: {*simple_name(name).split("_")}
        for at, name in enumerate(file.table.header)
        if name and at not in known
    }
    graded = [at for at, words in others.items() if words & _GRADE_WORDS - _OTHER_DISEASES]
    graded = [at for at in graded if not others[at] & _OTHER_DISEASES]
    said = [] if "patient" in file.columns else _of_patients(file, others, own)
    return [*said, *filter(None, (_of_grades(file, at, used, own, scale) for at in graded))]


def _of_patients(file: LabelFile, others: dict[int, set[str]], rows: Sequence[Row]) -> list[str]:
    for at, words in others.items():
        if not words & _PATIENT_WORDS or words & (_OF_A_PATIENT | _GRADE_WORDS):
            continue
        cells = [row.cells[at] for row in rows if row.cells[at]]
        values = set(cells)
        most = max(map(cells.count, values), default=0) if len(values) < 50 else 0
        if 1 < len(values) < len(cells) and most <= MAX_SHARE * len(cells):
            name = file.table.header[at]
            return [
                f"The column {name} of {file.labels.name} is not used. If it names the patients, "
                f"--patient_column {name} keeps the photographs of each in one split."
            ]
    return []


def _of_grades(
    file: LabelFile, at: int, used: GradeColumn, rows: Sequence[Row], scale: GradeScale
) -> str:
    """A remark on the column at a position, "" where it has no grades, or the same."""
    readings = [scale.read(row.cells[at]) for row in rows]
    if not readings or any(one.kind not in (GRADED, MISSING) for one in readings):
        return ""
    own = [scale.read(used.text(row.where, row.cells, row.eye)) for row in rows]
    differing = [
        row
        for row, one, other in zip(rows, readings, own, strict=True)
        if one.kind == GRADED and one != other
    ]
    if not differing:
        return ""
    name, row = file.table.header[at], differing[0]
    return (
        f"The column {name} of {file.labels.name} has grades too, and differs from {used.title}, "
        f"which is used, in {len(differing)} rows (first {row.where}: '{row.cells[at]}'). If it is "
        f"the right one: --grade_column {name}."
    )
