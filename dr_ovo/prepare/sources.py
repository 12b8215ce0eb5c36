"""Reads the source of a new dataset folder: folder and CSV, MedMNIST file, or folder tree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.image_files import folder_content, without_files
from dr_ovo.dataset.patients_and_eyes import (
    below_grade,
    patient_and_eye,
    patients_and_eyes_of,
)
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.synthetic_mark import is_synthetic
from dr_ovo.dataset.words import split_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.options import PrepareOptions
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels
from dr_ovo.prepare.readers.folder_tree import read_tree
from dr_ovo.prepare.readers.grade_map import scale_of
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.prepare.readers.medmnist import read_medmnist, write_pictures
from dr_ovo.prepare.readers.scale_checks import missing_grades
from dr_ovo.prepare.resuming import file_stamp

SHOWN = 5
LARGE_SHARE = 0.05  # of all photographs; a patient with more is probably a placeholder for many
LARGE_NUMBER = 4  # photographs of one patient that are normal in any dataset


@dataclass(frozen=True)
class Source:
    """The photographs of a source, ordered by name, what its labels left out, and remarks.

    `columns` is role -> column that it was read from, `class_names` are empty for ICDR's grades.
    `fingerprint` changes with every file (its size or time) and with its labels. `unpack` must run
    before the photographs are read, because they may still be inside an archive. `others` are files
    that are not read.
    """

    title: str
    photographs: tuple[Photograph, ...]
    left_out: tuple[Dropped, ...]
    columns: dict[str, str]
    class_names: tuple[str, ...]
    remarks: tuple[str, ...]
    synthetic: bool
    fingerprint: str
    others: tuple[Path, ...]
    unpack: Callable[[], None]


def read_source(options: PrepareOptions, pictures: Path) -> Source:
    """The source that the options name; pictures in an archive are unpacked to `pictures`.

    Raises UserError for a source that can't be interpreted.
    """
    root = options.images or options.from_tree
    assert root is not None
    scale = scale_of(options.class_names, options.grade_map)
    read = _read(options, root, pictures, scale)
    if not read.photographs:
        reasons = Counter(drop.reason for drop in read.dropped).most_common(SHOWN)
        left_out = [f"{count} x: {reason}." for reason, count in reasons]
        said = " ".join(["", *left_out, *read.remarks])
        raise UserError(
            f"{root}: none of its photographs has a grade; nothing can be prepared.{said}"
        )
    found = sorted(read.photographs, key=lambda photograph: photograph.name)
    found = with_eyes_in_names(
        found, listed="patient" in read.columns, in_grades=bool(options.from_tree)
    )
    found = with_patients(found, placed_names(found, shrunken=bool(options.preprocess)))
    folder = root.parent if options.is_medmnist else root
    unpack: Callable[[], None] = _nothing
    archives: tuple[Path, ...] = ()
    if options.is_medmnist:
        unpack, archives = partial(write_pictures, root, pictures), (root,)
    grades = {photograph.grade for photograph in found}
    return Source(
        title=str(root),
        photographs=tuple(found),
        left_out=tuple(read.dropped),
        columns=read.columns,
        class_names=scale.class_names,
        remarks=(*read.remarks, *missing_grades(grades, scale), *_large_patients(found)),
        synthetic=is_synthetic(folder),
        fingerprint=_fingerprint(found, archives, scale.class_names),
        unpack=unpack,
        others=_others(root, options),
    )


def _others(root: Path, options: PrepareOptions) -> tuple[Path, ...]:
    """The files below `root` that are not read: other formats and, of a tree of grades, pictures
    outside its grades."""
    if options.is_medmnist:
        return ()
    content = folder_content(root)
    others = without_files(content.others, options.labels)
    if options.from_tree:
        others += [p for p in content.images if p.parent == root or split_of(p.parent.name)]
    return tuple(others)


def _read(options: PrepareOptions, root: Path, pictures: Path, scale: GradeScale) -> LabelReading:
    """What the source says, by the reader of its kind."""
    if options.from_tree:
        keep = options.split_column != "none"
        found, remarks = read_tree(root, scale, keep_splits=keep)
        return LabelReading(found, [], remarks, {})
    if options.is_medmnist:
        found, dropped = read_medmnist(root, pictures, scale)
        return LabelReading(found, dropped, [], {})
    rules = LabelRules(scale, options.skip_ungraded, options.skip_missing)
    return read_labels(root, options.labels, options.columns, rules)


def with_eyes_in_names(
    photographs: list[Photograph], *, listed: bool, in_grades: bool = False
) -> list[Photograph]:
    """The same, with patients and eyes from all names together (`1221_OD_f_3`) where unknown.

    Unless patients are `listed` in a column, they replace those that were read from one name: of
    `1221_3_left`, that is `1221_3`. `in_grades`: they are in folders of grades, maybe in those of
    splits.
    """
    places = [PurePosixPath(photograph.name) for photograph in photographs]
    if in_grades:
        places = [below_grade(place) for place in places]
    found = []
    for photograph, (owner, eye) in zip(photographs, patients_and_eyes_of(places), strict=True):
        path = photograph.path
        alone = patient_and_eye(path.stem, "", path.parent.name)[0]
        replaced = not photograph.patient or (photograph.patient == alone and not listed)
        patient = (owner if replaced else "") or photograph.patient
        found.append(replace(photograph, patient=patient, eye=photograph.eye or eye))
    return found


def with_patients(photographs: list[Photograph], names: Sequence[str]) -> list[Photograph]:
    """The same, with patients and eyes from the `names` (N,) that they get in the new folder.

    `P000/left.jpg` may become `P000_left.jpg`, which reveals the patient to later readers.
    """
    found = []
    for photograph, name in zip(photographs, names, strict=True):
        patient, eye = patient_and_eye(PurePosixPath(name).stem, "")
        found.append(
            replace(photograph, patient=photograph.patient or patient, eye=photograph.eye or eye)
        )
    return found


def _large_patients(photographs: Sequence[Photograph]) -> list[str]:
    """A remark on each patient with more than LARGE_SHARE of the photographs."""
    counts = Counter(photograph.patient for photograph in photographs if photograph.patient)
    limit = max(LARGE_NUMBER, LARGE_SHARE * len(photographs))
    return [
        f"Patient {patient} has {count} of the {len(photographs)} photographs, all in one split: "
        "is that one person? Leave the cell empty where the patient is unknown."
        for patient, count in counts.most_common()
        if count > limit
    ]


def _nothing() -> None:
    """Nothing to unpack: the photographs are files already."""


def _fingerprint(
    photographs: list[Photograph], archives: tuple[Path, ...], class_names: tuple[str, ...]
) -> str:
    """A hash over labels and class names, and over the sizes and times of the files."""
    digest = hashlib.sha256(repr(class_names).encode() if class_names else b"")
    for photograph in photographs:
        labels = (
            photograph.name,
            photograph.grade,
            photograph.patient,
            photograph.eye,
            photograph.group,
            photograph.split,
            photograph.source,
        )
        digest.update(repr(labels).encode())
    for path in archives or [photograph.path for photograph in photographs]:
        digest.update(f"{file_stamp(path)}\n".encode())
    return digest.hexdigest()
