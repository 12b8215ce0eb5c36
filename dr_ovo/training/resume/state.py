"""The resume state, kept after every epoch and inside it: a file per branch, and progress.json.

A resumed run is identical to an uninterrupted one. Branch files are named by how far the training
is; `progress.json` is renamed into place last and names the files that belong together, so a stop
between two writes loses nothing. The state before it stays, named by `previous.json`, and so does
the last one whose epoch was validated, named by `validated.json`. Inside an epoch whole windows are
kept, never queues or gradients: the images of windows that were not finished pass the stem again.
All random numbers are functions of (seed, epoch, position).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.errors import MachineError, UserError
from dr_ovo.files import atomic_write_text, make_folder
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.training_files import files_of_training
from dr_ovo.safe_files.torch_loading import load_torch
from dr_ovo.safe_files.torch_saving import save_torch
from dr_ovo.sealed_json import write_sealed
from dr_ovo.training.resume.branch_run import BranchRun

SCHEMA = 1
STEM = "stem.pth"
NOTHING_KEPT = "nothing_is_kept"  # there from the beginning of a training until its first state


@dataclass(frozen=True)
class Reached:
    """How far a training is: its finished epochs; and inside the next one, the images that its
    branches have learned from, all together, and the seconds that it has trained."""

    epochs: int
    images: int = 0
    seconds: float = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether anything of it is kept."""
        return self.epochs > 0 or self.images > 0

    @property
    def position(self) -> tuple[int, int]:
        """What orders the states of a training."""
        return self.epochs, self.images

    @property
    def said(self) -> str:
        """In words."""
        return f"inside epoch {self.epochs + 1}" if self.images else f"after epoch {self.epochs}"

    def file_name(self, branch: str) -> str:
        """The file of a branch: two states never share one, so none is overwritten while it
        counts."""
        if self.images:
            return f"{branch}.epoch{self.epochs + 1}.images{self.images}.pth"
        return f"{branch}.epoch{self.epochs}.pth"


def begin(folder: ResultsFolder) -> None:
    """Removes a training of which nothing was kept, and marks the folder as a new one's.

    Checkpoints without progress.json, or without that mark where it knows of no epoch, are
    therefore never ones that may be overwritten.
    """
    if folder.progress.is_file():
        for path in folder.models.glob("best_*"):
            path.unlink()
    shutil.rmtree(folder.resume, ignore_errors=True)
    make_folder(folder.resume)
    atomic_write_text(folder.resume / NOTHING_KEPT, "Nothing of this training is kept yet.\n")
    nothing = {"schema": SCHEMA, "epoch": 0, "finished": False, "branches": {}}
    write_sealed(folder.progress, nothing)


def save_stem(folder: ResultsFolder, state: StateDict) -> None:
    """Saves the frozen stem, once: resuming must not depend on a download."""
    save_torch(folder.resume / STEM, state)


def load_stem(folder: ResultsFolder) -> StateDict:
    """The stem that `save_stem` saved."""
    return dict(_load(folder, STEM))


def is_kept(folder: ResultsFolder, reached: Reached) -> bool:
    """Whether the newest state of the folder is the one that a training has reached.

    Raises MachineError where the folder was removed meanwhile.
    """
    if not folder.progress.is_file():
        raise MachineError(
            f"{folder.progress} is gone: was the results folder removed, or its disk? Nothing more "
            "can be kept there."
        )
    progress = folder.read_progress()
    return bool(progress["branches"]) and reached_in(progress).position == reached.position


def save_branches(
    folder: ResultsFolder, reached: Reached, runs: Iterable[BranchRun], *, finished: bool
) -> dict[str, dict[str, Any]]:
    """Saves the branches in training, unless all are `finished`; what progress.json says of each.

    Raises MachineError if the disk refuses.
    """
    make_folder(folder.resume)
    branches: dict[str, dict[str, Any]] = {}
    for run in runs:
        branches[run.name] = {**run.to_dict(), "file": None}
        if run.trainer is not None and not finished:
            path = folder.resume / reached.file_name(run.name)
            sha256 = save_torch(path, run.trainer.state_dict(within=reached.images > 0))
            branches[run.name] |= {"file": path.name, "sha256": sha256}
    return branches


