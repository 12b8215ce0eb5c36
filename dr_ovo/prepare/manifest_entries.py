"""Builds the content of manifest.json: entries, counts, sampling weights, drops, review cases."""

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
    """The manifest without schema and hash: `given` (seed, synthetic, source, preprocessing), then
    rule, splits, counts, dropped photographs, cases for manual review, and the files by id.

    `ids` maps positions to ids, `looks` paths to (sha256, descriptor), `quality` paths to scores
    where measured; `lost` are photographs dropped before the plan was made.
    """
    files = sorted(
        (
            _entry(photographs[position], ids[position], place, *looks[photographs[position].path])
            | {"quality": quality.get(photographs[position].path)}
            for position, place in plan.split.items()
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
        "dropped": [asdict(drop) for drop in sorted(dropped, key=lambda drop: drop.file)],
        "to_judge": _to_judge(photographs, plan, relations, ids),
        "files": files,
    }


def digest(descriptor: np.ndarray) -> str:
    """A short hash of a descriptor (D,) of norm 1; its values are in the descriptor cache."""
    rounded = np.round(descriptor.astype(np.float32) * 127).astype(np.int8)
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:DIGEST]


def count(files: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Files per split and grade; each split lists all grades that occur in any of them."""
    found = Counter((entry["split"], entry["grade"]) for entry in files)
    grades = sorted({grade for _, grade in found})
    return {name: {str(grade): found[name, grade] for grade in grades} for name in SPLITS}


def add_weights(files: Sequence[dict[str, Any]]) -> None:
    """Adds to each train file the weight that makes all grades equally likely; the mean is 1."""
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
                    "file": photographs[position].name,
                    "grade": photographs[position].grade,
                    "id": ids.get(position),
                    "official_split": photographs[position].split or None,
                    "dropped": position in plan.dropped,
                }
                for position in members
            ],
        }
        for members, how in differing_grades(photographs, relations)
    ]
