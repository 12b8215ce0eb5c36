"""Lists the pictures to audit: those of a dataset index, or of any folder, with their owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from dr_ovo.audit.findings import Photograph
from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, image_files
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.dataset.patients_and_eyes import patient_and_eye, patients_of_files
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK
from dr_ovo.dataset.words import grade_of, split_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.folder_tree import folder_of_splits


def photographs_of_index(index: DatasetIndex) -> list[Photograph]:
    """The pictures of a dataset, split by split."""
    manifest = read_manifest(index.root / MANIFEST) if index.manifest_hash else None
    contents = {e["id"]: str(e["sha256"]) for e in manifest["files"]} if manifest else {}
    found = []
    for name, split in index.splits.items():
        rows = zip(
            split.paths, split.sample_ids, split.targets, split.patient_ids, split.groups,
            strict=True,
        )  # fmt: skip
        for path, sample, target, owner, group in rows:
            file = f"{name}/{sample}"
            # For an unknown patient the index has the group, or else the sample itself.
            patient = patient_and_eye(path.stem, "")[0] if owner in (sample, group) else owner
            grade = index.class_names[target]
            sha256 = contents.get(file, "")
            found.append(Photograph(path, file, name, grade, patient, group, sha256))
    # Below split and grade.
    places = [PurePosixPath(*PurePosixPath(one.file).parts[2:]) for one in found]
    return found if manifest else _with_patients(found, places)


def photographs_of_folder(root: Path) -> tuple[list[Photograph], bool]:
    """The pictures below any folder, and whether they are drawn.

    The layout is `<split>/<grade>/...`, `<grade>/...` or flat; hidden folders are skipped. Splits
    and grades are recognised by the same words as in prepare_dataset.py, and the folder with the
    splits may be below `root`. Patients and groups come from a manifest.json, else patients from
    all names together (`10_left`, `1221_OD_3`).
    Raises UserError for a folder that is missing, has no pictures, or has splits in several places.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "not there"
        raise UserError(f"{root} is {kind}: expected a folder of photographs.")
    paths = image_files(root)
    if not paths:
        raise UserError(f"{root} has no pictures ({SUFFIXES_SHOWN}) in any of its folders.")
    base = folder_of_splits(root, paths)
    manifest = read_manifest(base / MANIFEST)
    entries = {entry["id"]: entry for entry in manifest["files"]} if manifest else {}
    marked = any((place / SYNTHETIC_MARK).is_file() for place in (root, base))
    drawn = marked or bool(manifest and manifest.get("synthetic"))
    found = [_photograph(root, base, path, entries) for path in paths]
    places = [PurePosixPath(*_folders(base, path)[2], path.name) for path in paths]
    return found if manifest else _with_patients(found, places), drawn


def _with_patients(
    photographs: Sequence[Photograph], places: Sequence[PurePosixPath]
) -> list[Photograph]:
    """The same, with patients by the names of all: only a manifest, which has judged the names of
    all that was prepared, knows better."""
    patients = patients_of_files(places)
    return [
        replace(photograph, patient=patient)
        for photograph, patient in zip(photographs, patients, strict=True)
    ]


def _folders(base: Path, path: Path) -> tuple[str, str, list[str]]:
    """The split of a file, "" for none; its grade's folder, "" for none; and those of owners.

    Folders directly inside a split are grades, whatever their names.
    """
    folders = list(path.relative_to(base).parts[:-1])
    split = split_of(folders[0]) if folders else ""
    if split:
        folders.pop(0)
    grade = folders[0] if folders else ""
    return split, grade, folders[1:] if split else folders


def _photograph(
    root: Path, base: Path, path: Path, entries: Mapping[str, dict[str, Any]]
) -> Photograph:
    split, grade, owners = _folders(base, path)
    number = grade_of(grade)
    entry = entries.get(path.relative_to(base).as_posix(), {})
    return Photograph(
        path=path,
        file=path.relative_to(root).as_posix(),
        split=split,
        grade=grade if number is None else str(number),
        patient=entry.get("patient") or patient_and_eye(path.stem, "", (owners or [""])[-1])[0],
        group=entry.get("group") or "",
        sha256=entry.get("sha256", ""),
    )
