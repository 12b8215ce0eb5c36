"""What an evaluation was made from, and belongs to: digests of the checkpoints, calibration.json
and the predictions; whether the files of a folder are still those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, known_sha256
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.sealing import directory_sha256

MADE_FROM = "made_from"  # key of evaluation.json
AGAIN = "Evaluate again: python ensemble_5class_trainer.py --mode evaluate --output_dir {}"


def checkpoints_of(folders: Sequence[ResultsFolder]) -> dict[str, Path]:
    """The checkpoints by the names of their files; of several folders, by theirs, too."""
    several = len(folders) > 1
    return {
        f"{folder.root.resolve().name}/{path.name}" if several else path.name: path
        for folder in folders
        for path in sorted(folder.models.glob("best_*.pth"))
    }


def checkpoint_digests(folders: Sequence[ResultsFolder]) -> dict[str, str]:
    """The sha256 of the checkpoints, by their names."""
    return {name: known_sha256(path) for name, path in checkpoints_of(folders).items()}


def made_from(
    folder: ResultsFolder, members: Sequence[ResultsFolder], splits: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Of each split, what its evaluation belongs to: the sha256 of the checkpoints of the
    `members`, of their zip directories, by which they are recognised without being read, of their
    descriptors, of the folder's calibration, and of its predictions."""
    checkpoints = checkpoints_of(members)
    directories = {name: directory_sha256(path) for name, path in checkpoints.items()}
    common = {
        "checkpoints": checkpoint_digests(members),
        "directories": {name: sha256 for name, sha256 in directories.items() if sha256},
        "descriptors": {
            name: file_sha256(path)
            for name, checkpoint in checkpoints.items()
            if (path := checkpoint.with_suffix(".json")).is_file()
        },
        "calibration": file_sha256(folder.calibration),
    }
    return {
        split: {**common, "predictions": file_sha256(folder.predictions(split))} for split in splits
    }


def check_evaluation_files(folder: ResultsFolder, splits: Sequence[str]) -> bool:
    """As `check_digests`; raises UserError, too, where an evaluation was stopped while it was
    written."""
    if folder.evaluating.is_file():
        raise UserError(
            f"{folder.root}: an evaluation is being written there now, or was stopped while it "
            f"was, so that old and new files may be mixed. {AGAIN.format(folder.root)}"
        )
    return check_digests(folder, splits)


def check_digests(folder: ResultsFolder, splits: Sequence[str]) -> bool:
    """Whether the evaluations of `splits` say which predictions, calibration and checkpoints belong
    to them; those of earlier versions don't say all of it.

    Raises UserError for a mixture. Files that are missing, such as checkpoints that were left
    behind, are none.
    """
    verified = True
    for split in splits:
        report = folder.read_evaluation(split)
        source = report.get(MADE_FROM, {})
        drawn = report.get("simulated", False)  # there is nothing that it was made from
        verified = verified and (not report or drawn or "predictions" in source)
        if other := next(_others(folder, split, source), None):
            raise UserError(
                f"{folder.evaluation(split)} belongs to another {other} than the one that is "
                f"there now: they were mixed, or it was changed. {AGAIN.format(folder.root)}"
            )
    return verified


def _others(folder: ResultsFolder, split: str, source: Mapping[str, Any]) -> Iterator[str]:
    """The files that are not those of an evaluation, by what it was made from."""
    own = {"calibration": folder.calibration, "predictions": folder.predictions(split)}
    for key, path in own.items():
        if key in source and path.is_file() and file_sha256(path) != source[key]:
            yield path.name
    for name, sha256 in source.get("directories", {}).items():
        path = _checkpoint(folder, name)
        if path.is_file() and directory_sha256(path) != sha256:
            yield name
    for name, sha256 in source.get("descriptors", {}).items():
        path = _checkpoint(folder, name).with_suffix(".json")
        if path.is_file() and file_sha256(path) != sha256:
            yield f"{path.parent.name}/{path.name}"


def _checkpoint(folder: ResultsFolder, name: str) -> Path:
    """The file of a checkpoint: of this folder; of a member, which lies in it (folds) or beside it
    (the mean of several architectures)."""
    *parents, file = name.split("/")
    inside = folder.root.joinpath(*parents)
    root = inside if inside.is_dir() else folder.root.resolve().parent.joinpath(*parents)
    return ResultsFolder(root).models / file
