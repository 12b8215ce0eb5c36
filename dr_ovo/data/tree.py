"""An existing folder of grades, `<split>/<grade>/<image>` or `<grade>/<image>`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dr_ovo.data.facts import patient_and_eye
from dr_ovo.data.manifest import MANIFEST, read_manifest
from dr_ovo.data.photographs import NUM_GRADES, SPLIT_WORDS, Photograph, image_files
from dr_ovo.errors import UserError

# What folders of grades are called, without spaces, hyphens and underscores.
GRADE_WORDS = {
    "nodr": 0, "normal": 0, "none": 0,
    "mild": 1, "milddr": 1, "mildnpdr": 1,
    "moderate": 2, "moderatedr": 2, "moderatenpdr": 2,
    "severe": 3, "severedr": 3, "severenpdr": 3,
    "pdr": 4, "proliferative": 4, "proliferatedr": 4, "proliferativedr": 4,
} | {str(grade): grade for grade in range(NUM_GRADES)}  # fmt: skip


def read_tree(root: Path, *, keep_splits: bool) -> tuple[list[Photograph], list[str]]:
    """The photographs below `root`, graded by their folders' names, and remarks for the user.

    Folders named after splits are official splits (unless `keep_splits` is off). Patients, eyes,
    groups and sources come from a manifest.json, else from names such as `10_left`.
    Raises UserError for a folder that is missing, empty, or holds one that is no grade.
    """
    if not root.is_dir():
        raise UserError(f"--from_tree {root}: there is no such folder.")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_WORDS]
    remarks = []
    if splits:
        strange = [folder.name for folder in folders if folder not in splits]
        if strange:
            remarks.append(f"{root}: folders that are no split stay out: {', '.join(strange)}.")
        found = [
            replace(photograph, split=SPLIT_WORDS[split.name.lower()] if keep_splits else "")
            for split in splits
            for photograph in _graded(root, split)
        ]
    else:
        found = _graded(root, root)
    if not found:
        raise UserError(f"--from_tree {root}: no images (.jpg .jpeg .png .tif .tiff) below it.")
    return _with_manifest(root, found), remarks


def _graded(root: Path, folder: Path) -> list[Photograph]:
    """The photographs in the grade folders of `folder`."""
    grades = {}
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        word = place.name.lower().translate(str.maketrans("", "", " _-"))
        if word not in GRADE_WORDS:
            raise UserError(
                f"--from_tree {root}: {place} is neither a split nor a grade. Expected train, val, "
                "test, each with (or instead of them) 0, 1, 2, 3, 4. Rename it, or move it out."
            )
        grades[place] = GRADE_WORDS[word]
    return [
        _photograph(root, path, grade)
        for place, grade in grades.items()
        for path in image_files(place)
    ]


def _photograph(root: Path, path: Path, grade: int) -> Photograph:
    name = path.relative_to(root).as_posix()
    patient, eye = patient_and_eye(path.stem, "")
    return Photograph(path, name, grade, patient=patient, eye=eye, source=name)


def _with_manifest(root: Path, photographs: list[Photograph]) -> list[Photograph]:
    """The photographs with what the tree's manifest says of them."""
    manifest = read_manifest(root / MANIFEST)
    if manifest is None:
        return photographs
    entries = {entry["id"]: entry for entry in manifest["files"]}
    known = []
    for photograph in photographs:
        entry = entries.get(photograph.name, {})
        told = {key: entry[key] for key in ("patient", "eye", "group", "source") if entry.get(key)}
        known.append(replace(photograph, **told))
    return known
