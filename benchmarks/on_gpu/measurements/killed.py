"""A training killed inside an epoch, which goes on and ends with the weights of one never stopped.

cuDNN's deterministic convolutions are asked for, so that differences are those of the resumption.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.on_gpu.rows import Emit, row
from benchmarks.on_gpu.setting import SMALL, Setting
from dr_ovo.results.folder import ResultsFolder

TOLERANCE = 0.05
EPOCHS, SAVE_MINUTES = "2", "0.005"
QUICK_EPOCHS, QUICK_SAVE_MINUTES = "6", "0.000001"  # after each step
TRAINER = """
import sys
import torch
from dr_ovo.commands.trainer import main
from dr_ovo.errors import run
torch.backends.cudnn.deterministic = True
sys.exit(run(lambda: main(sys.argv[1:], "trainer")))
"""


class Ended(Exception):
    """A training that ended otherwise than it should have."""


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Whether it went on, and how far its weights are from those of the one never stopped."""
    whole, killed = setting.folder / "never_killed", setting.folder / "killed"
    words = _words(setting, alias)
    first = _start(words, whole)
    _wait_for(first, whole, lambda folder: folder.config.is_file())  # its audit and cache are there
    second = _start(words, killed)
    _wait_for(second, killed, _is_inside_an_epoch)
    second.kill()
    second.wait()
    inside = ResultsFolder(killed).read_progress()
    third = _start([*words, "--resume"], killed)
    codes = [third.wait(), first.wait()]
    if codes[1]:
        raise Ended(f"the training that nobody killed ended with exit code {codes[1]}")
    went_on = codes[0] == 0 and ResultsFolder(killed).is_finished()
    where = f"killed in epoch {inside['epoch'] + 1}, {inside['within']['images']} images kept"
    emit(row("killed_goes_on", went_on, "yes or no", goal=True, note=where))
    if went_on:
        weights = [_weights(folder) for folder in (whole, killed)]
        moved = _distance(weights[0], torch.load(setting.weights(alias), weights_only=True))
        apart = _distance(*weights)
        emit(
            row(
                "killed_weights",
                apart / moved,
                "distance of the weights / how far training moved them",
                goal=TOLERANCE,
                at_least=False,
                beside={"the same bits": apart == 0},
            )
        )


def _words(setting: Setting, alias: str) -> list[str]:
    """Micro-batches of 4, and states inside the epochs: there is time to be killed in."""
    epochs, every = EPOCHS, SAVE_MINUTES
    if setting.quick:
        epochs, every = QUICK_EPOCHS, QUICK_SAVE_MINUTES
    return [
        *setting.flags(
            alias,
            *("--batch_size", "8", "--gradient_accumulation_steps", "1", "--micro_batch", "4"),
            *("--freeze_weights", "false", "--img_size", "0", "--warmup_epochs", "0"),
            *("--epochs", epochs, "--save_every", every, "--keep_epoch", "last"),
            *("--dataset_path", str(setting.dataset(SMALL)), "--allow_leaks", "--log_file", ""),
        )
    ]


def _start(words: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAINER, *words, "--output_dir", str(output)],
        stdin=subprocess.DEVNULL,
    )


def _wait_for(
    process: subprocess.Popen[bytes], output: Path, there: Callable[[ResultsFolder], bool]
) -> None:
    """Waits until something of a results folder is there. Raises Ended if it never comes."""
    while not there(ResultsFolder(output)):
        if process.poll() is not None:
            raise Ended(f"{output.name} ended with exit code {process.returncode} too early")
        time.sleep(0.02)


def _is_inside_an_epoch(folder: ResultsFolder) -> bool:
    return folder.progress.is_file() and "within" in folder.read_progress()


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the backbone in a results folder's checkpoint, under timm's names."""
    (file,) = (folder / "models").glob("*.pth")
    state = torch.load(file, weights_only=True)["state_dict"]
    names = [name for name in state if name.startswith("backbone.")]
    return {name.removeprefix("backbone."): state[name].float().cpu() for name in names}


def _distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    squares = [float((one[name] - other[name].float()).square().sum()) for name in one]
    return float(sum(squares)) ** 0.5
