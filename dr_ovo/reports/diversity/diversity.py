"""analyze_ensemble_diversity.py, top level: pairwise diversity and what each model adds.

Which model adds most is decided on val; its contribution is measured on test.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from dr_ovo.document.document import Report
from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.ensembles.diversity import (
    all_wrong_by_chance,
    mean_over,
    overlap_statistics,
    pair_diversity,
    set_diversity,
    without_each,
    wrong_counts,
)
from dr_ovo.predictions.metrics import accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.reports.diversity.figures import (
    contribution_figure,
    heat_map,
    overlap_figure,
)
from dr_ovo.reports.diversity.sections import MEASURES, sections
from dr_ovo.reports.ensemble.prior_correction import mixed_priors
from dr_ovo.reports.paired_comparison import selection_share
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.statistics.differences import difference
from dr_ovo.statistics.intervals import patients_repeat, with_intervals
from dr_ovo.statistics.model_statistics import accuracy_statistic, kappa_statistic
from dr_ovo.statistics.weighted_statistics import CachedStatistic, Statistic

SCHEMA = 1


def diversity(results: ResultSet) -> Report:
    """The report on two or more models: diversity on test, and each one's contribution."""
    data = diversity_data(results)
    figures = {
        "measures": [heat_map(data, measure, results.marks) for measure in MEASURES],
        "overlap": [overlap_figure(data, results.marks)],
        "contributions": [contribution_figure(data, results.marks)],
    }
    title = f"Diversity of {len(results.models)} models on {data['n']:,} test images"
    return Report("diversity", title, data, sections(data, figures), tuple(results.marks))


def diversity_data(results: ResultSet) -> dict[str, Any]:
    """The report's JSON."""
    tests = [model.member_test for model in results.models]
    patients = tests[0].patient_ids
    pairs = [_pair_statistics(one, other) for one, other in combinations(tests, 2)]
    # In one resampling: the means over pairs take the pairs' values, which are computed once.
    pair_measures, whole, overlap, contributions = with_intervals(
        [pairs, _set_statistics(tests, pairs), *_test_statistics(tests)], patients
    )
    return {
        "schema": SCHEMA,
        "split": "test",
        "n": len(patients),
        "n_patients": len(np.unique(patients)),
        "intervals": "patient bootstrap" if patients_repeat(patients) else "image",
        "models": [_facts(model) for model in results.models],
        "pairs": [
            {"models": list(names), **measures}
            for names, measures in zip(combinations(results.names, 2), pair_measures, strict=True)
        ],
        "set": whole,
        "grades": _grades(tests, overlap),
        "contributions": _ranked(results, contributions),
        "mixed_priors": mixed_priors(results.models),
    }


def _pair_statistics(one: Predictions, other: Predictions) -> dict[str, Statistic]:
    return {
        measure: CachedStatistic(statistic.undefined, statistic)
        for measure, statistic in pair_diversity(one, other).items()
    }


def _set_statistics(
    tests: Sequence[Predictions], pairs: Sequence[dict[str, Statistic]]
) -> dict[str, Statistic]:
    means = {
        f"mean_{measure}": mean_over([pair[measure] for pair in pairs], "undefined for a pair")
        for measure in MEASURES
    }
    return {**set_diversity(tests), **means}


def _test_statistics(tests: Sequence[Predictions]) -> tuple[list[Any], list[Any]]:
    """Error overlap of each grade; the whole ensemble minus the ensemble without each model."""
    overlap = [overlap_statistics(tests, grade) for grade in range(tests[0].num_classes)]
    whole = mean_predictions(tests)
    contributions = [
        {
            "accuracy": difference(accuracy_statistic, whole, smaller),
            "quadratic_kappa": difference(kappa_statistic, whole, smaller),
        }
        for smaller in without_each(tests)
    ]
    return overlap, contributions


def _facts(model: ModelResults) -> dict[str, Any]:
    facts = model.facts
    return {
        "name": model.name,
        "folder": str(model.folder),
        "architecture": facts.architecture,
        "family": facts.family,
        "paradigm": facts.paradigm,
        "head": facts.head,
        "parameters": facts.parameters,
        "accuracy": accuracy(model.test.targets, model.test.predicted),
    }


def _grades(tests: Sequence[Predictions], overlap: Sequence[dict[str, Any]]) -> list[Any]:
    return [
        {
            "grade": grade,
            "class_name": str(tests[0].class_names[grade]),
            "n": int((tests[0].targets == grade).sum()),
            **shares,
            "all_wrong_if_independent": all_wrong_by_chance(tests, grade),
            "images_by_models_wrong": wrong_counts(tests, grade),
        }
        for grade, shares in enumerate(overlap)
    ]


def _ranked(results: ResultSet, contributions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The contribution of each model, the largest on val first."""
    vals = [selection_share(model.member_val) for model in results.models]
    whole = _val_figures(mean_predictions(vals))
    rows = []
    for name, smaller, on_test in zip(
        results.names, without_each(vals), contributions, strict=True
    ):
        without_model = _val_figures(smaller)
        gains = {
            f"val_{key}": None
            if whole[key] is None or without_model[key] is None
            else whole[key] - without_model[key]
            for key in whole
        }
        rows.append({"model": name, **gains, **on_test})
    rows.sort(
        key=lambda row: (row["val_quadratic_kappa"] or 0.0, row["val_accuracy"]), reverse=True
    )
    return rows


def _val_figures(p: Predictions) -> dict[str, Any]:
    kappa = quadratic_kappa(p.targets, p.predicted, p.num_classes)
    return {
        "accuracy": accuracy(p.targets, p.predicted),
        "quadratic_kappa": None if np.isnan(kappa) else kappa,
    }
