"""Reads a dataset folder, `<root>/<split>/<grade>/<image>`, into an index; folders give the grade.

No picture is opened: a dataset of half a million files is listed in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.dataset.folder_walk import is_hidden_folder
from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, folder_content
from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.dataset.patients_and_eyes import known_facts
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError
from dr_ovo.files import Written


@dataclass(frozen=True)
class Split:
    """The N photographs of a split, ordered by sample id.

    `sample_ids` are paths inside the split with forward slashes, `targets` (N,) int64 grades,
    `patient_ids` the patient, else the group, else the sample itself, `eyes` "left", "right" or "",
    `groups` the visit or site or "", `quality` (N,) in [0, 1] or NaN where unknown, `weights` (N,)
    how often to draw each with --sampler balanced, None without such weights. `others` are files
    that are not read: other formats, and files outside the grade folders.
    """

    name: str
    paths: tuple[Path, ...]
    sample_ids: tuple[str, ...]
    targets: np.ndarray
    patient_ids: tuple[str, ...]
    eyes: tuple[str, ...]
    groups: tuple[str, ...]
    quality: np.ndarray
    weights: np.ndarray | None
    others: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, keep: np.ndarray) -> Split:
        """The photographs at the positions `keep` (K,)."""
        return replace(
            self,
            paths=tuple(self.paths[i] for i in keep),
            sample_ids=tuple(self.sample_ids[i] for i in keep),
            targets=self.targets[keep],
            patient_ids=tuple(self.patient_ids[i] for i in keep),
            eyes=tuple(self.eyes[i] for i in keep),
            groups=tuple(self.groups[i] for i in keep),
            quality=self.quality[keep],
            weights=None if self.weights is None else self.weights[keep],
        )


@dataclass(frozen=True)
class DatasetIndex:
    """The splits of a dataset folder; `manifest_hash` is None without a manifest.json.

    `written`: when each photograph was last written before its content was judged, `contents`: the
    sha256 of what was judged, "" for a file that can't be used; both are empty before.
    """

    root: Path
    class_names: tuple[str, ...]
    splits: dict[str, Split]
    manifest_hash: str | None
    synthetic: bool
    written: Mapping[Path, Written | None] = field(default_factory=dict)
    contents: Mapping[Path, str] = field(default_factory=dict)

    @property
    def others(self) -> list[Path]:
        """The files of all splits that are not read."""
        return [path for split in self.splits.values() for path in split.others]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images per split and grade."""
        return {
            name: {
                grade: int((split.targets == number).sum())
                for number, grade in enumerate(self.class_names)
            }
            for name, split in self.splits.items()
        }

    def paths(self, splits: Iterable[str]) -> tuple[Path, ...]:
        """The files of these splits, in their order; of those that there are."""
        return tuple(
            path for name in splits if name in self.splits for path in self.splits[name].paths
        )

    def content_hash(self, names: tuple[str, ...] = ("train", "val")) -> str:
        """A hash over the ids and grades of the splits `names`: equal for equal files."""
        digest = hashlib.sha256()
        for name in names:
            split = self.splits[name]
            for sample, target in zip(split.sample_ids, split.targets, strict=True):
                digest.update(f"{name}/{sample}\t{target}\n".encode())
        return digest.hexdigest()


