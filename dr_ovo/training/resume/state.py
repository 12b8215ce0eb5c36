"""The resume state, saved after every epoch: a file per branch, and progress.json.

A resumed run is identical to an uninterrupted one. Branch files are named by epoch;
`progress.json` is renamed into place last and names the files that belong together, so a stop
between two writes loses nothing. Queues are empty between epochs, and all random numbers are
functions of (seed, epoch, position): neither needs saving.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.models.torch_files import load_torch, save_torch
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer

SCHEMA = 1


@dataclass
class BranchRun:
    """A branch in training: its trainer (None once it has ended) and its best epoch so far."""

    name: str
    trainer: BranchTrainer | None
    best: Score | None = None
    best_epoch: int = 0
    progress: float | None = None  # the value from which `min_delta` counts
    progress_epoch: int = 0  # the epoch from which patience counts
    ended: str | None = None  # "patience" or "last epoch"; None after an interruption

    def end(self) -> None:
        """Frees the optimizer and GPU memory; the best weights are on disk."""
        if self.trainer is not None:
            self.trainer.branch.cpu()
        self.trainer = None

    def note_progress(self, score: Score, epoch: int, min_delta: float) -> None:
        """Resets patience if the score is better by more than `min_delta`."""
        if self.progress is None or score.value > self.progress + min_delta:
            self.progress, self.progress_epoch = score.value, epoch

    def to_dict(self) -> dict[str, Any]:
        """Plain values for progress.json."""
        best = None if self.best is None else [self.best.value, self.best.tie_break]
        return {
            "best": best,
            "best_epoch": self.best_epoch,
            "progress": self.progress,
            "progress_epoch": self.progress_epoch,
            "ended": self.ended,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restores what `to_dict` returned."""
        self.best = None if saved["best"] is None else Score(*saved["best"])
        self.best_epoch, self.ended = saved["best_epoch"], saved["ended"]
        self.progress, self.progress_epoch = saved["progress"], saved["progress_epoch"]


def begin(folder: ResultsFolder) -> None:
    """Removes a training that never finished an epoch, and marks the folder as a new one's.

    Checkpoints without progress.json are therefore never ones that may be overwritten.
    """
    if folder.progress.is_file():
        for path in folder.models.glob("best_*"):
            path.unlink()
    shutil.rmtree(folder.resume, ignore_errors=True)
    folder.resume.mkdir(parents=True)
    _write_progress(folder, 0, {}, finished=False)


def save_stem(folder: ResultsFolder, state: StateDict) -> None:
    """Saves the frozen stem, once: resuming must not depend on a download."""
    save_torch(folder.resume / "stem.pth", state)


def load_stem(folder: ResultsFolder) -> StateDict:
    """The stem that `save_stem` saved."""
    return dict(_load(folder, "stem.pth"))


def save_progress(
    folder: ResultsFolder, epoch: int, runs: dict[str, BranchRun], *, finished: bool
) -> None:
    """Saves the state after `epoch`, then deletes the previous one.

    Raises MachineError if the disk refuses; the previous state then stays valid.
    """
    folder.resume.mkdir(parents=True, exist_ok=True)
    files = {}
    for run in runs.values():
        if run.trainer is not None and not finished:
            files[run.name] = f"{run.name}.epoch{epoch}.pth"
            save_torch(folder.resume / files[run.name], run.trainer.state_dict())
    branches = {run.name: {**run.to_dict(), "file": files.get(run.name)} for run in runs.values()}
    _write_progress(folder, epoch, branches, finished=finished)
    keep = set(files.values()) | ({"stem.pth"} if not finished else set())
    for path in folder.resume.glob("*.pth"):
        if path.name not in keep:
            path.unlink()


def _write_progress(
    folder: ResultsFolder, epoch: int, branches: dict[str, Any], *, finished: bool
) -> None:
    progress = {"schema": SCHEMA, "epoch": epoch, "finished": finished, "branches": branches}
    write_json(folder.progress, progress)


def load_progress(folder: ResultsFolder, runs: dict[str, BranchRun]) -> int:
    """Loads the saved state into `runs`; returns its epoch. Raises UserError if it is damaged."""
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
            trainer.load_state_dict(_load(folder, saved["file"]))
    return int(progress["epoch"])


def _load(folder: ResultsFolder, name: str) -> dict[str, Any]:
    hint = (
        f"The resume state is damaged; the best checkpoints in {folder.models} are untouched. "
        "Train from scratch in another --output_dir."
    )
    return dict(load_torch(folder.resume / name, hint))
