"""Patient, eye, group, quality and weight of each photograph, from manifest or file name.

File names such as `10_left` (EyePACS) give patient and eye where there is no manifest. Other names
with an eye in them, such as `1221_OD_f_3`, do so only where all names of a set agree with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dr_ovo.dataset.copy_names import original_of
from dr_ovo.dataset.manifest import MANIFEST
from dr_ovo.dataset.naming.eyes import GLUED_LETTER, NUMBERED, eye_in_stem, eyes_in_names
from dr_ovo.dataset.naming.patients import are_patients, patients_in_names
from dr_ovo.dataset.words import EYES, is_split_or_grade, is_unknown
from dr_ovo.errors import UserError

# EyePACS names files like this; both eyes of a patient must count as one patient.
_EYE_NAME = re.compile(r"(?P<patient>.+)_(?P<eye>left|right)$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What is known of N photographs besides their grades.

    `patients`: the patient, else the group, else the sample. `eyes`: "left", "right" or "".
    `groups`: the visit or site, or "". `quality` (N,): NaN where unknown. `weights` (N,): sampling
    weights, or None.
    """

    patients: tuple[str, ...]
    eyes: tuple[str, ...]
    groups: tuple[str, ...]
    quality: np.ndarray
    weights: np.ndarray | None


def patient_and_eye(stem: str, sample_id: str, folder: str = "") -> tuple[str, str]:
    """Patient and eye ("left", "right") from a file's name; else `sample_id` and "".

    A copy such as `10_left_aug3` belongs to the patient of its original. `folder` is the name of
    the file's folder: it is the patient of a file named after the eye alone, unless it is the name
    of a split or grade.
    """
    name = original_of(stem) or stem
    match = _EYE_NAME.match(name)
    if match:
        patient, eye = match["patient"], match["eye"].lower()
        return sample_id if is_unknown(patient) else patient, eye
    if name.lower() not in EYES or is_unknown(folder) or is_split_or_grade(folder):
        return sample_id, ""
    return folder, EYES[name.lower()]


def eye_in_name(stem: str) -> str:
    """left or right where one part of a file's name says so (`1_l1`, `1221_OD_f_3`); else "".

    `R0_0004` does not: without the other names, a numbered letter in front may be a grade.
    """
    found = eye_in_stem(original_of(stem) or stem)
    if found is None or (found.in_front and found.kind == NUMBERED):
        return ""
    return "" if found.kind == GLUED_LETTER else found.eye


def patients_by_name(stems: Sequence[str]) -> list[tuple[str, str]]:
    """(N,) patient and eye where the eye is inside the name, as in `1221_OD_f_3`; "" elsewhere.

    It takes all names to know which of their parts are patients (`dr_ovo/dataset/naming`): where
    many share a part (`CAM1_OD_001` to `CAM1_OD_900`), it is none. Without a patient, no eye.
    """
    eyes = eyes_in_names([original_of(stem) or stem for stem in stems])
    return [
        (patient, eye.eye) if eye and patient else ("", "")
        for eye, patient in zip(eyes, patients_in_names(eyes), strict=True)
    ]


def patients_of_files(places: Sequence[PurePosixPath]) -> list[str]:
    """(N,) patient of each file of a set by names and folders; "" where unknown.

    `places` are paths below the folder of the split or grade. The name comes first; where it
    begins with the eye (`P7/OD_1`, `P7/OD/1`), the folder is the patient, if few files are in it.
    """
    named = list(map(_name_and_folder, places))
    by_name = patients_by_name([name for name, _ in named])
    owned = [folder if _eye_leads(name) else "" for name, folder in named]
    by_folder = are_patients(Counter((folder,) for folder in owned if folder))
    return [
        (owner if by_folder else "") or patient or patient_and_eye(name, "", folder)[0]
        for owner, (patient, _), (name, folder) in zip(owned, by_name, named, strict=True)
    ]


def _name_and_folder(place: PurePosixPath) -> tuple[str, str]:
    """A file's name, after the eye where its folder is an eye; and the folder that may be its
    patient, else ""."""
    name, folders = place.stem, list(place.parts[:-1])
    if folders and folders[-1].lower() in EYES:
        name = f"{folders.pop()}_{original_of(name) or name}"
    folder = folders[-1] if folders else ""
    return name, "" if is_unknown(folder) or is_split_or_grade(folder) else folder


def _eye_leads(name: str) -> bool:
    found = eye_in_stem(original_of(name) or name)
    return found is not None and found.before == 0 and found.kind != GLUED_LETTER


def known_facts(
    split: str,
    samples: Sequence[str],
    grades: Sequence[int],
    entries: Mapping[str, dict[str, Any]] | None,
) -> Facts:
    """What is known of the photographs `samples` (paths inside `split`) with their `grades`.

    `entries` are the manifest's entries by id, None without a manifest. Raises UserError where they
    do not match the photographs and grades of the split.
    """
    if entries is None:
        owners_and_eyes = [_of_sample(PurePosixPath(sample)) for sample in samples]
        return Facts(
            patients=tuple(patient for patient, _ in owners_and_eyes),
            eyes=tuple(eye for _, eye in owners_and_eyes),
            groups=("",) * len(samples),
            quality=np.full(len(samples), np.nan),
            weights=None,
        )
    _require_listed(split, samples, grades, entries)
    listed = [entries[f"{split}/{sample}"] for sample in samples]
    owners = [entry["patient"] or entry["group"] for entry in listed]
    weights = [entry["weight"] for entry in listed if entry.get("weight") is not None]
    quality = [np.nan if entry["quality"] is None else entry["quality"] for entry in listed]
    return Facts(
        patients=tuple(owner or sample for owner, sample in zip(owners, samples, strict=True)),
        eyes=tuple(entry["eye"] or "" for entry in listed),
        groups=tuple(entry["group"] or "" for entry in listed),
        quality=np.array(quality, dtype=np.float64),
        weights=np.array(weights) if weights and len(weights) == len(listed) else None,
    )


def _of_sample(sample: PurePosixPath) -> tuple[str, str]:
    """Patient and eye of the sample `<grade>/<file>` or `<grade>/<patient>/.../<file>`."""
    folder = sample.parent.name if len(sample.parts) > 2 else ""
    return patient_and_eye(sample.stem, str(sample), folder)


def _require_listed(
    split: str, samples: Sequence[str], grades: Sequence[int], entries: Mapping[str, dict[str, Any]]
) -> None:
    present = {f"{split}/{sample}": grade for sample, grade in zip(samples, grades, strict=True)}
    listed = {file: entry["grade"] for file, entry in entries.items() if entry["split"] == split}
    wrong = sorted(file for file in present | listed if present.get(file) != listed.get(file))
    if not wrong:
        return
    first = wrong[0]
    problem = f"is listed with grade {listed.get(first)}"
    if first not in listed:
        problem = "is in the folder but not listed"
    elif first not in present:
        problem = "is listed but missing"
    raise UserError(
        f"{MANIFEST} does not match its folder: {first} {problem} (such files: {len(wrong)}). "
        "Prepare the dataset again with prepare_dataset.py, restore the files, or remove "
        f"{MANIFEST} to continue without known patients and visits."
    )
