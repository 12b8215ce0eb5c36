"""Every metric of a model on another data set, in the classes of that set. What merging the grades
hides has no value, and the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from dr_ovo.decoding.tempering import log_probabilities, temper
from dr_ovo.evaluation.external.metrics.class_map import Merged
from dr_ovo.evaluation.external.metrics.metric_blocks import in_words
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.calibration_file import TEMPERATURES, Calibration
from dr_ovo.predictions.conformal import COVERAGE, covered
from dr_ovo.predictions.metrics import confusion_matrix
from dr_ovo.predictions.operating_points import CONDITIONS, GRADED_CLASSES
from dr_ovo.predictions.patient_level import patient_counts, per_patient
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.results.evaluation_file import (
    calibration_errors,
    class_statistics,
    condition_statistics,
    overall_statistics,
)
from dr_ovo.statistics.by_quality import by_quality
from dr_ovo.statistics.intervals import Estimate, patients_repeat, with_intervals
from dr_ovo.statistics.model_statistics import pair_statistics, recall_statistic
from dr_ovo.statistics.weighted_statistics import Proportion

TWO_CLASSES = "between two classes there are no distances to weight"
TRIED = 41  # temperatures, before the best is searched between its neighbours


def external_metrics(
    found: Merged, calibration: Calibration, *, patient_level: bool
) -> dict[str, Any]:
    """The metrics with their intervals, by the frozen `calibration` of the model's own val.

    `patient_level`: also of each patient's worse eye. As in evaluation.json, a metric is {"value",
    "low", "high"} or {"value": None, "reason"}.
    """
    p = found.of_classes
    matrix = confusion_matrix(p.targets, p.predicted, p.num_classes)
    tree = {
        "n": len(p.targets),
        "n_patients": len(np.unique(p.patient_ids)),
        "intervals": "patient bootstrap" if patients_repeat(p.patient_ids) else "image",
        **_overall(p),
        "per_class": _per_class(found),
        "per_grade": _per_grade(found),
        "pairs": _pairs(found),
        **_conditions(found, found.of_grades, calibration),
        "calibration": _calibration(found, calibration),
        "conformal": _conformal(found, calibration),
        "by_quality": _by_quality(p),
        "confusion": matrix.tolist(),
    }
    report = dict(with_intervals(tree, p.patient_ids))
    if patient_level:
        report["patient_level"] = _patient_level(found, calibration)
    return report | in_words(report, found.classes)


def rest_metrics(found: Merged, calibration: Calibration) -> dict[str, Any]:
    """The metrics of all classes together, and of the conditions, as of some photographs alone."""
    p = found.of_classes
    conditions = _conditions(found, found.of_grades, calibration)
    tree = {"n": len(p.targets), **_overall(p), **conditions}
    report = dict(with_intervals(tree, p.patient_ids))
    return report | in_words(report, found.classes)


def best_temperature(found: Merged) -> float:
    """The temperature, 0.05 to 20, that minimises the log loss of the classes: the grades'
    probabilities are tempered, then merged."""
    p, targets = found.of_grades, found.of_classes.targets
    rows = np.arange(len(targets))

    def log_loss(log_temperature: float) -> float:
        summed = found.classes.summed(temper(p.probabilities, float(np.exp(log_temperature))))
        return -float(log_probabilities(summed)[rows, targets].mean())

    # Of merged classes it need not be convex: the best of a grid, then between its neighbours.
    lowest, highest = np.log(TEMPERATURES)
    grid = np.linspace(lowest, highest, TRIED)
    best = int(np.argmin([log_loss(one) for one in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, TRIED - 1)]
    return float(np.exp(minimize_scalar(log_loss, bounds=bounds, method="bounded").x))


def _missing(reason: str) -> dict[str, Any]:
    return Estimate(None, reason=reason).to_json()


def _overall(p: Predictions) -> dict[str, Any]:
    tree: dict[str, Any] = dict(overall_statistics(p))
    return tree if p.num_classes > 2 else {**tree, "quadratic_kappa": _missing(TWO_CLASSES)}


def _per_class(found: Merged) -> list[dict[str, Any]]:
    rows = []
    for number, name in enumerate(found.classes.names):
        row = class_statistics(found.of_classes, number)
        del row["grade"]  # which is a number of classes here
        rows.append({"class": name, **row})
    return rows


def _per_grade(found: Merged) -> list[dict[str, Any]]:
    """The recall of each of the model's grades that is a class by itself."""
    p, rows = found.of_grades, []
    for grade, name in enumerate(found.classes.grades):
        reason = found.classes.hidden(grade)
        recall = _missing(reason) if reason else recall_statistic(p, grade)
        rows.append({"grade": name, "recall": recall})
    return rows


