"""evaluate_super_ensemble.py, top level: the ensemble, its members, baseline, smaller one.

Everything is decided on val; test is used once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.ensembles.cross_fitting import FittedEnsemble, fit_ensemble
from dr_ovo.ensembles.elimination import Elimination, eliminate
from dr_ovo.errors import UserError
from dr_ovo.models.architectures import architecture_of
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.reports.ensemble.prior_correction import require_one_prior
from dr_ovo.reports.paired_comparison import by_val_kappa
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.statistics.differences import accuracy_p_value, permutation_test
from dr_ovo.statistics.headline import headline, mean_of_figures, minus
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.model_statistics import accuracy_statistic, kappa_statistic

FOUR_CNNS = ("densenet121", "efficientnetb2", "resnet50", "seresnext50")
COMPARED = ("accuracy", "balanced_accuracy", "quadratic_kappa", "macro_auc", "class_1_recall")
MEAN_OF_FIGURES = "mean of the members' figures (no ensemble)"


@dataclass(frozen=True)
class CombinationRule:
    """How members are combined: one of METHODS, and the score that `weighted` uses."""

    method: str
    weight_by: str = "accuracy"

    @property
    def words(self) -> str:
        """Such as `weighted by kappa`."""
        return f"weighted by {self.weight_by}" if self.method == "weighted" else self.method


@dataclass(frozen=True, eq=False)
class Combined:
    """A model, or several as one, on val and on test."""

    title: str
    names: tuple[str, ...]
    test: Predictions
    calibration: Calibration
    fitted: FittedEnsemble | None  # None for a single model


@dataclass(frozen=True, eq=False)
class Study:
    """The whole ensemble compared with its members and smaller ensembles."""

    rule: CombinationRule
    results: ResultSet
    whole: Combined
    best: str  # the best member by kappa on val
    baseline: Combined | None
    smaller: Combined | None
    elimination: Elimination
    figures: dict[str, dict[str, Any]]  # on test: row -> metrics with intervals
    differences: dict[str, dict[str, Any]]  # on test: row -> whole minus that row, and p values
    val_figures: dict[str, dict[str, Any]]  # on val's selection share


def study_ensemble(results: ResultSet, rule: CombinationRule, baseline: Sequence[str]) -> Study:
    """The ensemble of all models, compared on test with what was chosen on val.

    `baseline` names some of the models; empty: the CNNs of FOUR_CNNS, if there are two or more
    and other models as well. Raises UserError for a baseline that is not a proper subset, and for
    models of which the prior of some is corrected and of others not.
    """
    require_one_prior(results.models)
    named = _baseline(results, baseline)
    whole = _combine(results.models, rule, "ensemble of all {}")
    best = by_val_kappa(results.models)[0][0]
    elimination = eliminate([m.member_val for m in results.models], rule.method, rule.weight_by)
    kept = [results.models[number] for number in elimination.kept]
    some_dropped = len(kept) < len(results.models)
    base = _combine(named, rule, "baseline of {}") if named else None
    smaller = _combine(kept, rule, "smaller ensemble of {}") if some_dropped else None
    figures, differences = _on_test(results, whole, best, base, smaller)
    return Study(
        rule, results, whole, best.name, base, smaller, elimination, figures, differences,
        _on_val(results, whole),
    )  # fmt: skip


def _baseline(results: ResultSet, names: Sequence[str]) -> list[ModelResults]:
    """The members of the baseline; empty where none is given and the default does not apply."""
    if not names:
        cnns = [model for model in results.models if _alias(model) in FOUR_CNNS]
        return cnns if 2 <= len(cnns) < len(results.models) else []
    found = [results.named(name) for name in names]
    if len(set(found)) < len(found):
        raise UserError(f"--baseline {' '.join(names)}: a model is named twice. Name each once.")
    if len(found) == len(results.models):
        raise UserError(
            f"--baseline {' '.join(names)}: these are all members; expected only some of them, to "
            f"compare with the whole: {', '.join(results.names)}."
        )
    return found


def _alias(model: ModelResults) -> str:
    known = architecture_of(model.facts.architecture or model.name)
    return known.alias if known else model.name


def _combine(models: Sequence[ModelResults], rule: CombinationRule, title: str) -> Combined:
    names = tuple(model.name for model in models)
    if len(models) == 1:
        single = models[0]
        return Combined(title.format(1), names, single.test, single.calibration, None)
    fitted = fit_ensemble(
        [model.member_val for model in models],
        rule.method,
        rule.weight_by,
        out_of_fold=models[0].out_of_fold,  # all are, or none
    )
    test = fitted.on([model.member_test for model in models])
    return Combined(title.format(len(models)), names, test, fitted.calibration, fitted)


def _on_test(
    results: ResultSet,
    whole: Combined,
    best: ModelResults,
    baseline: Combined | None,
    smaller: Combined | None,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Metrics of members and ensembles, and leads of the whole over some, in one resampling."""
    members = {model.name: headline(model.test, model.calibration) for model in results.models}
    together = [one for one in (baseline, smaller, whole) if one]
    rows = {
        **members,
        MEAN_OF_FIGURES: mean_of_figures(list(members.values())),
        **{one.title: headline(one.test, one.calibration) for one in together},
    }
    others = {best.name: best.test} | {one.title: one.test for one in together if one != whole}
    leads = {name: minus(rows[whole.title], rows[name], COMPARED) for name in others}
    found = with_intervals({"figures": rows, "leads": leads}, whole.test.patient_ids)
    for name, other in others.items():
        found["leads"][name]["accuracy_p"] = _known(accuracy_p_value(whole.test, other))
        kappa_p = permutation_test(kappa_statistic, whole.test, other)
        found["leads"][name]["quadratic_kappa_p"] = _known(kappa_p)
    return found["figures"], found["leads"]


def _known(p_value: float) -> float | None:
    return p_value if p_value == p_value else None


def _on_val(results: ResultSet, whole: Combined) -> dict[str, dict[str, Any]]:
    """Accuracy and kappa on the selection share, where the ensemble is cross-fitted."""
    assert whole.fitted is not None  # open_results gave at least two models
    predictions = {model.name: model.val for model in results.models} | {
        whole.title: whole.fitted.val
    }
    parts = {name: take(p, ~p.calibration) for name, p in predictions.items()}
    tree = {
        name: {"accuracy": accuracy_statistic(p), "quadratic_kappa": kappa_statistic(p)}
        for name, p in parts.items()
    }
    found: dict[str, dict[str, Any]] = with_intervals(tree, parts[whole.title].patient_ids)
    return found
