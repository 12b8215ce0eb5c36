"""What is known of each photograph beside its grade: patient, eye, group, quality, weight.

From the manifest where there is one, else from the file's name.
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
from dr_ovo.dataset.words import EYES, is_split_or_grade, is_unknown
from dr_ovo.errors import UserError

# EyePACS names its files so; both eyes of a patient must count as one patient.
_EYE_NAME = re.compile(r"(?P<patient>.+)_(?P<eye>left|right)$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """Of N photographs: the patient, else the group, else the sample; "left", "right" or ""; the
    visit or site or ""; quality (N,) or NaN; sampling weights (N,) or None."""

    patients: tuple[str, ...]
    eyes: tuple[str, ...]
    groups: tuple[str, ...]
    quality: np.ndarray
    weights: np.ndarray | None


def patient_and_eye(stem: str, sample_id: str, folder: str = "") -> tuple[str, str]:
    """Patient and eye ("left", "right") from a file's name; else the sample itself and "".

    A copy such as `10_left_aug3` is of its picture's patient. `folder` is the one that the file
    lies in: the patient of a file that is called by its eye alone, unless it is a split or grade.
    """
    name = original_of(stem) or stem
    match = _EYE_NAME.match(name)
    if match:
        patient, eye = match["patient"], match["eye"].lower()
        return sample_id if is_unknown(patient) else patient, eye
    if name.lower() not in EYES or is_unknown(folder) or is_split_or_grade(folder):
        return sample_id, ""
    return folder, EYES[name.lower()]


def known_facts(
    split: str,
    samples: Sequence[str],
    grades: Sequence[int],
    entries: Mapping[str, dict[str, Any]] | None,
) -> Facts:
    """The facts of the photographs `samples` (paths inside `split`) with their grades.

    `entries` are the manifest's by id, None without a manifest. Raises UserError where they are
    not those of the split's photographs and grades.
    """
    if entries is None:
        people = [_of_sample(PurePosixPath(sample)) for sample in samples]
        return Facts(
            patients=tuple(patient for patient, _ in people),
            eyes=tuple(eye for _, eye in people),
            groups=("",) * len(samples),
            quality=np.full(len(samples), np.nan),
            weights=None,
        )
    _require_listed(split, samples, grades, entries)
    told = [entries[f"{split}/{sample}"] for sample in samples]
    owners = [entry["patient"] or entry["group"] for entry in told]
    weights = [entry["weight"] for entry in told if entry.get("weight") is not None]
    quality = [np.nan if entry["quality"] is None else entry["quality"] for entry in told]
    return Facts(
        patients=tuple(owner or sample for owner, sample in zip(owners, samples, strict=True)),
        eyes=tuple(entry["eye"] or "" for entry in told),
        groups=tuple(entry["group"] or "" for entry in told),
        quality=np.array(quality, dtype=np.float64),
        weights=np.array(weights) if weights and len(weights) == len(told) else None,
    )


def _of_sample(sample: PurePosixPath) -> tuple[str, str]:
    """Patient and eye of `<grade>/<file>` or `<grade>/<patient>/.../<file>`."""
    folder = sample.parent.name if len(sample.parts) > 2 else ""
    return patient_and_eye(sample.stem, str(sample), folder)


def _require_listed(
    split: str, samples: Sequence[str], grades: Sequence[int], entries: Mapping[str, dict[str, Any]]
) -> None:
    there = {f"{split}/{sample}": grade for sample, grade in zip(samples, grades, strict=True)}
    listed = {one: entry["grade"] for one, entry in entries.items() if entry["split"] == split}
    wrong = sorted(one for one in there | listed if there.get(one) != listed.get(one))
    if not wrong:
        return
    first = wrong[0]
    what = f"is listed with grade {listed.get(first)}"
    if first not in listed:
        what = "is there and not listed"
    elif first not in there:
        what = "is listed and not there"
    raise UserError(
        f"{MANIFEST} does not fit its folder: {first} {what} (files like that: {len(wrong)}). "
        f"Prepare the set anew with prepare_dataset.py, put the files back, or remove {MANIFEST} "
        "to go on without knowing patients and visits."
    )
