"""Running the training loop; what full GPU memory, Ctrl-C or SIGTERM leave behind and report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.errors import MachineError, Terminated, log
from dr_ovo.files import write_json
from dr_ovo.training.data.loading import image_loader
from dr_ovo.training.data.training_data import training_data
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.writing.record import Record


def fit(record: Record, done: int) -> None:
    """Trains from epoch `done` + 1 to the end; whatever stops it, finished epochs are saved."""
    config, data = record.config, training_data(record.config, record.index)
    paths = (*data.train.paths, *data.val.paths)
    try:
        with image_loader(
            config, record.index, record.folder, paths, record.model.preprocessing
        ) as loader:
            loop = TrainingLoop(record.model, data, loader, record.precision, config)
            loop.run(done + 1, record.keep_best, record.keep_epoch)
            if loader.changed:
                _note_changes(record, [paths[position] for position in sorted(loader.changed)])
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"The GPU's memory is full ({str(error).splitlines()[0]}). The last finished epoch is "
            "saved. Continue with smaller micro-batches, which give the same steps: the same "
            "command with --batch_size 1 --gradient_accumulation_steps "
            f"{config.window} --resume (or with "
            "--grad_checkpointing on --resume)."
        ) from None
    except (KeyboardInterrupt, Terminated):
        _log_stop(record)
        raise
    except (RuntimeError, MachineError) as error:
        if not _follows_termination(error):
            raise
        _log_stop(record)
        raise Terminated from None


def _note_changes(record: Record, paths: Sequence[Path]) -> None:
    """Repeats, at the end, which files were written since training began, and records them."""
    log.warning("%s", written_meanwhile(paths))
    content = record.folder.read_config() | {"changed_images": [str(path) for path in paths]}
    write_json(record.folder.config, content)


def _log_stop(record: Record) -> None:
    saved = record.folder.finished_epochs()
    log.warning("Stopped; %d finished epochs are saved. Resume with: %s", saved, resume_command())


def _follows_termination(error: BaseException) -> bool:
    """Whether `error` came while Terminated was propagating: SIGTERM sent to the whole process
    group also ends the workers, and torch raises an error for that."""
    context: BaseException | None = error
    while context is not None and not isinstance(context, Terminated):
        context = context.__context__
    return context is not None


def resume_command() -> str:
    """The command of this process with --resume."""
    return shlex.join(["python", *sys.argv, *([] if "--resume" in sys.argv else ["--resume"])])
