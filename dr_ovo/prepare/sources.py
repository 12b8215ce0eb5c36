"""Where the photographs of a new dataset folder come from: folder and CSV, MedMNIST, or a tree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.synthetic_mark import is_synthetic
from dr_ovo.errors import UserError
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.options import PrepareOptions
from dr_ovo.prepare.readers.csv_labels import read_labels
from dr_ovo.prepare.readers.folder_tree import read_tree
from dr_ovo.prepare.readers.medmnist import read_medmnist, write_pictures
from dr_ovo.prepare.resuming import file_stamp

LARGE_SHARE = 0.05  # of all photographs: more of one patient is likely a placeholder for many
LARGE_NUMBER = 4  # photographs of one patient that are no wonder in any set


@dataclass(frozen=True)
class Source:
    """The photographs of a source, ordered by name, those it does not grade, and remarks.

    `fingerprint` changes with every file (its size or time) and with all that is said of it.
    `unpack` must run before the photographs are read: they may still be inside one file.
    """

    title: str
    photographs: tuple[Photograph, ...]
    ungraded: tuple[Dropped, ...]
    remarks: tuple[str, ...]
    synthetic: bool
    fingerprint: str
    unpack: Callable[[], None]


def read_source(options: PrepareOptions, pictures: Path) -> Source:
    """What the options name as source; pictures inside a file will stand in the folder `pictures`.

    Raises UserError for a source that can't be understood.
    """
    place = options.images or options.from_tree
    assert place is not None
    unpack: Callable[[], None] = _nothing
    ungraded: list[Dropped] = []
    remarks: list[str] = []
    archives: tuple[Path, ...] = ()
    if options.from_tree:
        found, remarks = read_tree(place, keep_splits=options.split_column != "none")
    elif options.is_medmnist:
        found = read_medmnist(place, pictures)
        unpack, archives = partial(write_pictures, place, pictures), (place,)
    else:
        assert options.labels is not None
        found, ungraded, remarks = read_labels(place, options.labels, options.columns)
    if not found:
        raise UserError(f"{place}: none of its photographs has a grade; nothing can be prepared.")
    found.sort(key=lambda photograph: photograph.name)
    found = with_patients(found, placed_names(found, shrunken=bool(options.preprocess)))
    folder = place.parent if options.is_medmnist else place
    return Source(
        title=str(place),
        photographs=tuple(found),
        ungraded=tuple(ungraded),
        remarks=(*remarks, *_large_patients(found)),
        synthetic=is_synthetic(folder),
        fingerprint=_fingerprint(found, archives),
        unpack=unpack,
    )


def with_patients(photographs: list[Photograph], names: Sequence[str]) -> list[Photograph]:
    """The same, with the patients and eyes that the `names` (N,) tell which they will get.

    `P000/left.jpg` may become `P000_left.jpg`, and who reads that knows the patient.
    """
    found = []
    for one, name in zip(photographs, names, strict=True):
        patient, eye = patient_and_eye(PurePosixPath(name).stem, "")
        found.append(replace(one, patient=one.patient or patient, eye=one.eye or eye))
    return found


def _large_patients(photographs: Sequence[Photograph]) -> list[str]:
    """A remark on each patient with more than LARGE_SHARE of the photographs."""
    counts = Counter(one.patient for one in photographs if one.patient)
    most = max(LARGE_NUMBER, LARGE_SHARE * len(photographs))
    return [
        f"Patient {patient} has {count} of the {len(photographs)} photographs, all in one split: "
        "is that one person? Leave the cell empty where the patient is unknown."
        for patient, count in counts.most_common()
        if count > most
    ]


def _nothing() -> None:
    """The photographs are files already."""


def _fingerprint(photographs: list[Photograph], archives: tuple[Path, ...]) -> str:
    """Of the photographs' words, and the sizes and times of the files that hold the pictures."""
    digest = hashlib.sha256()
    for one in photographs:
        words = (one.name, one.grade, one.patient, one.eye, one.group, one.split, one.source)
        digest.update(repr(words).encode())
    for path in archives or [one.path for one in photographs]:
        digest.update(f"{file_stamp(path)}\n".encode())
    return digest.hexdigest()
