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
from dr_ovo.dataset.words import EYES, is_split_or_grade, is_unknown
from dr_ovo.errors import UserError

# EyePACS names files like this; both eyes of a patient must count as one patient.
_EYE_NAME = re.compile(r"(?P<patient>.+)_(?P<eye>left|right)$", re.IGNORECASE)
# A part of a name that is an eye, maybe with the number of the picture: `OD`, `l1` (DeepDRiD).
_EYE_PART = re.compile(r"(?P<eye>left|right|o[dsieg]|[lr])\d{0,2}", re.IGNORECASE)
_PARTS = re.compile(r"[^_ .-]+")
FEW = 8  # photographs of one patient: four of each eye
MAX_SHARE_OF_MANY = 0.1  # of the photographs, for patients with more than FEW


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
    """left or right where one part of a file's name says so (`1_l1`, `1221_OD_f_3`); else ""."""
    return _around_eye(original_of(stem) or stem)[1]


def patients_by_name(stems: Sequence[str]) -> list[tuple[str, str]]:
    """(N,) patient and eye where the eye is inside the name, as in `1221_OD_f_3`; "" elsewhere.

    The patient is what is before the eye, else what is behind it, and holds a digit. It takes all
    names to know: where most of such names share few beginnings (`CAM1_OD_001` to `CAM1_OD_900`),
    these are no patients, and none is returned.
    """
    found = [_around_eye(original_of(stem) or stem) for stem in stems]
    counts = Counter(patient for patient, _ in found if patient)
    many = sum(count for count in counts.values() if count > FEW)
    only_one = len(counts) == 1 and counts.total() > FEW // 2
    if only_one or many > MAX_SHARE_OF_MANY * counts.total():
        return [("", "")] * len(found)
    return [(patient, eye) if patient else ("", "") for patient, eye in found]


def _around_eye(name: str) -> tuple[str, str]:
    """Patient ("" where nothing with a digit is beside the eye) and eye of a name; "" and ""
    for a name with no eye, or with both."""
    parts = list(_PARTS.finditer(name))
    eyes = [(part, match) for part in parts if (match := _EYE_PART.fullmatch(part[0]))]
    found = {EYES[match["eye"].lower()] for _, match in eyes}
    if len(found) != 1 or len(parts) == 1:
        return "", ""
    part = eyes[0][0]
    before = name[: part.start()].strip("_ .-")
    patient = before or name[part.end() :].strip("_ .-")
    known = any(map(str.isdigit, patient)) and not is_unknown(patient)
    return patient if known else "", found.pop()


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
