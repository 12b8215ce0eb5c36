"""Trains the runs of the ablation that are not kept yet, several at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.skill.arms import BASELINE, Run
from benchmarks.skill.saved import is_kept, save
from dr_ovo.errors import MachineError, UserError
from dr_ovo.tables import say
from dr_ovo.training.setup import fold_folder

ROOT = Path(__file__).resolve().parents[2]
TRAINING = "benchmarks.skill.recorded_training"
WITH_EPOCHS = (BASELINE, "one-vs-one, plain")  # arms whose logits after every epoch are kept


def train_missing(
    runs: Sequence[Run], datasets: Mapping[str, Path], output: Path, at_a_time: int
) -> None:
    """Trains every run that is not kept, one thread each, and keeps it; goes on with what was
    stopped. Raises MachineError for one that fails, when the others have ended."""
    missing = [run for run in runs if run.dataset in datasets and not is_kept(run)]
    for run in missing:
        if run.begins_with and run.begins_with.dataset not in datasets:
            raise UserError(f"{run.arm}: give --dataset {run.begins_with.dataset}=FOLDER, too.")
    with ThreadPoolExecutor(at_a_time) as pool:
        futures = [pool.submit(_train, run, datasets, output) for run in missing]
    for future in futures:
        future.result()


def _train(run: Run, datasets: Mapping[str, Path], output: Path) -> None:
    folder, common = _places(run, datasets, output)
    say(f"{run.dataset}: {run.name}")
    weights: tuple[object, ...] = ()
    if run.begins_with:
        other, words = _places(run.begins_with, datasets, output)
        _call(TRAINING, *words, "--resume", *run.begins_with.arguments, "--fold", "1")
        weights = ("--pretrained_path", fold_folder(other, 1))
    _call(TRAINING, *common, "--resume", *run.arguments, *weights)
    if run.on_test:
        _call("ensemble_5class_trainer", *common, "--mode", "evaluate", "--splits", "test")
    save(run, folder, with_epochs=run.arm in WITH_EPOCHS and run.seed == 1)
    say(f"{run.dataset}: {run.name} is kept")


def _places(
    run: Run, datasets: Mapping[str, Path], output: Path
) -> tuple[Path, tuple[object, ...]]:
    """The results folder of a run, and the arguments that name it and the dataset."""
    folder = (output / run.dataset / run.name).resolve()
    return folder, ("--dataset_path", datasets[run.dataset].resolve(), "--output_dir", folder)


def _call(module: str, *words: object) -> None:
    """A command of the trainer, on one thread. Raises MachineError where it fails."""
    command = [sys.executable, "-m", module, *map(str, words), "--num_workers", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    if ended.returncode:
        raise MachineError(f"{' '.join(command)}: exit {ended.returncode}\n{ended.stderr[-2000:]}")
