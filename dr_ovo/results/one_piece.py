"""Whether results folders are each of one piece: the files of a training, and of its evaluations,
as they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dr_ovo.decoding.heads import HEADS
from dr_ovo.errors import UserError, log
from dr_ovo.results.folder import GRADE_FROM, ResultsFolder
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
    evaluated = not splits or check_evaluation_files(folder, splits)
    return evaluated and trained


def decoded_alike(val: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
    """Whether the evaluations of a model on val and on test are of grades and probabilities that
    were made in one way, as far as both say."""
    head = HEADS.get(val.get("head", ""))
    keys = ["decoder", GRADE_FROM]
    if head is None or not head.is_number:  # of which earlier versions said what need not be so
        keys.append("prior_corrected")
    return all(key not in val or key not in test or val[key] == test[key] for key in keys)


def require_one_decoding(folder: ResultsFolder) -> None:
    """Raises UserError where what is chosen on val and what is reported on test differ in how they
    were made."""
    val, test = (folder.read_evaluation(split) for split in ("val", "test"))
    if not decoded_alike(val, test):
        raise UserError(
            f"{folder.evaluation('val')} is of {_decoding(val)}, and {folder.evaluation('test')} "
            f"of {_decoding(test)}: what is chosen on val would be judged by other grades. "
            "Evaluate both splits in one way: --mode evaluate"
        )


def _decoding(report: Mapping[str, Any]) -> str:
    decoder = report.get(GRADE_FROM, report.get("decoder"))
    corrected = str(report.get("prior_corrected", False)).lower()
    return f"the decoder {decoder} with --prior_correction {corrected}"


def say_unverified(folders: Sequence[ResultsFolder]) -> None:
    """Says once which folders could not be verified."""
    if folders:
        log.warning(
            "%s: of an earlier version, so it can't be checked that the files there belong "
            "together.",
            ", ".join(str(folder.root) for folder in folders),
        )
