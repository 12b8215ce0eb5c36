"""Running the training loop; what full GPU memory, Ctrl-C or SIGTERM leave behind and report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.errors import MachineError, Terminated, log
from dr_ovo.files import write_json
from dr_ovo.training.data.loading import image_loader
from dr_ovo.training.data.training_data import training_data
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.epochs.validation import EpochResult
from dr_ovo.training.resume.numerics import record_numerics, say_changes
from dr_ovo.training.writing.record import Record


@contextmanager
def open_loop(record: Record) -> Iterator[TrainingLoop]:
    """The training loop of a run, with its loader. Raises MachineError, with the way on, if the
    GPU's memory is full."""
    config = record.config
    data = training_data(config, record.index)
    paths = (*data.train.paths, *data.val.paths)
    try:
        with image_loader(
            config, record.index, record.folder, paths, record.model.preprocessing
        ) as loader:
            yield TrainingLoop(record.model, data, loader, record.precision, config)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"The GPU's memory is full ({str(error).splitlines()[0]}). Finished epochs are saved. "
            "Use smaller micro-batches, which give the same steps: the same command with "
            f"--batch_size 1 --gradient_accumulation_steps {config.window} --resume (or with "
            "--grad_checkpointing on --resume)."
        ) from None


def fit(record: Record, done: int) -> None:
    """Trains from epoch `done` + 1 to the end; whatever stops it, finished epochs are saved."""
    if done:
        say_changes(record.folder, record.numerics())

    def keep_epoch(epoch: int, results: list[EpochResult]) -> None:
        if epoch == done + 1:  # what could be compiled is known now
            record_numerics(record.folder, done, record.numerics())
        record.keep_epoch(epoch, results)

    try:
        with open_loop(record) as loop:
            loop.run(done + 1, record.keep_best, keep_epoch)
            if loop.loader.changed:
                paths = [loop.loader.paths[position] for position in sorted(loop.loader.changed)]
                _note_changed_files(record, paths)
    except (KeyboardInterrupt, Terminated):
        saved = record.folder.finished_epochs()
        log.warning(
            "Stopped; %d finished epochs are saved. Resume with: %s", saved, resume_command()
        )
        raise


def _note_changed_files(record: Record, paths: Sequence[Path]) -> None:
    """Repeats, at the end, which files were written since training began, and records them."""
    log.warning("%s", written_meanwhile(paths))
    content = record.folder.read_config() | {"changed_images": [str(path) for path in paths]}
    write_json(record.folder.config, content)


def resume_command() -> str:
    """The command of this process with --resume."""
    return shlex.join(["python", *sys.argv, *([] if "--resume" in sys.argv else ["--resume"])])
