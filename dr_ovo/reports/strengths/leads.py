"""The best model per grade or pair, chosen on val, and whether its lead holds on test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dr_ovo.pairs import Pair, class_pairs
from dr_ovo.parallel import in_threads
from dr_ovo.predictions.auc import binary_auc
from dr_ovo.predictions.predictions_file import Predictions, pair_logits, take
from dr_ovo.reports.paired_comparison import BETTER, NONE_SHOWN, selection_share, with_verdict
from dr_ovo.reports.strengths.statistics import f1_of_class
from dr_ovo.results.model_results import ModelResults
from dr_ovo.statistics.differences import (
    accuracy_p_value,
    difference,
    holm,
    permutation_test,
)
from dr_ovo.statistics.model_statistics import pair_statistics, recall_statistic
from dr_ovo.statistics.weighted_statistics import Statistic

Ranking = list[tuple[ModelResults, float]]


def class_rankings(models: Sequence[ModelResults]) -> list[Ranking]:
    """For each grade the models by their F1 on val's selection share, the best first.

    F1, because recall is easy for a model that predicts one grade for everything. A grade without
    images there has an empty ranking.
    """
    shares = {model.name: selection_share(model.val) for model in models}
    grades = range(models[0].val.num_classes)
    return [_ranked(models, lambda m, g=grade: _f1(shares[m.name], g)) for grade in grades]  # type: ignore[misc]


def pair_rankings(models: Sequence[ModelResults]) -> dict[Pair, Ranking]:
    """For each pair the models by the AUC of its logit on val's selection share."""
    shares = {model.name: selection_share(model.val) for model in models}
    logits = {name: pair_logits(share) for name, share in shares.items()}
    rankings = {}
    for column, pair in enumerate(class_pairs(models[0].val.num_classes)):

        def auc(model: ModelResults, column: int = column, pair: Pair = pair) -> float:
            own = np.isin(shares[model.name].targets, pair)
            positive = shares[model.name].targets[own] == pair[1]
            return binary_auc(positive, logits[model.name][own, column])

        rankings[pair] = _ranked(models, auc)
    return rankings


def _f1(share: Predictions, grade: int) -> float:
    return float(f1_of_class(share, grade).compute(np.ones((len(share.targets), 1)))[0])


def _ranked(models: Sequence[ModelResults], score: Callable[[ModelResults], float]) -> Ranking:
    scored = [(model, score(model)) for model in models]
    known = [(model, value) for model, value in scored if not math.isnan(value)]
    return sorted(known, key=lambda scored: scored[1], reverse=True)


def class_lead_statistics(ranking: Ranking, grade: int) -> dict[str, Statistic]:
    """Recall and F1 on test, the best minus the runner-up; empty without a runner-up."""
    if len(ranking) < 2:
        return {}
    best, second = (model.test for model, _ in ranking[:2])
    return {
        "recall": difference(lambda p: recall_statistic(p, grade), best, second),
        "f1": difference(lambda p: f1_of_class(p, grade), best, second),
    }


def pair_lead_statistics(ranking: Ranking, pair: Pair) -> dict[str, Statistic]:
    """AUC on test, the best minus the runner-up; empty without a runner-up."""
    if len(ranking) < 2:
        return {}
    best, second = (model.test for model, _ in ranking[:2])
    return {"auc": difference(lambda p: pair_statistics(p)[pair][1], best, second)}


def judged_leads(
    rankings: Sequence[Ranking], differences: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The differences of each grade with p, Holm-corrected over all grades, and verdict."""
    jobs = [(grade, key) for grade, metrics in enumerate(differences) for key in metrics]

    def p_value(job: tuple[int, str]) -> float:
        grade, key = job
        best, second = (model.test for model, _ in rankings[grade][:2])
        return _p_value(key, grade, best, second)

    p = dict(zip(jobs, in_threads(p_value, jobs), strict=True))
    corrected = dict(zip(jobs, holm(list(p.values())), strict=True))
    return [
        {
            key: with_verdict(lead, p[grade, key], corrected[grade, key])
            for key, lead in metrics.items()
        }
        for grade, metrics in enumerate(differences)
    ]


def _p_value(key: str, grade: int, best: Predictions, second: Predictions) -> float:
    if key == "f1":
        return permutation_test(lambda p: f1_of_class(p, grade), best, second)
    own = best.targets == grade
    if not own.any():
        return float("nan")
    # On the images of one grade the accuracy is its recall.
    return accuracy_p_value(take(best, own), take(second, own))


def lead_in_words(grade: int, ranking: Ranking, lead: dict[str, Any]) -> str:
    """A sentence on a grade, such as `Grade 1: coatnet is best on val; ...`."""
    if not ranking:
        return f"Grade {grade}: no model can be chosen, since val has no image of it."
    best = f"Grade {grade}: {ranking[0][0].name} is best on val (F1 {ranking[0][1]:.3f})"
    if len(ranking) < 2:
        return f"{best}; there is no other model to compare it with."
    second = ranking[1][0].name
    verdicts = {key: metric["verdict"] for key, metric in lead.items()}
    names = {"recall": "recall", "f1": "F1"}
    significant = [names[key] for key, verdict in verdicts.items() if verdict == BETTER]
    if significant:
        return (
            f"{best}; on test its lead over {second} in {' and '.join(significant)} is significant."
        )
    if set(verdicts.values()) <= {NONE_SHOWN}:
        return f"{best}; on test no lead over {second}, the runner-up, is shown."
    worse_in = [names[key] for key, verdict in verdicts.items() if verdict == "worse"]
    if worse_in:
        return f"{best}; on test {second}, the runner-up, is better in {' and '.join(worse_in)}."
    return f"{best}; test can't show whether it leads {second}."
