"""The block `statistics_only` of evaluation.json: what image statistics alone score on test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.audit.grade_signal.statistics_model import StatisticsModel, read_statistics_model
from dr_ovo.audit.image_statistics import statistics_names
from dr_ovo.audit.measurement_cache import DESCRIPTORS, MEASUREMENTS, cache_folder
from dr_ovo.audit.measurements import STATISTICS, measure
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.dataset.index import Split
from dr_ovo.errors import ToolkitError, UserError
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.statistics.intervals import Estimate, with_intervals
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    kappa_statistic,
    macro_auc_statistic,
)

METRICS = {
    "accuracy": accuracy_statistic,
    "quadratic_kappa": kappa_statistic,
    "macro_auc": macro_auc_statistic,
}
OLDER = "its training was by an earlier version, which fitted no model of statistics"
NOT_FITTED = "the training's audit fitted no model of statistics"
TEST_ALONE = "measured on test alone"


def statistics_only(
    folder: ResultsFolder, root: Path, test: Split, class_names: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, kappa and macro AUC with intervals of the model that the training's audit fitted.

    A grader that sees colours, sharpness, noise and file format, and no lesion. `root` is the
    dataset of `test`, whose cache of measurements is used. Every metric is unknown, with the
    reason, where the folder has no such model.
    """
    audit = (folder.read_config().get("audit") or {}) if folder.config.is_file() else {}
    if "statistics_model" not in audit:
        return unknown(OLDER)
    if audit["statistics_model"] is None:
        reason = audit.get("no_statistics_model")
        return unknown(f"{NOT_FITTED}: {reason}" if reason else NOT_FITTED)
    try:  # whatever goes wrong here is no reason to lose an evaluation
        predictions = _predictions(
            read_statistics_model(audit["statistics_model"]), class_names, root, folder, test
        )
    except (ToolkitError, OSError) as error:
        return unknown(str(error))
    tree = {name: statistic(predictions) for name, statistic in METRICS.items()}
    return dict(with_intervals(tree, predictions.patient_ids))


def unknown(reason: str) -> dict[str, Any]:
    """The block where nothing was measured."""
    return {name: Estimate(None, reason=reason).to_json() for name in METRICS}


def common_block(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The block of an ensemble: that of its members where they have one and the same."""
    if all(block == blocks[0] for block in blocks):
        return blocks[0]
    return unknown("the members' trainings fitted different models of statistics")


def _predictions(
    model: StatisticsModel,
    class_names: Sequence[str],
    root: Path,
    folder: ResultsFolder,
    test: Split,
) -> Predictions:
    """The grades by statistics alone. Raises UserError where they can't be had."""
    if model.names != statistics_names() or set(model.classes) != set(class_names):
        raise UserError("the training's version measured other statistics or grades")
    cache = cache_folder(root, folder.root)
    contents = content_hashes(test.paths, cache / DESCRIPTORS if cache else None)
    vectors = measure(STATISTICS, contents, cache / MEASUREMENTS if cache else None)
    if len(vectors) < len(set(test.paths)):
        raise UserError("a picture in test could not be measured")
    columns = [model.classes.index(name) for name in class_names]
    statistics = np.stack([vectors[path] for path in test.paths])
    probabilities = model.probabilities(statistics)[:, columns]
    count = len(test)
    return Predictions(
        head="softmax",
        decoder="argmax",
        class_names=np.array(class_names),
        sample_ids=np.array(test.sample_ids),
        patient_ids=np.array(test.patient_ids),
        eyes=np.array(test.eyes),
        quality=np.full(count, np.nan),
        calibration=np.zeros(count, dtype=bool),
        targets=test.targets,
        predicted=probabilities.argmax(axis=1),
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=np.log(probabilities),
        probabilities=probabilities,
    )
