"""The files of a training that belong together: what progress.json says of them, and whether they
are still those."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError, log
from dr_ovo.files import file_sha256, known_sha256
from dr_ovo.json_files import read_json
from dr_ovo.results.folder import TRAIN_AGAIN, ResultsFolder
from dr_ovo.results.history import ADVICE as WITHOUT_CURVES
from dr_ovo.results.sealing import directory_sha256
from dr_ovo.sealed_json import digest_of

FILES = "files"  # key of progress.json
# What config.json takes on while a training goes on, before its next state is kept.
GROWING = ("effective", "resumed", "recovered", "retrained", "changed_images")


def files_of_training(folder: ResultsFolder, epochs: int | None) -> dict[str, Any]:
    """The digests of config.json and of history.csv as it is after so many `epochs`; of a finished
    training (None), of all of it, and of the descriptors of its checkpoints."""
    content = folder.history.read_bytes() if folder.history.is_file() else b""
    kept = content if epochs is None else _rows_up_to(content, epochs)
    return {
        "history": {"bytes": len(kept), "sha256": hashlib.sha256(kept).hexdigest()},
        "config": config_digest(folder),
        "descriptors": _descriptors(folder) if epochs is None else {},
    }


def check_training_files(folder: ResultsFolder) -> bool:
    """Whether progress.json says which files belong to the training; earlier versions said nothing.

    Raises UserError, naming it, for another history.csv or config.json; warns of checkpoints that
    are others, which an evaluation may be made of. A file that is missing is none.
    """
    if folder.outcome.is_file():
        raise UserError(
            f"{folder.root}: a pair that was trained again is being put in place there, or was not "
            "to the end. Give the command that trained it once more."
        )
    if not folder.progress.is_file():
        return True
    progress = folder.read_progress()
    if FILES not in progress:
        return not progress.get("branches")
    if wrong := _other_file(folder, progress):
        advice = WITHOUT_CURVES if wrong == folder.history else TRAIN_AGAIN
        raise UserError(
            f"{wrong} is not the one that the training in {folder.root} wrote: it was changed or "
            f"replaced, by hand or by an accident. {advice}"
        )
    for name, sha256 in progress[FILES]["descriptors"].items():
        path = folder.models / name
        if path.is_file() and file_sha256(path) != sha256:
            log.warning(
                "%s is not the one that the training in %s wrote: that checkpoint was replaced.",
                path, folder.root,
            )  # fmt: skip
    return True


def require_whole_checkpoints(folder: ResultsFolder) -> None:
    """Raises UserError, naming it, for a checkpoint that is not the one that the JSON file beside
    it describes by its sha256 or, where that says none, for one that is no whole archive. One that
    is missing is none."""
    described = folder.read_descriptors()
    for path in sorted(folder.models.glob("best_*.pth")):
        sha256 = described.get(path.name, {}).get("sha256")
        if sha256 and known_sha256(path) != sha256:
            beside = path.with_suffix(".json").name
            problem = f"is not the checkpoint that {beside} beside it describes"
        elif not sha256 and directory_sha256(path) is None:
            problem = "is no whole checkpoint"
        else:
            continue
        raise UserError(
            f"{path} {problem}: it was damaged or replaced. Its training is finished and can't "
            "write it anew: restore it from a copy, or train again in another --output_dir."
        )


def _other_file(folder: ResultsFolder, progress: Mapping[str, Any]) -> Path | None:
    """Of history.csv and config.json the one that is not as progress.json says."""
    files = progress[FILES]
    if folder.history.is_file():
        content, written = folder.history.read_bytes(), files["history"]
        kept = content if progress["finished"] else content[: written["bytes"]]
        if hashlib.sha256(kept).hexdigest() != written["sha256"]:
            return folder.history
    if folder.config.is_file() and config_digest(folder) != files["config"]:
        return folder.config
    return None


def _rows_up_to(content: bytes, epochs: int) -> bytes:
    """history.csv without the rows of later epochs, which are its last."""
    lines = content.splitlines(keepends=True)
    epoch = [line.partition(b",")[0] for line in lines]
    later = [cell.isdigit() and int(cell) > epochs for cell in epoch]
    return b"".join(lines[: later.index(True)] if True in later else lines)


def config_digest(folder: ResultsFolder) -> str:
    """The digest of config.json without what it takes on while a training goes on. Raises UserError
    where it is damaged."""
    config = read_json(folder.config, TRAIN_AGAIN)
    return digest_of({key: value for key, value in config.items() if key not in GROWING})


def _descriptors(folder: ResultsFolder) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.models.glob("best_*.json"))}
