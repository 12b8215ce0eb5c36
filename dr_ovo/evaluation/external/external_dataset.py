"""Reads another data set for an evaluation: all of its photographs, by class, as one split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, folder_content
from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.dataset.patients_and_eyes import patients_and_eyes_of
from dr_ovo.dataset.synthetic_mark import is_synthetic
from dr_ovo.dataset.words import split_of
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.evaluation import decodable_by_all
from dr_ovo.evaluation.external.metrics.class_map import ClassMap, require_classes
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.photographs.damage import Damage
from dr_ovo.prepare.readers.folder_tree import folder_of_splits
from dr_ovo.results.folder import EXTERNAL
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.opening import examined, usable


@dataclasses.dataclass(frozen=True)
class _Row:
    """A photograph: its path below the data set, the folder of its class, and where it is in it."""

    sample: str
    path: Path
    folder: str
    place: PurePosixPath


def open_external(
    config: TrainConfig, models: Sequence[TrainedModel], classes: ClassMap, output: Path
) -> tuple[DatasetIndex, list[Damage]]:
    """The photographs of `--external`, decoded for the models, and the files that are left out.

    Raises UserError for a data set that can't be used, and, without `--skip_damaged`, for damaged
    files. What is measured is cached in `output` where the data set can't be written.
    """
    index = scan_external(Path(config.external), classes, mapped=bool(config.grade_map))
    index, damaged = examined(config, index, output)
    index, left_out = usable(config, index, damaged)
    index, undecodable = decodable_by_all(models, index, config, (EXTERNAL,))
    return index, [*left_out, *undecodable]


def scan_external(root: Path, classes: ClassMap, *, mapped: bool) -> DatasetIndex:
    """The photographs below `root` as the one split EXTERNAL: `<split>/<class>/...` of every split,
    or `<class>/...`. Patients, eyes and groups come from a manifest.json, else from all names.

    Raises UserError for a missing folder, one without photographs in classes, or other classes.
    """
    if not root.is_dir():
        what = "a file" if root.exists() else "not there"
        raise UserError(f"--external {root} is {what}: expected a folder with photographs.")
    content = folder_content(root)
    base = folder_of_splits(root, content.images)
    rows = [row for path in content.images if (row := _row(base, path)) is not None]
    if not rows:
        raise UserError(
            f"--external {root} has no photographs ({SUFFIXES_SHOWN}) in folders of classes. "
            "Expected <class>/..., or test/<class>/..., as prepare_dataset.py makes them."
        )
    require_classes(classes, {row.folder for row in rows}, str(root), mapped=mapped)
    rows.sort(key=lambda row: row.sample)
    manifest = read_manifest(base / MANIFEST)
    if outside := len(content.images) - len(rows):
        log.warning("%s: %d photographs in no folder of a class are left out.", root, outside)
    others = [path for path in content.others if _row(base, path) is not None]
    split = _split(rows, classes, manifest)
    return DatasetIndex(
        root=base,
        class_names=classes.names,
        splits={EXTERNAL: dataclasses.replace(split, others=tuple(sorted(others)))},
        manifest_hash=manifest["hash"] if manifest else None,
        synthetic=is_synthetic(base) or bool(manifest and manifest["synthetic"]),
    )


def _row(base: Path, path: Path) -> _Row | None:
    """A photograph; None for one that lies in no folder of a class."""
    inside = PurePosixPath(path.relative_to(base).as_posix())
    folders = list(inside.parts[:-1])
    if folders and split_of(folders[0]):
        folders.pop(0)
    if not folders:
        return None
    place = PurePosixPath(*folders[1:], inside.name)
    return _Row(inside.as_posix(), path, folders[0], place)


def _split(rows: Sequence[_Row], classes: ClassMap, manifest: dict[str, Any] | None) -> Split:
    entries = {entry["id"]: entry for entry in manifest["files"]} if manifest else {}
    by_name = patients_and_eyes_of([row.place for row in rows])
    facts = [
        (entry["patient"] or "", entry["eye"] or "", entry["group"] or "")
        if (entry := entries.get(row.sample))
        else (*named, "")
        for row, named in zip(rows, by_name, strict=True)
    ]
    return Split(
        name=EXTERNAL,
        paths=tuple(row.path for row in rows),
        sample_ids=tuple(row.sample for row in rows),
        targets=np.array([classes.class_of_folder(row.folder) for row in rows], dtype=np.int64),
        patient_ids=tuple(
            patient or group or row.sample
            for row, (patient, _, group) in zip(rows, facts, strict=True)
        ),
        eyes=tuple(eye for _, eye, _ in facts),
        groups=tuple(group for _, _, group in facts),
        quality=np.full(len(rows), np.nan),
        weights=None,
    )
