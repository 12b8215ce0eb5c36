"""Results on an independent hold-out: a results folder, or one of `--mode evaluate --external`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256
from dr_ovo.predictions.predictions_file import load_predictions, marks_of
from dr_ovo.results.folder import EXTERNAL, ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, check_digests
from dr_ovo.results.model_results import ModelResults, read_results


def is_of_parent(folder: Path) -> bool:
    """Whether a folder is the `external/<data set>` of a results folder, whose network, val and
    calibration are those of its results."""
    return ResultsFolder(folder).predictions(EXTERNAL).is_file()


def read_external(folder: Path, name: str) -> ModelResults:
    """The results of a model on a hold-out, as its test: of a results folder; or of its folder
    `external/<data set>`, with the val and the calibration of the results folder itself.

    Raises UserError where something is missing, damaged or of another evaluation, and for a data
    set whose classes are not the model's grades, on which no criterion can be judged.
    """
    there = ResultsFolder(folder)
    if not is_of_parent(folder):
        return read_results(folder, name)
    own = read_results(folder.resolve().parents[1], name)
    check_digests(there, [EXTERNAL])
    report, test = there.read_evaluation(EXTERNAL), load_predictions(there.predictions(EXTERNAL))
    known = ResultsFolder(own.folder).calibration
    if report.get(MADE_FROM, {}).get("calibration") != file_sha256(known):
        raise UserError(
            f"{folder} was evaluated with another calibration than the one in {own.folder} now. "
            "Evaluate it again: --mode evaluate --external DIR"
        )
    if test.num_classes != own.test.num_classes:
        raise UserError(
            f"{folder} has the classes {', '.join(map(str, test.class_names))}, and the criteria "
            f"are for the grades {', '.join(map(str, own.test.class_names))}: they can't be judged "
            "where grades are merged."
        )
    facts = replace(own.facts, marks=tuple(marks_of([report], [own.val, test])))
    return replace(own, folder=folder, test=test, facts=facts)
