"""Whether results folders are each of one piece: the files of a training, and of its evaluations,
as they were written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dr_ovo.errors import log
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import check_evaluation_files
from dr_ovo.results.training_files import check_training_files


def check_one_piece(folders: Iterable[ResultsFolder], splits: Sequence[str] = ()) -> None:
    """Raises UserError for files of a training, or of its evaluations on `splits`, that do not
    belong together; says where an earlier version left that open."""
    say_unverified([folder for folder in folders if not is_verified(folder, splits)])


def is_verified(folder: ResultsFolder, splits: Sequence[str] = ()) -> bool:
    """Whether the files of a folder say what belongs together; earlier versions left that open.
    Raises UserError for a mixture."""
    trained = check_training_files(folder)
    return (not splits or check_evaluation_files(folder, splits)) and trained


def say_unverified(folders: Sequence[ResultsFolder]) -> None:
    """Says once which folders could not be verified."""
    if folders:
        log.warning(
            "%s: of an earlier version, so it can't be checked that the files there belong "
            "together.",
            ", ".join(str(folder.root) for folder in folders),
        )