def _pairs(found: Merged) -> list[dict[str, Any]]:
    """Accuracy and AUC of the model's pairs, of grades that are classes by themselves."""
    statistics, rows = pair_statistics(found.of_grades), []
    for pair in class_pairs(len(found.classes.grades)):
        reasons = dict.fromkeys(filter(None, map(found.classes.hidden, pair)))
        row: dict[str, Any] = {"pair": list(pair)}
        if reasons:
            reason = "; ".join(reasons)
            rows.append({**row, "n": None, "accuracy": _missing(reason), "auc": _missing(reason)})
            continue
        accuracy, auc = statistics[pair]
        rows.append({**row, "n": int(accuracy.among.sum()), "accuracy": accuracy, "auc": auc})
    return rows


def _conditions(found: Merged, p: Predictions, calibration: Calibration) -> dict[str, Any]:
    """The blocks of both conditions, of the predictions `p` in grades."""
    blocks = {}
    for name in CONDITIONS:
        reason = _hidden_condition(found, name)
        blocks[name] = _missing(reason) if reason else condition_statistics(p, calibration, name)
    return blocks


def _hidden_condition(found: Merged, condition: str) -> str:
    """Why merging hides who has a condition; "" where it does not."""
    if len(found.classes.grades) != GRADED_CLASSES:
        return ""  # the statistics of the condition say why they are unknown
    return found.classes.hidden_boundary(CONDITIONS[condition])


def _calibration(found: Merged, calibration: Calibration) -> dict[str, Any]:
    targets, probabilities = found.of_classes.targets, found.of_grades.probabilities
    tempered = temper(probabilities, calibration.temperature)
    return {
        "raw": calibration_errors(targets, found.classes.summed(probabilities)),
        "tempered": calibration_errors(targets, found.classes.summed(tempered)),
        "temperature": calibration.temperature,
        "fitted_on": calibration.n,
        "val_divided": calibration.divided,
        "out_of_fold": calibration.out_of_fold,
        "best_temperature": best_temperature(found),
    }


def _conformal(found: Merged, calibration: Calibration) -> dict[str, Any]:
    """How often the sets of grades from val hold the class, as sets of classes."""
    fitted, p = calibration.conformal, found.of_classes
    if fitted is None:
        return _missing("calibrated by an earlier version")
    sets = np.array(found.classes.class_of)[fitted.sets(found.of_grades.probabilities, COVERAGE)]
    inside, sizes = covered(sets, p.targets), sets[:, 1] - sets[:, 0] + 1
    every = np.ones(len(inside), dtype=bool)
    graded = len(found.classes.grades) == GRADED_CLASSES
    referable = (found.of_grades.targets >= CONDITIONS["referable"]) & graded
    other = ~referable & graded
    hidden = _hidden_condition(found, "referable")
    return {
        "coverage": COVERAGE,
        "covered": Proportion("no images", inside, every),
        "covered_referable": _missing(hidden)
        if hidden
        else Proportion("no referable image", inside, referable),
        "covered_other": _missing(hidden)
        if hidden
        else Proportion("no other image", inside, other),
        "single_classes": Proportion("no images", sizes == 1, every),
        "mean_size": float(sizes.mean()),
    }


def _by_quality(p: Predictions) -> dict[str, Any]:
    block = by_quality(p)
    for third in block.get("thirds", []) if p.num_classes == 2 else []:
        third["quadratic_kappa"] = _missing(TWO_CLASSES)
    return block


def _patient_level(found: Merged, calibration: Calibration) -> dict[str, Any]:
    counts = patient_counts(found.of_classes.patient_ids)
    if "reason" in counts:
        return counts
    patients = per_patient(found.of_classes)
    conditions = _conditions(found, per_patient(found.of_grades), calibration)
    tree = {**counts, **_overall(patients), **conditions}
    return dict(with_intervals(tree, patients.patient_ids))