def save_progress(
    folder: ResultsFolder,
    reached: Reached,
    branches: Mapping[str, Mapping[str, Any]],
    machine: Mapping[str, Any],
) -> None:
    """Makes saved branches the newest state, then deletes those that are no longer needed.
    `machine`: what full memory can change on the way.

    Raises MachineError if the disk refuses; the states before then stay valid.
    """
    before = folder.read_progress()
    finished = all(branch["ended"] for branch in branches.values())
    within = {"images": reached.images, "seconds": reached.seconds}
    content = {
        "schema": SCHEMA,
        "epoch": reached.epochs,
        "finished": finished,
        **({"within": within} if reached.images else {}),
        **machine,
        "branches": branches,
        "files": files_of_training(folder, None if finished else reached.epochs),
    }
    if before["branches"] and not finished:
        write_sealed(folder.previous, before)
    write_sealed(folder.progress, content)
    if not reached.images and not finished:
        write_sealed(folder.validated, content)
    clean(folder)


def clean(folder: ResultsFolder) -> None:
    """Deletes the states that are no longer needed, and what a killed process left of one."""
    named = {STEM}
    if folder.has_begun():
        (folder.resume / NOTHING_KEPT).unlink(missing_ok=True)
    if folder.is_finished():
        named = set()
        for path in (folder.previous, folder.validated):
            path.unlink(missing_ok=True)
    for path in (folder.progress, folder.previous, folder.validated):
        named.update(_named_in(path))
    for path in (*folder.resume.glob("*.pth"), *folder.resume.glob("*.part")):
        if path.name not in named:
            path.unlink()


def has_states(folder: ResultsFolder) -> bool:
    """Whether a folder has files of states, needed or not."""
    return any(folder.resume.glob("*.pth")) or any(folder.resume.glob("*.part"))


def _named_in(path: Path) -> list[str]:
    """The files that a state names; none where it can't be read."""
    try:
        return state_files(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def state_files(content: Mapping[str, Any]) -> list[str]:
    """The files of the branches in a state."""
    return sorted(branch["file"] for branch in content["branches"].values() if branch["file"])


def load_state(folder: ResultsFolder, runs: dict[str, BranchRun]) -> Reached:
    """Loads the saved state into `runs`; how far it is. Raises UserError if it is damaged."""
    progress = folder.read_progress()
    if progress.get("schema") != SCHEMA or set(progress["branches"]) != set(runs):
        raise UserError(
            f"{folder.progress} belongs to another version or another network. "
            "Start from scratch in another --output_dir."
        )
    for name, saved in progress["branches"].items():
        runs[name].restore(saved)
        trainer = runs[name].trainer
        if saved["ended"]:
            runs[name].end()
        elif trainer is not None:
            content = _load(folder, saved["file"])
            if problem := trainer.problem_of(content):
                raise UserError(
                    f"{folder.resume / saved['file']} does not fit this network: {problem}. "
                    f"{_hint(folder)}"
                )
            trainer.load_state_dict(content)
    return reached_in(progress)


def kept_state(folder: ResultsFolder) -> Reached:
    """How far the training is that a folder keeps; not at all where there is none."""
    return reached_in(folder.read_progress()) if folder.progress.is_file() else Reached(0)


def reached_in(progress: Mapping[str, Any]) -> Reached:
    """How far the training is of which this is progress.json."""
    within = progress.get("within", {"images": 0, "seconds": 0.0})
    return Reached(progress["epoch"], within["images"], within["seconds"])


def _load(folder: ResultsFolder, name: str) -> dict[str, Any]:
    return dict(load_torch(folder.resume / name, _hint(folder)))


def _hint(folder: ResultsFolder) -> str:
    return (
        f"The resume state is damaged; the best checkpoints in {folder.models} are untouched. "
        "Train from scratch in another --output_dir."
    )
