"""What an evaluation was made from, and belongs to: digests of the checkpoints, calibration.json
and the predictions; whether the files of a folder are still those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, known_sha256
from dr_ovo.results.folder import ENSEMBLE_FILE, EXTERNAL, FOLDS_FILE, SUPER_FILE, ResultsFolder
from dr_ovo.results.sealing import directory_sha256
from dr_ovo.results.training_files import config_digest

MADE_FROM = "made_from"  # key of evaluation.json
PREDICTIONS_VAL = "predictions_val"  # of val, where it has no evaluation of its own
Seals = dict[str, dict[str, str]]  # of each checkpoint, by the name of its file


def seals_of(folder: ResultsFolder) -> Seals:
    """Of each checkpoint in a folder the sha256, that of its zip directory, by which it is
    recognised without being read, and that of its descriptor, as far as there are any."""
    found: Seals = {}
    for path in sorted(folder.models.glob("best_*.pth")):
        own = {"checkpoints": known_sha256(path)}
        if directory := directory_sha256(path):
            own["directories"] = directory
        if (descriptor := path.with_suffix(".json")).is_file():
            own["descriptors"] = file_sha256(descriptor)
        found[path.name] = own
    return found


def joint_seals(members: Sequence[tuple[ResultsFolder, Seals]]) -> Seals:
    """The seals of all members; of several, under the names of their folders, too: with as many of
    the folders around one as tell it from the others."""
    roots = [folder.root.resolve() for folder, _ in members]
    return {
        f"{_distinct_name(root, roots)}/{name}" if len(members) > 1 else name: own
        for root, (_, seals) in zip(roots, members, strict=True)
        for name, own in seals.items()
    }


def _distinct_name(root: Path, roots: Sequence[Path]) -> str:
    """The last parts of a path that none of the other `roots` ends in."""
    others = [other.parts for other in roots if other != root]
    count = 1
    while any(parts[-count:] == root.parts[-count:] for parts in others):
        count += 1
    return "/".join(root.parts[-count:]).lstrip("/")


def checkpoint_digests(folders: Sequence[ResultsFolder]) -> dict[str, str]:
    """The sha256 of the checkpoints, by their names, as `joint_seals` has them."""
    found = joint_seals([(folder, seals_of(folder)) for folder in folders])
    return {name: own["checkpoints"] for name, own in found.items()}


def made_from(
    folder: ResultsFolder, seals: Seals, splits: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Of each split, what its evaluation belongs to: the seals of the checkpoints with which it was
    made, the settings of the training, the folder's calibration, and its predictions."""
    common: dict[str, Any] = {
        key: {name: own[key] for name, own in seals.items() if key in own}
        for key in ("checkpoints", "directories", "descriptors")
    }
    common |= joint_files(folder)
    if folder.config.is_file():
        common["config"] = config_digest(folder)
    if _is_of_neighbours(folder, seals):
        common["place"] = str(folder.root.resolve().parent)
    return {
        split: {**common, "predictions": file_sha256(folder.predictions(split))} for split in splits
    }


def joint_files(folder: ResultsFolder) -> dict[str, str]:
    """The sha256 of what decodes and calibrates all splits: calibration.json and, with the members
    of `--folds`, their manifest, which is written after their own evaluation."""
    return {key: file_sha256(path) for key, path in _joint(folder).items() if path.is_file()}


def _joint(folder: ResultsFolder) -> dict[str, Path]:
    manifest = {"manifest": folder.root / ENSEMBLE_FILE}
    divided = (folder.root / FOLDS_FILE).is_file()
    return {"calibration": folder.calibration, **(manifest if divided else {})}


def _is_of_neighbours(folder: ResultsFolder, names: Iterable[str]) -> bool:
    """Whether checkpoints lie in folders beside this one, as those of a mean of architectures."""
    return any("/" in name and not _inside(folder, name).is_dir() for name in names)


def _inside(folder: ResultsFolder, name: str) -> Path:
    return folder.root.joinpath(*name.split("/")[:-1])


def check_evaluation_files(folder: ResultsFolder, splits: Sequence[str]) -> bool:
    """As `check_digests`; raises UserError, too, where an evaluation was stopped while it was
    written."""
    if folder.evaluating.is_file():
        raise UserError(
            f"{folder.root}: an evaluation is being written there now, or was stopped while it "
            f"was, so that old and new files may be mixed. {_again(folder)}"
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
        if said := mixture(folder, split):
            raise UserError(f"{said} {_again(folder)}")
    return verified


def mixture(folder: ResultsFolder, split: str) -> str:
    """Which file is not the one that the evaluation of a split belongs to, as a sentence; "" for
    none. Raises UserError where the evaluation is damaged."""
    source = folder.read_evaluation(split).get(MADE_FROM, {})
    other = next(_others(folder, split, source), None)
    if other is None:
        return ""
    return (
        f"{folder.evaluation(split)} belongs to another {other} than the one that is there now: "
        "they were mixed, or it was changed."
    )


def _others(folder: ResultsFolder, split: str, source: Mapping[str, Any]) -> Iterator[str]:
    """The files that are not those of an evaluation, by what it was made from."""
    own = {**_joint(folder), "predictions": folder.predictions(split)}
    own[PREDICTIONS_VAL] = folder.predictions("val")
    for key, path in own.items():
        if key in source and path.is_file() and file_sha256(path) != source[key]:
            yield path.name
    if "config" in source and folder.config.is_file() and config_digest(folder) != source["config"]:
        yield folder.config.name
    place = str(folder.root.resolve().parent)
    if source.get("place", place) != place:  # beside it are folders that may be others by now
        return
    for name, sha256 in source.get("directories", {}).items():
        path = checkpoint_file(folder, name)
        if path.is_file() and directory_sha256(path) != sha256:
            yield name
    for name, sha256 in source.get("descriptors", {}).items():
        path = checkpoint_file(folder, name).with_suffix(".json")
        if path.is_file() and file_sha256(path) != sha256:
            yield f"{path.parent.name}/{path.name}"


def checkpoint_file(folder: ResultsFolder, name: str) -> Path:
    """The file of a checkpoint: of this folder; of a member, which lies in it (folds) or beside it
    (the mean of several architectures)."""
    *parents, file = name.split("/")
    inside = _inside(folder, name)
    root = inside if inside.is_dir() else folder.root.resolve().parent.joinpath(*parents)
    return ResultsFolder(root).models / file


def _again(folder: ResultsFolder) -> str:
    """How to fix the evaluations in a folder."""
    command = "python ensemble_5class_trainer.py --mode"
    if folder.evaluation(EXTERNAL).is_file():
        results = folder.root.parent.parent
        return f"Evaluate again: {command} evaluate --external DIR --output_dir {results}"
    dataset = f"--dataset_path {folder.dataset_of_commands()}"
    if (folder.root / FOLDS_FILE).is_file():
        return (
            "Put its members together again by the command that trained them, with --resume; then "
            f"evaluate test: {command} evaluate --output_dir {folder.root} {dataset}"
        )
    if (folder.root / SUPER_FILE).is_file() and not folder.evaluation("val").is_file():
        return (
            "Combine its members again: python evaluate_super_ensemble.py --results_dirs ... "
            f"--output {folder.root}"
        )
    if not folder.models.is_dir():
        return (
            f"Evaluate its models again, together: {command} evaluate --base_models ... "
            f"--output_dir {folder.root.parent} {dataset}"
        )
    return f"Evaluate again: {command} evaluate --output_dir {folder.root} {dataset}"
