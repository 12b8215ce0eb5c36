"""medical_validation.py, top level: which models and ensembles each criterion applies to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import architecture_of
from dr_ovo.parallel import in_threads
from dr_ovo.predictions.predictions_file import MARKS
from dr_ovo.reports.criteria.criteria import UNKNOWN, Criterion, Judgement, judge, worst
from dr_ovo.reports.criteria.criteria_file import (
    EACH,
    EACH_NEW,
    ENSEMBLE,
    EXTERNAL,
    SUBJECTS,
    Checklist,
)
from dr_ovo.reports.criteria.criterion_values import (
    Subject,
    check_paths,
    ensemble_subject,
    estimated,
    external_subject,
    matching,
    model_subject,
)
from dr_ovo.reports.criteria.external_results import is_of_parent, read_external
from dr_ovo.reports.ensemble.prior_correction import mixed_priors
from dr_ovo.reports.plausibility import implausible
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet

HEADLINE = ("accuracy", "quadratic_kappa")  # metrics checked for the leakage warning


@dataclass(frozen=True)
class Validation:
    """Every criterion judged for each model it applies to; warnings of implausible metrics."""

    judgements: tuple[Judgement, ...]
    warnings: tuple[str, ...]
    images: int
    marks: tuple[str, ...]  # including those of the external results
    val: str  # what stands in place of val
    external: dict[str, dict[str, Any]] = field(default_factory=dict)


def validate(results: ResultSet, checklist: Checklist, external: Path | None) -> Validation:
    """The judgements, in the checklist's order.

    Raises UserError for a metric that does not exist, and for two models of one architecture.
    """
    models = {_alias(model): model for model in results.models}
    if len(models) < len(results.models):
        names = ", ".join(results.names)
        raise UserError(f"Two of {names} share an architecture. Name one of each with --models.")
    external_results = read_external(external, EXTERNAL) if external else None
    subjects, missing_reasons = _subjects(models, checklist, external_results)
    first = next(iter(subjects.values()))
    check_paths({one.id: one.metric for one in checklist.criteria}, first.leaves)
    tasks = [(name, subject, _metrics(name, checklist)) for name, subject in subjects.items()]
    figures = dict(
        zip(subjects, in_threads(lambda task: estimated(task[1], task[2]), tasks), strict=True)
    )
    judgements: list[Judgement] = []
    for criterion in checklist.criteria:
        for name in _subject_names(criterion, models, checklist):
            if name in subjects:
                judgements.append(_judged(criterion, subjects[name], figures[name]))
            else:
                judgements.append(
                    _unknown(criterion, name, missing_reasons.get(name, _absent(name)))
                )
    warnings = [
        f"{name}: {warning}"
        for name, metrics in figures.items()
        if (warning := implausible(metrics["accuracy"], metrics["quadratic_kappa"]))
    ]
    images = len(results.models[0].test.targets)
    all_marks = {*results.marks, *(external_results.facts.marks if external_results else ())}
    marks = tuple(mark for mark in MARKS if mark in all_marks)
    return Validation(
        tuple(judgements),
        tuple(warnings),
        images,
        marks,
        results.val_words,
        figures.get(EXTERNAL, {}),
    )


def _alias(model: ModelResults) -> str:
    known = architecture_of(model.facts.architecture or model.name)
    return known.alias if known else model.name


def _absent(name: str) -> str:
    return f"no results of {name} are among the folders"


def _subjects(
    models: dict[str, ModelResults], checklist: Checklist, external: ModelResults | None
) -> tuple[dict[str, Subject], dict[str, str]]:
    """The subjects that the folders provide; for the ensemble and the external set also why not."""
    subjects = {name: model_subject(model) for name, model in models.items()}
    members = list(checklist.ensemble or models)
    missing = [name for name in members if name not in models]
    missing_reasons = {
        ENSEMBLE: f"its members {', '.join(missing)} are not among the folders",
        EXTERNAL: "no results on an independent hold-out are given (--external DIR)",
    }
    if len(members) < 2:
        missing_reasons[ENSEMBLE] = "a single model is no ensemble"
    elif not missing and (mixed := mixed_priors([models[name] for name in members])):
        missing_reasons[ENSEMBLE] = f"its members' probabilities would be mixed: {mixed}"
    elif not missing:
        complete = all(name in models for name in checklist.baseline)
        baseline = [models[name] for name in checklist.baseline] if complete else []
        subjects[ENSEMBLE] = ensemble_subject([models[name] for name in members], baseline)
    if external is not None:
        own = None if is_of_parent(external.folder) else models.get(_alias(external))
        calibration = own.calibration if own else external.calibration
        subjects[EXTERNAL] = external_subject(external, calibration, list(models.values()))
    return subjects, missing_reasons


def _unknown(criterion: Criterion, subject: str, reason: str) -> Judgement:
    return Judgement(criterion, subject, UNKNOWN, {"value": None, "reason": reason}, reason)


def _subject_names(
    criterion: Criterion, model_names: Iterable[str], checklist: Checklist
) -> Sequence[str]:
    if criterion.model == EACH_NEW:
        return checklist.new_models
    if criterion.model == EACH:
        return list(model_names)
    if criterion.model in SUBJECTS:
        return [criterion.model]
    known = architecture_of(criterion.model)
    return [known.alias if known else criterion.model]


def _metrics(name: str, checklist: Checklist) -> list[str]:
    """The metrics needed of a subject; always accuracy and kappa, for the leakage warning."""
    rates = (
        "referable.high_sensitivity.sensitivity",
        "referable.high_sensitivity.specificity",
    )
    metrics = [*HEADLINE, *(rates if name == EXTERNAL else ())]
    for criterion in checklist.criteria:
        if name in _subject_names(criterion, [name], checklist):
            metrics.append(criterion.metric)
    return metrics


def _judged(
    criterion: Criterion, subject: Subject, figures: dict[str, dict[str, Any]]
) -> Judgement:
    leaves = matching(criterion.metric, figures)
    if not leaves:
        return _unknown(criterion, subject.name, subject.why_without(criterion.metric))
    return worst([judge(criterion, subject.name, figures[leaf], subject.images) for leaf in leaves])
