"""The resume state, kept after every epoch and inside it: a file per branch, and progress.json.

A resumed run is identical to an uninterrupted one. Branch files are named by how far the branch
is; `progress.json` is renamed into place last and names the files that belong together, so a stop
between two writes loses nothing. The state before it stays, named by `previous.json`. Inside an
epoch whole windows are kept, never queues or gradients: the images of windows that were not
finished pass the stem again. All random numbers are functions of (seed, epoch, position).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.models.torch_files import load_torch, save_torch
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.resume.branch_run import BranchRun

SCHEMA = 1
STEM = "stem.pth"


@dataclass(frozen=True)
class Reached:
    """How far a training is: its finished epochs, and the seconds that it has trained in the next
    one (None: it has not begun that)."""

    epochs: int
    seconds: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anything of it is kept."""
        return self.epochs > 0 or self.seconds is not None

    @property
    def said(self) -> str:
        """In words."""
        after = f"after epoch {self.epochs}"
        return after if self.seconds is None else f"inside epoch {self.epochs + 1}"


def begin(folder: ResultsFolder) -> None:
    """Removes a training of which nothing was kept, and marks the folder as a new one's.

    Checkpoints without progress.json are therefore never ones that may be overwritten.
    """
    if folder.progress.is_file():
        for path in folder.models.glob("best_*"):
            path.unlink()
    shutil.rmtree(folder.resume, ignore_errors=True)
    folder.resume.mkdir(parents=True)
    write_json(folder.progress, {"schema": SCHEMA, "epoch": 0, "finished": False, "branches": {}})


def save_stem(folder: ResultsFolder, state: StateDict) -> None:
    """Saves the frozen stem, once: resuming must not depend on a download."""
    save_torch(folder.resume / STEM, state)


def load_stem(folder: ResultsFolder) -> StateDict:
    """The stem that `save_stem` saved."""
    return dict(_load(folder, STEM))


def save_state(
    folder: ResultsFolder,
    reached: Reached,
    runs: dict[str, BranchRun],
    settings: Mapping[str, Any],
) -> None:
    """Saves the state, then deletes all but the one before it. `settings`: what of the run can
    change on the way.

    Raises MachineError if the disk refuses; the states before then stay valid.
    """
    folder.resume.mkdir(parents=True, exist_ok=True)
    finished = all(run.ended for run in runs.values())
    files = {}
    for run in runs.values():
        if run.trainer is not None and not finished:
            files[run.name] = _file_name(run.trainer, reached)
            state = run.trainer.state_dict(within=reached.seconds is not None)
            save_torch(folder.resume / files[run.name], state)
    branches = {run.name: {**run.to_dict(), "file": files.get(run.name)} for run in runs.values()}
    content = {
        "schema": SCHEMA,
        "epoch": reached.epochs,
        "finished": finished,
        **({} if reached.seconds is None else {"within": {"seconds": reached.seconds}}),
        **settings,
        "branches": branches,
    }
    before = folder.read_progress()
    if finished or not before["branches"]:
        folder.previous.unlink(missing_ok=True)
        before = {"branches": {}}
    else:
        write_json(folder.previous, before)
    write_json(folder.progress, content)
    keep = {*files.values(), *(branch["file"] for branch in before["branches"].values())}
    keep |= set() if finished else {STEM}
    for path in folder.resume.glob("*.pth"):
        if path.name not in keep:
            path.unlink()


def _file_name(trainer: BranchTrainer, reached: Reached) -> str:
    """The file of a branch: two states never share one, so none is overwritten while it counts."""
    if reached.seconds is None:
        return f"{trainer.spec.name}.epoch{reached.epochs}.pth"
    return f"{trainer.spec.name}.epoch{reached.epochs + 1}.images{trainer.done}.pth"


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
            trainer.load_state_dict(_load(folder, saved["file"]))
            trainer.rate_scale = progress.get("rate_scale", 1.0)
    return reached(progress)


def kept_state(folder: ResultsFolder) -> Reached:
    """How far the training is that a folder keeps; not at all where there is none."""
    return reached(folder.read_progress()) if folder.progress.is_file() else Reached(0)


def reached(progress: Mapping[str, Any]) -> Reached:
    """How far the training is of which this is progress.json."""
    within = progress.get("within")
    return Reached(int(progress["epoch"]), None if within is None else float(within["seconds"]))


def _load(folder: ResultsFolder, name: str) -> dict[str, Any]:
    hint = (
        f"The resume state is damaged; the best checkpoints in {folder.models} are untouched. "
        "Train from scratch in another --output_dir."
    )
    return dict(load_torch(folder.resume / name, hint))
