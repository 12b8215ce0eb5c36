"""analyze_per_class_strengths.py, top level: grades, pairs, confusions, shared mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dr_ovo.document.document import Report
from dr_ovo.pairs import Pair, class_pairs
from dr_ovo.predictions.metrics import confusion_matrix
from dr_ovo.reports.strengths.figures import confusion_figure, heat_figure
from dr_ovo.reports.strengths.leads import (
    Ranking,
    class_lead_statistics,
    class_rankings,
    judged_leads,
    lead_in_words,
    pair_lead_statistics,
    pair_rankings,
)
from dr_ovo.reports.strengths.mistake_maps import mistake_maps
from dr_ovo.reports.strengths.shared_mistakes import mistakes_data, shared_share_statistic
from dr_ovo.reports.strengths.statistics import class_strengths, pair_strengths
from dr_ovo.reports.strengths.tables import sections
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.statistics.intervals import each_with_intervals, patients_repeat

SCHEMA = 1


def analyze_strengths(results: ResultSet) -> Report:
    """The report on grades, pairs, confusions and the mistakes that all models share."""
    data = strengths_data(results)
    figures = (heat_figure(data, results.marks), confusion_figure(data, results.marks))
    several = len(results.names) > 1
    who = f"{len(results.names)} models" if several else results.names[0]
    title = f"Strengths of {who} by class, on {data['n']} test images"
    maps = mistake_maps(results.models, data["shared_mistakes"]["samples"])
    return Report("strengths", title, data, sections(data, figures, maps), tuple(results.marks))


def strengths_data(results: ResultSet) -> dict[str, Any]:
    """The report's JSON."""
    models, test = results.models, results.models[0].test
    by_class, by_pair = class_rankings(models), pair_rankings(models)
    trees: list[Any] = [
        {"classes": class_strengths(m.test), "pairs": pair_strengths(m.test)} for m in models
    ]
    leads = {
        "classes": [
            class_lead_statistics(ranking, grade) for grade, ranking in enumerate(by_class)
        ],
        "pairs": [pair_lead_statistics(ranking, pair) for pair, ranking in by_pair.items()],
        "shared": shared_share_statistic(models),
    }
    *found, lead = each_with_intervals([*trees, leads], test.patient_ids)
    strengths = dict(zip(results.names, found, strict=True))
    judged = judged_leads(by_class, lead["classes"])
    return {
        "schema": SCHEMA,
        "split": "test",
        "n": len(test.targets),
        "n_patients": len(np.unique(test.patient_ids)),
        "intervals": "patient bootstrap" if patients_repeat(test.patient_ids) else "image",
        "models": results.names,
        "classes": [
            _class(results, strengths, grade, ranking, judged[grade])
            for grade, ranking in enumerate(by_class)
        ],
        "pairs": [
            _pair(results, strengths, column, pair, by_pair[pair], lead["pairs"][column])
            for column, pair in enumerate(class_pairs(test.num_classes))
        ],
        "confusion": {
            m.name: confusion_matrix(m.test.targets, m.test.predicted, test.num_classes).tolist()
            for m in models
        },
        "shared_mistakes": mistakes_data(models, lead["shared"]),
    }


def _class(
    results: ResultSet, strengths: dict[str, Any], grade: int, ranking: Ranking, lead: Any
) -> dict[str, Any]:
    test = results.models[0].test
    return {
        "grade": grade,
        "name": str(test.class_names[grade]),
        "n": int((test.targets == grade).sum()),
        "models": {name: metrics["classes"][grade] for name, metrics in strengths.items()},
        **_chosen(ranking, "val_f1"),
        "lead": lead,
        "words": lead_in_words(grade, ranking, lead),
    }


def _pair(
    results: ResultSet,
    strengths: dict[str, Any],
    column: int,
    pair: Pair,
    ranking: Ranking,
    lead: Any,
) -> dict[str, Any]:
    return {
        "pair": list(pair),
        "n": int(np.isin(results.models[0].test.targets, pair).sum()),
        "models": {name: metrics["pairs"][column] for name, metrics in strengths.items()},
        **_chosen(ranking, "val_auc"),
        "lead": lead,
    }


def _chosen(ranking: Ranking, score: str) -> dict[str, Any]:
    """The best on val and the runner-up; None where there is none."""
    return {
        "best": ranking[0][0].name if ranking else None,
        "runner_up": ranking[1][0].name if len(ranking) > 1 else None,
        score: {model.name: value for model, value in ranking},
    }
