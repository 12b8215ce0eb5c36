"""compare_models.py, top level: metrics of each model, differences from the best on val."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import temper
from dr_ovo.document.document import Report
from dr_ovo.parallel import available_cores, in_threads
from dr_ovo.predictions.operating_points import GRADED_CLASSES, ungraded
from dr_ovo.predictions.same_answer import stopped_words
from dr_ovo.reports.comparison.figures import forest_figure, reliability_figure
from dr_ovo.reports.comparison.tables import sections
from dr_ovo.reports.paired_comparison import (
    by_val_kappa,
    compared_statistics,
    difference_statistics,
    in_words,
    judged,
    overall_verdict,
    p_values,
)
from dr_ovo.reports.plausibility import implausible
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.statistics.intervals import Estimate, patients_repeat, with_intervals
from dr_ovo.statistics.model_statistics import (
    balanced_accuracy_statistic,
    brier_statistic,
    calibration_error_statistic,
    condition_auc_statistic,
    recall_statistic,
    sensitivity_and_specificity,
)
from dr_ovo.statistics.weighted_statistics import Statistic

SCHEMA = 1


def compare(results: ResultSet) -> Report:
    """The report on the models' test results; the best on val is the reference for all others."""
    ranked = by_val_kappa(results.models)
    models = [model for model, _ in ranked]
    data = comparison_data(models, [kappa for _, kappa in ranked])
    figures = (
        forest_figure(data, results.marks),
        reliability_figure(models, data, results.marks),
    )
    title = f"Comparison of {len(models)} models on {data['n']} test images"
    title = title if len(models) > 1 else f"{models[0].name} on {data['n']} test images"
    return Report("comparison", title, data, sections(data, figures), tuple(results.marks))


def comparison_data(models: list[ModelResults], val_kappas: list[float | None]) -> dict[str, Any]:
    """The report's JSON; the first model is the reference."""
    reference, others = models[0], models[1:]
    patients = reference.test.patient_ids
    results = _figures(models)
    rows = [
        {**_facts(model), "val_kappa": kappa, **entry["row"]}
        for model, kappa, entry in zip(models, val_kappas, results, strict=True)
    ]
    judged_differences = judged(
        [entry["difference"] for entry in results[1:]], p_values(others, reference)
    )
    return {
        "schema": SCHEMA,
        "split": "test",
        "n": len(patients),
        "n_patients": len(np.unique(patients)),
        "intervals": "patient bootstrap" if patients_repeat(patients) else "image",
        "reference": {
            "name": reference.name,
            "chosen_by": "quadratic weighted kappa on val's selection share",
            "val_kappa": val_kappas[0],
        },
        "models": rows,
        "differences": [
            {
                "model": model.name,
                **entry,
                "verdict": overall_verdict(entry),
                "words": in_words(model.name, reference.name, entry),
            }
            for model, entry in zip(others, judged_differences, strict=True)
        ],
        "warnings": [
            f"{row['name']}: {warning}"
            for row in rows
            if (warning := implausible(row["accuracy"], row["quadratic_kappa"]))
        ]
        + [
            f"{model.name}: {stopped_words(model.facts.stopped)}"
            for model in models
            if model.facts.stopped
        ],
    }


def _figures(models: list[ModelResults]) -> list[dict[str, Any]]:
    """One dict per model: `row` with its metrics, `difference` from the first model."""
    processors = available_cores()
    groups = [range(start, len(models), processors) for start in range(processors)]

    def estimate_group(group: range) -> list[dict[str, Any]]:
        # A separate copy of the reference's statistics: their cache serves one thread only.
        reference = compared_statistics(models[0])
        trees: list[dict[str, Any]] = []
        for number in group:
            compared = compared_statistics(models[number]) if number else reference
            difference = difference_statistics(compared, reference) if number else {}
            trees.append({"row": _statistics(models[number], compared), "difference": difference})
        found: list[dict[str, Any]] = with_intervals(trees, models[0].test.patient_ids)
        return found

    found = in_threads(estimate_group, groups)
    return [found[number % processors][number // processors] for number in range(len(models))]


def _facts(model: ModelResults) -> dict[str, Any]:
    facts = model.facts
    return {
        "name": model.name,
        "folder": str(model.folder),
        "architecture": facts.architecture,
        "family": facts.family,
        "head": facts.head,
        "parameters": facts.parameters,
        "bytes": facts.bytes,
        "training_seconds": facts.training_seconds,
    }


def _statistics(model: ModelResults, compared: Mapping[str, Statistic]) -> dict[str, Any]:
    p = model.test
    tempered = temper(p.probabilities, model.calibration.temperature)
    return {
        **compared,
        "balanced_accuracy": balanced_accuracy_statistic(p),
        "class_1_recall": recall_statistic(p, 1),
        "referable": _referable(model),
        "calibration": {
            "temperature": model.calibration.temperature,
            "fitted_on": model.calibration.n,
            "val_divided": model.calibration.divided,
            "out_of_fold": model.out_of_fold,
            "raw": _calibration(p.targets, p.probabilities),
            "tempered": _calibration(p.targets, tempered),
        },
    }


def _calibration(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, Statistic]:
    return {
        "ece": calibration_error_statistic(targets, probabilities),
        "brier": brier_statistic(targets, probabilities),
    }


def _referable(model: ModelResults) -> dict[str, Any]:
    """Sensitivity and specificity by predicted grade, and at the threshold frozen on val."""
    p = model.test
    if p.num_classes != GRADED_CLASSES:
        unknown = _rates_unknown(ungraded(p.num_classes))
        return {"auc": unknown["sensitivity"], "argmax": unknown, "high_sensitivity": unknown}
    point = model.calibration.referable.high_sensitivity
    if point.threshold is None:
        frozen: dict[str, Any] = _rates_unknown(f"no threshold from val: {point.reason}")
    else:
        frozen = {"threshold": point.threshold, **_rates(model, point.threshold)}
    auc = condition_auc_statistic(p, "referable")
    return {"auc": auc, "argmax": _rates(model, None), "high_sensitivity": frozen}


def _rates(model: ModelResults, threshold: float | None) -> dict[str, Statistic]:
    rates = sensitivity_and_specificity(model.test, "referable", threshold)
    return dict(zip(("sensitivity", "specificity"), rates, strict=True))


def _rates_unknown(reason: str) -> dict[str, Any]:
    missing = Estimate(None, reason=reason).to_json()
    return {"sensitivity": missing, "specificity": missing}
