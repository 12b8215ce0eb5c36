"""The rows of label files with their photographs, splits and eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.dataset.patients_and_eyes import eye_in_name
from dr_ovo.dataset.photograph import Dropped
from dr_ovo.dataset.words import split_in_name
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_columns import GradeColumn
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.prepare.readers.label_files.cells import parse_eye, parse_split
from dr_ovo.prepare.readers.label_files.csv_columns import (
    NOT_USED,
    find_columns,
    gradable_columns,
    grade_candidates,
    header_test,
    names_column,
)
from dr_ovo.prepare.readers.label_files.csv_rows import LabelTable, read_table
from dr_ovo.prepare.readers.label_files.gradable import says_ungradable
from dr_ovo.prepare.readers.label_files.image_lookup import ImageLookup
from dr_ovo.prepare.readers.label_files.line_cutting import Recognised
from dr_ovo.prepare.readers.label_files.missing_images import missing_remark


@dataclass(frozen=True)
class LabelFile:
    """A label file: its table, role -> position of the column, and the columns that may have the
    grade. `gradable` are the positions of the columns that say which photographs can be graded,
    `split` is the official split that its name says, where there are several files."""

    table: LabelTable
    columns: Mapping[str, int]
    candidates: Sequence[GradeColumn]
    names_grade: bool
    gradable: Sequence[int] = ()
    split: str = ""

    @property
    def labels(self) -> Path:
        """The file itself."""
        return self.table.labels

    @property
    def per_eye(self) -> bool:
        """Whether it may have a column of grades per eye."""
        return any(len(column.positions) > 1 for column in self.candidates)

    def title(self, role: str) -> str:
        """The name of the column of a role."""
        return self.table.header[self.columns[role]]


@dataclass(frozen=True)
class Row:
    """A row whose photograph is there. `labelled_eye` is the eye by its column, `split` is
    official, `where` names file and line."""

    file: LabelFile
    where: str
    path: Path
    name: str
    cells: tuple[str, ...]
    labelled_eye: str
    split: str

    def cell(self, role: str) -> str:
        """The text in the column of a role, "" without one."""
        return self.cells[self.file.columns[role]] if role in self.file.columns else ""

    @property
    def image(self) -> str:
        """The photograph as the row names it."""
        return self.cell("image")

    @property
    def eye(self) -> str:
        """left, right or "", by the column; by the file's name where grades depend on it."""
        return self.labelled_eye or (eye_in_name(self.path.stem) if self.file.per_eye else "")

    @property
    def facts(self) -> tuple[str, ...]:
        """What must be the same in each row of one photograph."""
        cells = map(self.cell, ("patient", "group"))
        return (*cells, self.ungradable_by, self.labelled_eye, self.split)

    @property
    def ungradable_by(self) -> str:
        """The first column that says that the photograph can't be graded, "" for none."""
        says = (at for at in self.file.gradable if says_ungradable(self.cells[at]))
        return next((self.file.table.header[at] for at in says), "")


def open_label_files(
    labels: Sequence[Path], named: Mapping[str, str], lookup: ImageLookup, scale: GradeScale
) -> list[LabelFile]:
    """The label files, with their columns. Raises UserError for one that can't be read."""
    splits = _splits_by_name(labels) if named.get("split", "").lower() != NOT_USED else {}
    recognised = Recognised(header_test(named), names_column, lookup.looks_like_one, lookup.knows)
    files = []
    for path in dict.fromkeys(labels):
        table = read_table(path, recognised)
        columns = find_columns(table, named, lookup.knows)
        candidates = grade_candidates(table, named, columns["image"], scale)
        files.append(
            LabelFile(
                table,
                columns,
                candidates,
                names_grade=bool(named.get("grade")),
                gradable=gradable_columns(table, named),
                split=splits.get(path, ""),
            )
        )
    without = [file.labels for file in files if not file.split and "split" not in file.columns]
    if any(file.split for file in files) and without:
        raise UserError(
            f"--labels: the name of {without[0]} does not say whether it is train, val or test, "
            "and that of other files does. Rename it, name a column with --split_column, or split "
            f"again with --split_column {NOT_USED}."
        )
    return files


def _splits_by_name(labels: Sequence[Path]) -> dict[Path, str]:
    """The split of each file of several, by its name, or by its folder's where no name says one.

    None where all are equal: a single `train.csv` is no official split, since it may be all that
    was published.
    """
    by_file = {path: split_in_name(path.stem) for path in labels}
    by_folder = {path: split_in_name(path.parent.name) for path in labels}
    splits = by_file if any(by_file.values()) else by_folder
    return splits if len(set(splits.values())) > 1 else {}


def located_rows(
    files: Sequence[LabelFile], lookup: ImageLookup, *, skip_missing: bool
) -> tuple[list[Row], list[Dropped], list[str]]:
    """The rows with their photographs; those without one; and remarks.

    Raises UserError for cells of eyes and splits that can't be read, and for missing photographs
    unless `skip_missing`.
    """
    rows: list[Row] = []
    missing: list[Dropped] = []
    for file in files:
        # The name of a single file is no official split, but it tells the folders apart.
        by_name = file.split or split_in_name(file.labels.stem)
        for line, cells in file.table.rows:
            where = f"{file.labels} line {line}"
            image = cells[file.columns["image"]]
            split = file.split
            if "split" in file.columns:
                split = parse_split(where, cells[file.columns["split"]])
            path = lookup.find(image, where, split or by_name)
            if path is None:
                reason = f"is named in {file.labels.name} and is not in the folder"
                missing.append(Dropped(image, "missing", reason, split=split))
                continue
            name = path.relative_to(lookup.images).as_posix()
            rows.append(Row(file, where, path, name, cells, _eye(file, where, cells), split))
    remarks = [_in_other_folders(file, rows, lookup) for file in files]
    if missing:
        titles = ", ".join(str(file.labels) for file in files)
        names = [drop.file for drop in missing]
        said = missing_remark(titles, names, lookup.images, lookup.paths, lookup.others)
        if not skip_missing:
            raise UserError(
                f"{said} Complete the folder, correct the names, or leave these rows out with "
                "--skip_missing."
            )
        remarks.append(said)
    return rows, missing, [remark for remark in remarks if remark]


def _eye(file: LabelFile, where: str, cells: Sequence[str]) -> str:
    if "eye" not in file.columns:
        return ""
    return parse_eye(where, cells[file.columns["eye"]], file.title("eye"))


def _in_other_folders(file: LabelFile, rows: Sequence[Row], lookup: ImageLookup) -> str:
    """A remark where a file named after test labels pictures in a folder named after train, or the
    other way round: names of one split may occur in the other."""
    own = file.split or split_in_name(file.labels.stem)
    other = {"train": "test", "test": "train"}.get(own, "")
    if not other or "split" in file.columns:
        return ""
    count = sum(row.file is file and lookup.split_of(row.path) == other for row in rows)
    if not count:
        return ""
    if count == 1:
        return (
            f"1 row of {file.labels.name} labels a picture in a folder named after {other}. Is it "
            "this picture, and not another of the same name?"
        )
    return (
        f"{count} rows of {file.labels.name} label pictures in a folder named after {other}. Are "
        "they these pictures, and not others of the same name?"
    )
