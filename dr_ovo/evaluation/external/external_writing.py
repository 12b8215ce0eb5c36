"""Where an evaluation on another data set goes, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError, log
from dr_ovo.files import file_sha256, flush
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.locks.folders import EVALUATION, only_writer
from dr_ovo.predictions.predictions_file import Predictions, save_predictions
from dr_ovo.results.folder import EXTERNAL, ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, Seals
from dr_ovo.sealed_json import write_sealed
from dr_ovo.settings.train_config import TrainConfig


def external_folder(config: TrainConfig, ensemble: Ensemble) -> ResultsFolder:
    """Where the evaluation goes. Raises UserError where one of another data set is there."""
    root = ensemble.folder if config.ensemble else ensemble.evaluated.root
    name = Path(config.external).resolve().name
    folder = ResultsFolder(root / EXTERNAL / name)
    try:
        before = folder.read_evaluation(EXTERNAL).get("dataset")
    except UserError as error:
        log.warning("%s It is written again.", error)
        return folder
    if before is not None and before != str(Path(config.external).resolve()):
        raise UserError(
            f"{folder.root} has the evaluation on another data set of that name, {before}. Rename "
            "or remove it, or rename the folder of the data set."
        )
    return folder


def write_external(
    folder: ResultsFolder,
    predictions: Predictions,
    report: dict[str, Any],
    seals: Seals,
    known: Path,
) -> dict[str, Any]:
    """Writes predictions and evaluation, which says what it was made from: `seals` of the
    checkpoints, `known` is the file with the calibration. Returns the evaluation."""
    with only_writer(folder.root, EVALUATION, wait=True):
        save_predictions(folder.predictions(EXTERNAL), predictions)
        source = {
            key: {name: own[key] for name, own in seals.items() if key in own}
            for key in ("checkpoints", "directories", "descriptors")
        }
        report = {
            **report,
            MADE_FROM: {
                **source,
                **report[MADE_FROM],
                "calibration": file_sha256(known),
                "predictions": file_sha256(folder.predictions(EXTERNAL)),
            },
        }
        write_sealed(folder.evaluation(EXTERNAL), report)
        flush(folder.root)
    return report
