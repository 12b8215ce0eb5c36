"""The content of manifest.json, from photographs and their plan."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import SPLITS
from dr_ovo.prepare.planning.grouping import Relations, differing_grades
from dr_ovo.prepare.planning.splits import RULE, Plan, official_splits

DIGEST = 16  # hex digits
WEIGHT_DIGITS = 6


def build_manifest(
    photographs: Sequence[Photograph],
    plan: Plan,
    relations: Relations,
    ids: Mapping[int, str],
    looks: Mapping[Path, tuple[str, np.ndarray]],
    quality: Mapping[Path, float | None],
    lost: Iterable[Dropped],
    given: Mapping[str, Any],
    *,
    balance: bool,
) -> dict[str, Any]:
    """The manifest less schema and hash: `given` (seed, synthetic, source, preprocessing), then
    rule, splits, counts, what was dropped, what a person must judge, and the files by id.

    `ids` are positions -> id, `looks` path -> (sha256, descriptor), `quality` path -> score where
    it was measured, `lost` what never had a plan.
    """
    files = sorted(
        (
            _entry(photographs[one], ids[one], place, *looks[photographs[one].path])
            | {"quality": quality.get(photographs[one].path)}
            for one, place in plan.split.items()
        ),
        key=lambda entry: str(entry["id"]),
    )
    if balance:
        add_weights(files)
    dropped = [*lost, *plan.dropped.values()]
    return {
        **given,
        "rule": RULE,
        "official_splits": list(official_splits(photographs)),
        "counts": count(files),
        "dropped": [asdict(one) for one in sorted(dropped, key=lambda one: one.file)],
        "to_judge": _to_judge(photographs, plan, relations, ids),
        "files": files,
    }


def digest(descriptor: np.ndarray) -> str:
    """A short name of a descriptor (D,) of norm 1; the numbers are in the cache of descriptors."""
    rounded = np.round(descriptor.astype(np.float32) * 127).astype(np.int8)
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:DIGEST]


def count(files: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Files per split and grade, every grade that occurs in each split."""
    found = Counter((entry["split"], entry["grade"]) for entry in files)
    grades = sorted({grade for _, grade in found})
    return {name: {str(grade): found[name, grade] for grade in grades} for name in SPLITS}


def add_weights(files: Sequence[dict[str, Any]]) -> None:
    """Gives each file of train the weight that makes all grades equally likely; the mean is 1."""
    train = [entry for entry in files if entry["split"] == "train"]
    grades = Counter(entry["grade"] for entry in train)
    for entry in train:
        weight = len(train) / (len(grades) * grades[entry["grade"]])
        entry["weight"] = round(weight, WEIGHT_DIGITS)


def _entry(
    photograph: Photograph, identity: str, place: str, sha256: str, descriptor: np.ndarray
) -> dict[str, Any]:
    return {
        "id": identity,
        "patient": photograph.patient or None,
        "eye": photograph.eye or None,
        "group": photograph.group or None,
        "grade": photograph.grade,
        "split": place,
        "sha256": sha256,
        "descriptor": digest(descriptor),
        "quality": None,
        "source": photograph.source,
    }


def _to_judge(
    photographs: Sequence[Photograph], plan: Plan, relations: Relations, ids: Mapping[int, str]
) -> list[dict[str, Any]]:
    return [
        {
            "how": how,
            "files": [
                {
                    "file": photographs[one].name,
                    "grade": photographs[one].grade,
                    "id": ids.get(one),
                    "official_split": photographs[one].split or None,
                    "dropped": one in plan.dropped,
                }
                for one in members
            ],
        }
        for members, how in differing_grades(photographs, relations)
    ]
