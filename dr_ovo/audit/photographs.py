"""The pictures to audit: those of a dataset that training opened, or of any folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.names import original_of
from dr_ovo.data.facts import patient_and_eye
from dr_ovo.data.index import IMAGE_SUFFIXES, SPLITS, DatasetIndex, files_below
from dr_ovo.data.manifest import MANIFEST, read_manifest
from dr_ovo.errors import UserError


def photographs_of_index(index: DatasetIndex) -> list[Photograph]:
    """The pictures of a dataset in the order of its splits."""
    found = []
    for name, split in index.splits.items():
        rows = zip(
            split.paths, split.sample_ids, split.targets, split.patient_ids, split.groups,
            strict=True,
        )  # fmt: skip
        for path, sample, target, owner, group in rows:
            # The index puts the group, and then the picture itself, in an unknown patient's place.
            patient = _patient_by_name(path) if owner in (sample, group) else owner
            grade = index.class_names[target]
            found.append(Photograph(path, f"{name}/{sample}", name, grade, patient, group))
    return found


def photographs_of_folder(root: Path) -> tuple[list[Photograph], bool]:
    """The pictures below any folder, and whether they are drawn.

    `<split>/<grade>/...`, `<grade>/...` or no folders at all; hidden ones are passed over.
    Patients and groups come from a manifest.json, else patients from names such as `10_left`.
    Raises UserError for a folder that is missing or holds no pictures.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "not there"
        raise UserError(f"{root} is {kind}: expected a folder of photographs.")
    paths = sorted(p for p in files_below(root) if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise UserError(f"{root} holds no pictures ({suffixes}) in any of its folders.")
    manifest = read_manifest(root / MANIFEST)
    entries = {entry["id"]: entry for entry in manifest["files"]} if manifest else {}
    drawn = (root / "synthetic.json").is_file() or bool(manifest and manifest.get("synthetic"))
    return [_photograph(root, path, entries) for path in paths], drawn


def _photograph(root: Path, path: Path, entries: Mapping[str, dict[str, Any]]) -> Photograph:
    file = path.relative_to(root)
    folders = list(file.parts[:-1])
    split = folders.pop(0) if folders and folders[0] in SPLITS else ""
    entry = entries.get(file.as_posix(), {})
    return Photograph(
        path=path,
        file=file.as_posix(),
        split=split,
        grade=folders[0] if folders else "",
        patient=entry.get("patient") or _patient_by_name(path),
        group=entry.get("group") or "",
    )


def _patient_by_name(path: Path) -> str:
    """The patient of `10_left` and of its copies, such as `10_left_aug3`; "" where unknown."""
    return patient_and_eye(original_of(path.stem) or path.stem, "")[0]
