"""Running the training loop; what full memory, Ctrl-C, SIGTERM or SIGHUP leave and report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.distributed.ranks import ALONE, StoppedByAnother
from dr_ovo.errors import MachineError, Terminated, log
from dr_ovo.files import write_json
from dr_ovo.full_memory import SMALLER, first_line
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.option import FALSE_WORDS, TRUE_WORDS
from dr_ovo.signals import deferred
from dr_ovo.training.data.feature_views import frozen_features
from dr_ovo.training.data.loading import image_loader
from dr_ovo.training.data.training_data import training_data
from dr_ovo.training.epochs.interruption import Interrupted
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.resume.numerics import say_changes
from dr_ovo.training.resume.state import kept_state
from dr_ovo.training.writing.run import Run
from dr_ovo.training.writing.run_writer import RunWriter
from dr_ovo.training.writing.train_features import write_train_features

# Flags that `resume_command` sets itself, or that must not be repeated.
LEFT_OUT = {f"__{no}{name}" for name in ("resume", "recover") for no in ("", "no_")}


@contextmanager
def open_loop(run: Run, asked: Callable[[], bool] = bool) -> Iterator[TrainingLoop]:
    """The training loop of a run, with its loader, until it is `asked` to stop: then the block just
    ends. Raises MachineError if the GPU's memory is full whatever is tried, and for a photograph
    that became unreadable."""
    config = run.config
    data = training_data(config, run.index)
    paths = (*data.train.paths, *data.val.paths)
    try:
        with image_loader(config, run.index, paths, run.model.preprocessing) as loader:
            device = run.precision.device
            features = frozen_features(config, run.index, run.model, data, device)
            yield TrainingLoop(run.model, data, loader, run.precision, config, asked, features)
    except Interrupted as interrupted:
        if interrupted.cause is not None:
            raise interrupted.cause from None
        if not (asked() or run.model.ranks.is_alone):  # but another rank was
            raise StoppedByAnother from None
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"The GPU's memory is full ({first_line(error)}), beside the micro-batches. What is "
            f"saved can be resumed on a GPU with more memory. {SMALLER}"
        ) from None


def require_room_for_features(run: Run) -> None:
    """Raises UserError where the features of --feature_views are to be kept, as --cache on says,
    and have no room; writes nothing."""
    data = training_data(run.config, run.index)
    features = frozen_features(run.config, run.index, run.model, data, run.precision.device)
    if features is not None:
        features.said(features.count_missing())


def fit(writer: RunWriter) -> None:
    """Trains from where the loaded state is to the end; whatever stops it, the state is kept."""
    run, reached = writer.run, writer.reached
    if reached.has_begun:
        say_changes(run.folder, run.numerics())
    try:
        with deferred(run.config.grace_seconds) as asked:
            with open_loop(run, asked) as loop:
                loop.run(reached.epochs + 1, writer, reached.seconds)
                if run.model.ranks.is_first:
                    write_train_features(run, loop)
            ranks = ALONE if asked() else run.model.ranks  # others may have ended already
            changed = set().union(*ranks.gather(loop.loader.changed))
            if changed and run.model.ranks.is_first:
                _note_changed_files(run, [loop.loader.paths[i] for i in sorted(changed)])
    except (KeyboardInterrupt, Terminated):
        if run.model.ranks.is_first:
            log.warning("%s", _stopped(run.folder, run.model.ranks.count))
        raise


def _stopped(folder: ResultsFolder, ranks: int) -> str:
    """What is kept of a training that was stopped, and how to go on."""
    reached = kept_state(folder)
    also = f" and a part of epoch {reached.epochs + 1}" if reached.images else ""
    launcher = " (any number of processes can go on)" if ranks > 1 else ""
    return (
        f"Stopped; {reached.epochs} finished epochs{also} are saved{launcher}. "
        f"Resume with: {resume_command()}"
    )


def _note_changed_files(run: Run, paths: Sequence[Path]) -> None:
    """Repeats, at the end, which files were written since training began, and records them."""
    log.warning("%s", written_meanwhile(paths))
    content = run.folder.read_config() | {"changed_images": [str(path) for path in paths]}
    write_json(run.folder.config, content)


def resume_command() -> str:
    """The command of this process with --resume, without --recover."""
    words: list[str] = []
    after_flag = False  # whether the word before is a flag that is left out, without its value
    for word in sys.argv:
        is_flag = word.partition("=")[0].replace("-", "_") in LEFT_OUT
        is_value = after_flag and word.lower() in TRUE_WORDS | FALSE_WORDS
        after_flag = is_flag and "=" not in word
        if not is_flag and not is_value:
            words.append(word)
    return shlex.join(["python", *words, "--resume"])