def scan_dataset(
    root: Path,
    class_names: tuple[str, ...],
    splits: tuple[str, ...] = SPLITS,
    *,
    joined: bool = False,
) -> DatasetIndex:
    """The photographs under `root`, in C = len(class_names) grades.

    Patients, eyes, groups, quality and sampling weights come from manifest.json where there is one;
    otherwise patients and eyes come from the file names. `joined`: train and val are used as one,
    as by --folds, so val and test may be missing, which is as if they were empty, and a grade may
    be in either of the two.
    Raises UserError for a missing folder or split, for a folder that is not a grade, for a grade
    without images in train or val (a grade may be absent from test: its metrics are null), and for
    a manifest that does not match the images in the folder.
    """
    if not root.is_dir():
        raise UserError(
            f"Dataset folder {root} does not exist. Give --dataset_path (or DR_OVO_DATASET_PATH "
            "in .env) a folder with train/ val/ test/, each with a folder per grade."
        )
    needed = ("train",) if joined else splits
    absent = [name for name in needed if not (root / name).is_dir()]
    if absent:
        present = ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir())) or "no folders"
        raise UserError(
            f"Dataset folder {root} has no {' and no '.join(absent)} folder (it has: {present}). "
            "Expected train/ val/ test/, each with a folder per grade."
        )
    manifest = read_manifest(root / MANIFEST)
    entries = {entry["id"]: entry for entry in manifest["files"]} if manifest else None
    found = {name: _scan_split(root / name, name, class_names, entries) for name in splits}
    if joined:
        _require_joined_grades(root, class_names, found)
    else:
        _require_grades(root, class_names, found)
    return DatasetIndex(
        root=root,
        class_names=class_names,
        splits=found,
        manifest_hash=manifest["hash"] if manifest else None,
        synthetic=(root / SYNTHETIC_MARK).is_file() or bool(manifest and manifest["synthetic"]),
    )


def _scan_split(
    folder: Path,
    name: str,
    class_names: tuple[str, ...],
    entries: Mapping[str, dict[str, Any]] | None,
) -> Split:
    unknown = sorted(
        p.name
        for p in (folder.iterdir() if folder.is_dir() else ())
        if p.is_dir() and p.name not in class_names and not is_hidden_folder(p.name)
    )
    if unknown:
        raise UserError(
            f"{folder} has folders that are not a grade: {', '.join(unknown)}. Expected "
            f"{', '.join(class_names)}; set --num_classes and --class_names to match your folders."
        )
    content = folder_content(folder)
    numbers = {class_name: grade for grade, class_name in enumerate(class_names)}
    rows, others = [], list(content.others)
    for path in content.images:
        inside = path.relative_to(folder)
        if len(inside.parts) == 1:
            others.append(path)
        else:
            rows.append((inside.as_posix(), path, numbers[inside.parts[0]]))
    rows.sort()
    samples = tuple(sample for sample, _, _ in rows)
    grades = [grade for _, _, grade in rows]
    facts = known_facts(name, samples, grades, entries)
    return Split(
        name=name,
        paths=tuple(path for _, path, _ in rows),
        sample_ids=samples,
        targets=np.array(grades, dtype=np.int64),
        patient_ids=facts.patients,
        eyes=facts.eyes,
        groups=facts.groups,
        quality=facts.quality,
        weights=facts.weights,
        others=tuple(sorted(others)),
    )


def _require_grades(root: Path, class_names: tuple[str, ...], splits: dict[str, Split]) -> None:
    empty = [
        f"{name}/{grade}"
        for name, split in splits.items()
        if name != "test"
        for number, grade in enumerate(class_names)
        if not (split.targets == number).any()
    ]
    if empty:
        raise UserError(
            f"{root} has no images in {', '.join(empty)}. Every grade needs images in train and in "
            f"val ({SUFFIXES_SHOWN}). For fewer grades, set --num_classes and --class_names."
        )
    if "test" in splits and not len(splits["test"]):
        raise UserError(f"{root}/test has no images in the folders {', '.join(class_names)}.")


def _require_joined_grades(
    root: Path, class_names: tuple[str, ...], splits: dict[str, Split]
) -> None:
    there = np.concatenate([split.targets for name, split in splits.items() if name != "test"])
    empty = [grade for number, grade in enumerate(class_names) if number not in there]
    if empty:
        raise UserError(
            f"{root} has no images of grade {', '.join(empty)} in train or val, which --folds "
            f"joins. Every grade needs some there ({SUFFIXES_SHOWN}). For fewer grades, set "
            "--num_classes and --class_names."
        )
