"""evaluation.json: everything said about one model on one split."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dr_ovo.evaluation.calibration import Calibration, temper
from dr_ovo.evaluation.intervals import Estimate, patients_repeat, with_intervals
from dr_ovo.evaluation.metrics import (
    brier_scores,
    calibration_gaps,
    confusion_matrix,
    f1_of,
    kappa_of,
    weighted_confusions,
)
from dr_ovo.evaluation.operating_points import (
    CONDITIONS,
    GRADED_CLASSES,
    OperatingPoint,
    summed_probability,
    ungraded,
)
from dr_ovo.evaluation.predictions import Predictions, pair_logits
from dr_ovo.evaluation.statistics import Auc, Proportion, Resampled, Statistic, mean_of
from dr_ovo.pairs import Pair, class_pairs

SCHEMA = 1


def evaluation_report(
    predictions: Predictions, calibration: Calibration, split: str
) -> dict[str, Any]:
    """The content of evaluation.json, of plain Python values.

    Every metric is {"value", "low", "high"}, a fraction with its 95 % interval, or
    {"value": None, "reason"}. Grades are the decoder's; AUCs and operating points use the
    probabilities as they are, not tempered, as the thresholds were fitted on such.
    """
    p = predictions
    repeat = patients_repeat(p.patient_ids)
    matrix = confusion_matrix(p.targets, p.predicted, p.num_classes)
    tree = {
        "schema": SCHEMA,
        "split": split,
        "head": p.head,
        "decoder": p.decoder,
        "n": len(p.targets),
        "n_patients": len(np.unique(p.patient_ids)),
        "intervals": "patient bootstrap" if repeat else "image",
        **_overall(p),
        "per_class": [_one_class(p, grade) for grade in range(p.num_classes)],
        "pairs": _pairs(p),
        "referable": _condition(p, calibration, "referable"),
        "vision_threatening": _condition(p, calibration, "vision_threatening"),
        "calibration": _calibration(p, calibration),
        "confusion": matrix.tolist(),
    }
    return with_intervals(tree, p.patient_ids)


def _overall(p: Predictions) -> dict[str, Statistic]:
    everyone = np.ones(len(p.targets), dtype=bool)
    counts = np.bincount(p.targets, minlength=p.num_classes)
    absent = f"no image of grade {', '.join(str(grade) for grade in np.flatnonzero(counts == 0))}"
    classes = range(p.num_classes)
    return {
        "accuracy": Proportion("no images", p.predicted == p.targets, everyone),
        "balanced_accuracy": mean_of([_recall(p, grade) for grade in classes], absent),
        "quadratic_kappa": Resampled(
            "all images are of one grade and were called so",
            lambda weights: kappa_of(_confusions(p, weights)),
        ),
        "macro_auc": mean_of([_class_auc(p, grade) for grade in classes], absent),
    }


def _confusions(p: Predictions, weights: np.ndarray) -> np.ndarray:
    return weighted_confusions(p.targets, p.predicted, p.num_classes, weights)


def _recall(p: Predictions, grade: int) -> Proportion:
    return Proportion(f"no image of grade {grade}", p.predicted == grade, p.targets == grade)


def _class_auc(p: Predictions, grade: int) -> Auc:
    own = p.targets == grade
    absent = f"no image of grade {grade}" if not own.any() else f"all images are of grade {grade}"
    return Auc(absent, own, ~own, p.probabilities[:, grade])


def _one_class(p: Predictions, grade: int) -> dict[str, Any]:
    own, called = p.targets == grade, p.predicted == grade
    absent = f"no image of grade {grade}"
    return {
        "grade": grade,
        "n": int(own.sum()),
        "recall": _recall(p, grade),
        "precision": Proportion(f"no image was called grade {grade}", own, called),
        "specificity": Proportion(f"all images are of grade {grade}", ~called, ~own),
        "f1": Resampled(absent, lambda weights: f1_of(_confusions(p, weights), grade)),
        "auc": _class_auc(p, grade),
    }


def _pairs(p: Predictions) -> list[dict[str, Any]]:
    pairs = class_pairs(p.num_classes)
    columns = pair_logits(p).T
    return [_one_pair(p.targets, column, pair) for column, pair in zip(columns, pairs, strict=True)]


def _one_pair(targets: np.ndarray, logits: np.ndarray, pair: Pair) -> dict[str, Any]:
    lower, higher = (targets == grade for grade in pair)
    own, right = lower | higher, (logits > 0) == higher
    missing = " and ".join(str(grade) for grade in pair if grade not in targets)
    absent = f"no image of grade {missing}"
    return {
        "pair": list(pair),
        "n": int(own.sum()),
        "accuracy": Proportion(absent, right, own),
        "auc": Auc(absent, higher, lower, logits),
    }


def _condition(p: Predictions, calibration: Calibration, condition: str) -> dict[str, Any]:
    if p.num_classes != GRADED_CLASSES:
        return {"value": None, "reason": ungraded(p.num_classes)}
    first = CONDITIONS[condition]
    positive, scores = p.targets >= first, summed_probability(p.probabilities, condition)
    points = getattr(calibration, condition)
    called_at = partial(_operating_point, scores, positive, condition)
    return {
        "auc": Auc(_one_sided(positive, condition), positive, ~positive, scores),
        "argmax": _rates(positive, p.predicted >= first, condition),
        "high_sensitivity": called_at(points.high_sensitivity),
        "high_specificity": called_at(points.high_specificity),
    }


def _operating_point(
    scores: np.ndarray, positive: np.ndarray, condition: str, point: OperatingPoint
) -> dict[str, Any]:
    if point.threshold is None:
        missing = Estimate(None, reason=f"no threshold from val: {point.reason}").to_json()
        return {"threshold": None, "sensitivity": missing, "specificity": missing}
    return {"threshold": point.threshold, **_rates(positive, scores >= point.threshold, condition)}


def _rates(positive: np.ndarray, called: np.ndarray, condition: str) -> dict[str, Statistic]:
    absent = _one_sided(positive, condition)
    return {
        "sensitivity": Proportion(absent, called, positive),
        "specificity": Proportion(absent, ~called, ~positive),
    }


def _one_sided(positive: np.ndarray, condition: str) -> str:
    which = "all images are" if positive.all() else "no image is"
    return f"{which} {condition.replace('_', '-')}"


def _calibration(p: Predictions, calibration: Calibration) -> dict[str, Any]:
    tempered = temper(p.probabilities, calibration.temperature)
    return {
        "raw": _calibration_errors(p.targets, p.probabilities),
        "tempered": _calibration_errors(p.targets, tempered),
        "temperature": calibration.temperature,
        "fitted_on": calibration.n,
        "val_divided": calibration.divided,
    }


def _calibration_errors(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, Statistic]:
    gaps, scores = calibration_gaps(targets, probabilities), brier_scores(targets, probabilities)
    return {
        "ece": Resampled("no images", lambda w: np.abs(gaps @ w).sum(axis=0) / w.sum(axis=0)),
        "brier": Resampled("no images", lambda w: scores @ w / w.sum(axis=0)),
    }
