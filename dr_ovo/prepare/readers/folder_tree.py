"""Reads an existing folder tree of grades, `<split>/<grade>/<image>` or `<grade>/<image>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, image_files
from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.dataset.words import split_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.prepare.readers.scale_checks import check_folders

SHOWN = 5


def read_tree(
    root: Path, scale: GradeScale, *, keep_splits: bool
) -> tuple[list[Photograph], list[str]]:
    """The photographs below `root`, graded on `scale` by their folders' names, and remarks for the
    user.

    Folders named after splits are official splits (unless `keep_splits` is False); they may be in a
    folder below `root`. Patients, eyes, groups and sources come from a manifest.json, else from
    file names such as `10_left`.
    Raises UserError for a folder that is missing or empty, or has a folder that is not a grade.
    """
    if not root.is_dir():
        raise UserError(f"--from_tree {root}: there is no such folder.")
    base = folder_of_splits(root, image_files(root))
    folders = subfolders(base)
    splits = [folder for folder in folders if split_of(folder.name)]
    remarks = []
    if base != root:
        remarks.append(f"The splits were found in {base}.")
    if splits:
        if others := ", ".join(folder.name for folder in folders if folder not in splits):
            remarks.append(f"{base}: folders that are not splits are left out: {others}.")
        found = [
            replace(photograph, split=split_of(split.name) if keep_splits else "")
            for split in splits
            for photograph in _graded(base, split, scale)
        ]
    else:
        found = _graded(base, base, scale)
    without = {p.name for f in (splits or [base]) for p in subfolders(f)}
    if left_out := sorted(filter(scale.says_no_grade, without)):
        remarks.append(f"Folders without a grade by --grade_map: {', '.join(left_out)}.")
    if not found:
        raise UserError(f"--from_tree {root}: no images ({SUFFIXES_SHOWN}) below it.")
    manifest = read_manifest(base / MANIFEST)
    if manifest is None:
        check_folders(base, sorted(without - set(left_out)), scale)
    return _completed(found, manifest), remarks


def folder_of_splits(root: Path, files: Sequence[Path]) -> Path:
    """The folder, `root` or below, that contains the split folders; `root` where there are none.

    `files` are the pictures below `root`. Raises UserError if several folders contain splits, or if
    there are pictures outside the only one.
    """
    parents: set[Path | None] = set()
    for path in files:
        folders = path.relative_to(root).parts[:-1]
        at = next((i for i, name in enumerate(folders) if split_of(name)), None)
        parents.add(None if at is None else root.joinpath(*folders[:at]))
    below = sorted(parent for parent in parents if parent is not None)
    if root in below or not below:
        return root
    if parents == {below[0]}:
        return below[0]
    raise UserError(
        f"{root} has splits in {', '.join(map(str, below[:SHOWN]))}"
        + (", ..." if len(below) > SHOWN else "")
        + (" and pictures outside them" if None in parents else "")
        + f". Name one dataset folder, such as {below[0]}, with train, val and test in it."
    )


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _graded(root: Path, folder: Path, scale: GradeScale) -> list[Photograph]:
    """The photographs in the grade folders of `folder`."""
    grades = {}
    for place in subfolders(folder):
        if scale.says_no_grade(place.name):
            continue
        grade = scale.grade_of_name(place.name)
        if grade is None:
            names = " ".join(map(scale.folder, range(scale.size)))
            raise UserError(
                f"--from_tree {root}: {place} is neither a split nor a grade. Expected train, val, "
                f"test with the folders {names} in each, or these folders alone. Rename it, move "
                "it out, or say what the folders mean: --class_names No_DR DR (mildest first), or "
                "--grade_map FOLDER=2."
            )
        grades[place] = grade
    return [
        _photograph(root, path, grade)
        for place, grade in grades.items()
        for path in image_files(place)
    ]


def _photograph(root: Path, path: Path, grade: int) -> Photograph:
    name = path.relative_to(root).as_posix()
    patient, eye = patient_and_eye(path.stem, "", path.parent.name)
    return Photograph(path, name, grade, patient=patient, eye=eye, source=name)


def _completed(
    photographs: list[Photograph], manifest: Mapping[str, Any] | None
) -> list[Photograph]:
    """The photographs with what the manifest of the tree says of them, if it has one."""
    if manifest is None:
        return photographs
    entries = {entry["id"]: entry for entry in manifest["files"]}
    completed = []
    for photograph in photographs:
        entry = entries.get(photograph.name, {})
        facts = {key: entry[key] for key in ("patient", "eye", "group", "source") if entry.get(key)}
        completed.append(replace(photograph, **facts))
    return completed
