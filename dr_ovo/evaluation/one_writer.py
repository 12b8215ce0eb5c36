"""One process at a time evaluates a folder; what a finished training left in it goes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from dr_ovo.errors import MachineError
from dr_ovo.locks.folders import EVALUATION, TRAINING, joint_writers, only_writer
from dr_ovo.locks.lock_file import InUse
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.resume.state import clean, has_states
from dr_ovo.training.setup import mean_folder, resolve_models, results_folder, trained_folders


@contextmanager
def only_evaluator(config: TrainConfig) -> Iterator[None]:
    """Within the context no other process evaluates the networks that the settings name, or their
    mean; one that trains them may run. Raises InUse where another one evaluates them."""
    trained = list(trained_folders(config).values())
    with ExitStack() as held:
        for folder in trained:
            held.enter_context(only_writer(folder.root, EVALUATION, make=False))
        if len(trained) > 1:
            held.enter_context(only_writer(mean_folder(config).root, EVALUATION))
        for folder in trained:
            for each in (folder, *map(ResultsFolder, folder.root.glob("fold_*"))):
                _remove_left_states(each)
        yield


@contextmanager
def only_assembler(config: TrainConfig) -> Iterator[None]:
    """Within the context no other process puts the members of `--folds` together, or evaluates
    them: it waits for one that does."""
    folders = [results_folder(own).root for own in resolve_models(config)]
    with ExitStack() as held:
        held.enter_context(joint_writers(folders))
        for folder in folders:
            held.enter_context(only_writer(folder, EVALUATION, wait=True))
        yield


def _remove_left_states(folder: ResultsFolder) -> None:
    """Removes the states of a finished training: it was killed at its end, or the folder is a copy.

    Leaves them where another process trains, or the folder can't be written.
    """
    if not (has_states(folder) and folder.is_finished()):
        return
    with suppress(InUse, OSError, MachineError), only_writer(folder.root, TRAINING, make=False):
        if folder.is_finished():
            clean(folder)
