"""Content of evaluation.json: every metric of one model on one split, block by block."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import temper
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.conformal import COVERAGE, covered, cross_fitted_sets
from dr_ovo.predictions.metrics import confusion_matrix
from dr_ovo.predictions.operating_points import (
    CONDITIONS,
    GRADED_CLASSES,
    OperatingPoint,
    ungraded,
)
from dr_ovo.predictions.patient_level import patient_counts, per_patient
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.by_quality import by_quality
from dr_ovo.statistics.intervals import Estimate, patients_repeat, with_intervals
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    brier_statistic,
    calibration_error_statistic,
    class_auc_statistic,
    condition_auc_statistic,
    f1_statistic,
    kappa_statistic,
    macro_auc_statistic,
    pair_statistics,
    precision_statistic,
    recall_statistic,
    sensitivity_and_specificity,
    specificity_statistic,
)
from dr_ovo.statistics.weighted_statistics import Proportion, Statistic

SCHEMA = 1


def evaluation_report(
    predictions: Predictions, calibration: Calibration, split: str
) -> dict[str, Any]:
    """The content of evaluation.json, of plain Python values.

    Every metric is {"value", "low", "high"}, a fraction with its 95 % interval, or
    {"value": None, "reason"}. Grades are the decoder's; AUCs and operating points use the
    untempered probabilities, because the thresholds were fitted on those.
    """
    tree = evaluation_statistics(predictions, calibration, split)
    return dict(with_intervals(tree, predictions.patient_ids))


def patient_report(predictions: Predictions, calibration: Calibration) -> dict[str, Any]:
    """The `patient_level` block of evaluation.json: metrics of each patient's worse eye.

    The thresholds are those fitted per image: a patient is positive where one of the images is.
    {"value": None, "reason"} where no patient has two images.
    """
    counts = patient_counts(predictions.patient_ids)
    if "reason" in counts:
        return counts
    patients = per_patient(predictions)
    tree = {
        **counts,
        **overall_statistics(patients),
        "referable": condition_statistics(patients, calibration, "referable"),
        "vision_threatening": condition_statistics(patients, calibration, "vision_threatening"),
    }
    return dict(with_intervals(tree, patients.patient_ids))


def evaluation_statistics(
    predictions: Predictions, calibration: Calibration, split: str
) -> dict[str, Any]:
    """The tree of `evaluation_report` with statistics in place of metrics."""
    p = predictions
    repeat = patients_repeat(p.patient_ids)
    matrix = confusion_matrix(p.targets, p.predicted, p.num_classes)
    return {
        "schema": SCHEMA,
        "split": split,
        "head": p.head,
        "decoder": p.decoder,
        "n": len(p.targets),
        "n_patients": len(np.unique(p.patient_ids)),
        "intervals": "patient bootstrap" if repeat else "image",
        **overall_statistics(p),
        "per_class": [class_statistics(p, grade) for grade in range(p.num_classes)],
        "pairs": _pairs(p),
        "referable": condition_statistics(p, calibration, "referable"),
        "vision_threatening": condition_statistics(p, calibration, "vision_threatening"),
        "calibration": _calibration(p, calibration),
        "operating_points": {name: asdict(getattr(calibration, name)) for name in CONDITIONS},
        "conformal": _conformal(p, calibration, split),
        "by_quality": by_quality(p),
        "confusion": matrix.tolist(),
    }


def overall_statistics(p: Predictions) -> dict[str, Statistic]:
    """The metrics of all classes together."""
    return {
        "accuracy": accuracy_statistic(p),
        "balanced_accuracy": balanced_accuracy_statistic(p),
        "quadratic_kappa": kappa_statistic(p),
        "macro_auc": macro_auc_statistic(p),
    }


def class_statistics(p: Predictions, grade: int) -> dict[str, Any]:
    """The metrics of one class against the others."""
    return {
        "grade": grade,
        "n": int((p.targets == grade).sum()),
        "recall": recall_statistic(p, grade),
        "precision": precision_statistic(p, grade),
        "specificity": specificity_statistic(p, grade),
        "f1": f1_statistic(p, grade),
        "auc": class_auc_statistic(p, grade),
    }


def _pairs(p: Predictions) -> list[dict[str, Any]]:
    return [
        {"pair": list(pair), "n": int(accuracy.among.sum()), "accuracy": accuracy, "auc": auc}
        for pair, (accuracy, auc) in pair_statistics(p).items()
    ]


def condition_statistics(
    p: Predictions, calibration: Calibration, condition: str
) -> dict[str, Any]:
    """The block of a condition: AUC, and rates at the grades and at both operating points."""
    if p.num_classes != GRADED_CLASSES:
        return {"value": None, "reason": ungraded(p.num_classes)}
    points = getattr(calibration, condition)
    return {
        "auc": condition_auc_statistic(p, condition),
        "argmax": _rates(p, condition, None),
        "high_sensitivity": _operating_point(p, condition, points.high_sensitivity),
        "high_specificity": _operating_point(p, condition, points.high_specificity),
    }


def _operating_point(p: Predictions, condition: str, point: OperatingPoint) -> dict[str, Any]:
    if point.threshold is None:
        missing = Estimate(None, reason=f"no threshold from val: {point.reason}").to_json()
        return {"threshold": None, "sensitivity": missing, "specificity": missing}
    return {"threshold": point.threshold, **_rates(p, condition, point.threshold)}


def _rates(p: Predictions, condition: str, threshold: float | None) -> dict[str, Statistic]:
    sensitivity, specificity = sensitivity_and_specificity(p, condition, threshold)
    return {"sensitivity": sensitivity, "specificity": specificity}


def _calibration(p: Predictions, calibration: Calibration) -> dict[str, Any]:
    tempered = temper(p.probabilities, calibration.temperature)
    return {
        "raw": calibration_errors(p.targets, p.probabilities),
        "tempered": calibration_errors(p.targets, tempered),
        "temperature": calibration.temperature,
        "fitted_on": calibration.n,
        "val_divided": calibration.divided,
        "out_of_fold": calibration.out_of_fold,
    }


def _conformal(p: Predictions, calibration: Calibration, split: str) -> dict[str, Any]:
    """How often the conformal sets hold the grade, and how large they are. On other splits than
    test, sets are made anew: a fifth of the patients each by those of the others."""
    fitted = calibration.conformal
    if fitted is None:
        return Estimate(None, reason="calibrated by an earlier version").to_json()
    sets = fitted.sets(p.probabilities, COVERAGE) if split == "test" else cross_fitted_sets(p)
    inside = covered(sets, p.targets)
    sizes = sets[:, 1] - sets[:, 0] + 1
    every = np.ones(len(inside), dtype=bool)
    referable = p.targets >= CONDITIONS["referable"]
    five = p.num_classes == GRADED_CLASSES
    return {
        "coverage": COVERAGE,
        "covered": Proportion("no images", inside, every),
        "covered_referable": Proportion("no referable image", inside, referable & five),
        "covered_other": Proportion("no other image", inside, ~referable & five),
        "single_grades": Proportion("no images", sizes == 1, every),
        "mean_size": float(sizes.mean()),
        "spread": {
            name: {"n": count, "low": low, "high": high}
            for name, (count, low, high) in fitted.spread(COVERAGE).items()
        },
        "guaranteed": not fitted.chosen,
        "chosen": list(fitted.chosen),
    }


def calibration_errors(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, Statistic]:
    """The calibration error and the Brier score of probabilities (N, C) on classes (N,)."""
    return {
        "ece": calibration_error_statistic(targets, probabilities),
        "brier": brier_statistic(targets, probabilities),
    }
