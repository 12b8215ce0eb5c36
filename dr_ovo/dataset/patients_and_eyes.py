"""Patient, eye, group, quality and weight of each photograph, from manifest or file name.

File names such as `10_left` (EyePACS) give patient and eye where there is no manifest. Other names
with an eye in them, such as `1221_OD_f_3`, do so only where all names of a set agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dr_ovo.dataset.copy_names import original_of
from dr_ovo.dataset.manifest import MANIFEST
from dr_ovo.dataset.naming.eye_words import (
    GLUED_LETTER,
    NUMBERED,
    PAIRED,
    eye_alone,
    eye_in_stem,
)
from dr_ovo.dataset.naming.passing import patient_in_folder
from dr_ovo.dataset.naming.placed_names import patients_and_eyes_in
from dr_ovo.dataset.words import is_split_or_grade, is_unknown, split_of
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
    of a split, grade, visit or date.
    """
    name = original_of(stem) or stem
    match = _EYE_NAME.match(name)
    if match:
        patient, eye = match["patient"], match["eye"].lower()
        return sample_id if is_unknown(patient) else patient, eye
    eye, patient = eye_alone(name), patient_in_folder(folder)
    if not eye or is_unknown(patient) or is_split_or_grade(folder):
        return sample_id, ""
    return patient, eye


def eye_in_name(stem: str) -> str:
    """left or right where one part of a file's name says so (`1_l1`, `1221_OD_f_3`); else "".

    `R0_0004` does not: without the other names, a numbered letter in front may be a grade.
    """
    found = eye_in_stem(original_of(stem) or stem)
    if found is None or (found.in_front and found.kind == NUMBERED):
        return ""
    return "" if found.kind in (GLUED_LETTER, PAIRED) else found.eye


def patients_and_eyes_of(places: Sequence[PurePosixPath]) -> list[tuple[str, str]]:
    """(N,) patient and eye of each file of a set by names and folders; "" where unknown.

    `places` are paths below the folder of the split or grade. It takes all names to know which of
    their parts are patients (`dr_ovo/dataset/naming`): where many share a part (`CAM1_OD_001` to
    `CAM1_OD_900`), it is none. Without a patient, no eye.
    """
    found = []
    for place, (patient, eye) in zip(places, patients_and_eyes_in(places), strict=True):
        if not patient:
            patient, eye = patient_and_eye(place.stem, "", place.parent.name)
        found.append((patient, eye if patient else ""))
    return found


def below_grade(place: PurePosixPath) -> PurePosixPath:
    """A path `<split>/<grade>/...` or `<grade>/...` without its folders of split and grade."""
    parts = place.parts[1:] if split_of(place.parts[0]) else place.parts
    return PurePosixPath(*(parts[1:] or parts))


def patients_of_files(places: Sequence[PurePosixPath]) -> list[str]:
    """(N,) patient of each file of a set, as by `patients_and_eyes_of`."""
    return [patient for patient, _ in patients_and_eyes_of(places)]


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
