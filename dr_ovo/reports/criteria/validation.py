"""What `medical_validation.py` does: models held against a checklist of criteria."""

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
from dr_ovo.reports.plausibility import implausible
from dr_ovo.results.model_results import ModelResults, read_results
from dr_ovo.results.result_sets import ResultSet

HEADLINE = ("accuracy", "quadratic_kappa")  # what the warning of leakage looks at


@dataclass(frozen=True)
class Validation:
    """Every criterion judged, for each model that it speaks of; warnings of figures too good."""

    judgements: tuple[Judgement, ...]
    warnings: tuple[str, ...]
    images: int
    marks: tuple[str, ...]  # those of the external set's model, too
    external: dict[str, dict[str, Any]] = field(default_factory=dict)


def validate(results: ResultSet, checklist: Checklist, external: Path | None) -> Validation:
    """The judgements, in the checklist's order.

    Raises UserError for a metric that does not exist, and for two models of one architecture.
    """
    found = {_alias(model): model for model in results.models}
    if len(found) < len(results.models):
        names = ", ".join(results.names)
        raise UserError(f"Two of {names} are of one architecture. Name one of each with --models.")
    outside = read_results(external, EXTERNAL) if external else None
    subjects, lacking = _subjects(found, checklist, outside)
    first = next(iter(subjects.values()))
    check_paths({one.id: one.metric for one in checklist.criteria}, first.leaves)
    tasks = [(name, subject, _metrics(name, checklist)) for name, subject in subjects.items()]
    figures = dict(
        zip(subjects, in_threads(lambda task: estimated(task[1], task[2]), tasks), strict=True)
    )
    judged: list[Judgement] = []
    for criterion in checklist.criteria:
        for name in _spoken_of(criterion, found, checklist):
            if name in subjects:
                judged.append(_judged(criterion, subjects[name], figures[name]))
            else:
                judged.append(_unknown(criterion, name, lacking.get(name, _absent(name))))
    warnings = [
        f"{name}: {said}"
        for name, held in figures.items()
        if (said := implausible(held["accuracy"], held["quadratic_kappa"]))
    ]
    images = len(results.models[0].test.targets)
    borne = {*results.marks, *(outside.facts.marks if outside else ())}
    marks = tuple(mark for mark in MARKS if mark in borne)
    return Validation(tuple(judged), tuple(warnings), images, marks, figures.get(EXTERNAL, {}))


def _alias(model: ModelResults) -> str:
    known = architecture_of(model.facts.architecture or model.name)
    return known.alias if known else model.name


def _absent(name: str) -> str:
    return f"no results of {name} are among the folders"


def _subjects(
    found: dict[str, ModelResults], checklist: Checklist, external: ModelResults | None
) -> tuple[dict[str, Subject], dict[str, str]]:
    """Those whom the criteria speak of and the folders hold; why others can't be known."""
    subjects = {name: model_subject(model) for name, model in found.items()}
    members = list(checklist.ensemble or found)
    missing = [name for name in members if name not in found]
    lacking = {
        ENSEMBLE: f"its members {', '.join(missing)} are not among the folders",
        EXTERNAL: "no results on an independent hold-out are named (--external DIR)",
    }
    if len(members) < 2:
        lacking[ENSEMBLE] = "a single model is no ensemble"
    elif not missing:
        whole = all(name in found for name in checklist.baseline)
        baseline = [found[name] for name in checklist.baseline] if whole else []
        subjects[ENSEMBLE] = ensemble_subject([found[name] for name in members], baseline)
    if external is not None:
        own = found.get(_alias(external))
        calibration = own.calibration if own else external.calibration
        subjects[EXTERNAL] = external_subject(external, calibration, list(found.values()))
    return subjects, lacking


def _unknown(criterion: Criterion, subject: str, reason: str) -> Judgement:
    return Judgement(criterion, subject, UNKNOWN, {"value": None, "reason": reason}, reason)


def _spoken_of(criterion: Criterion, found: Iterable[str], checklist: Checklist) -> Sequence[str]:
    if criterion.model == EACH_NEW:
        return checklist.new_models
    if criterion.model == EACH:
        return list(found)
    if criterion.model in SUBJECTS:
        return [criterion.model]
    known = architecture_of(criterion.model)
    return [known.alias if known else criterion.model]


def _metrics(name: str, checklist: Checklist) -> list[str]:
    """What is asked of a subject; accuracy and kappa always, for the warning."""
    external = ("referable.high_sensitivity.sensitivity", "referable.high_sensitivity.specificity")
    asked = [*HEADLINE, *(external if name == EXTERNAL else ())]
    for criterion in checklist.criteria:
        if name in _spoken_of(criterion, [name], checklist):
            asked.append(criterion.metric)
    return asked


def _judged(
    criterion: Criterion, subject: Subject, figures: dict[str, dict[str, Any]]
) -> Judgement:
    leaves = matching(criterion.metric, figures)
    if not leaves:
        reason = f"{criterion.metric} is not among the figures of {subject.name}"
        return _unknown(criterion, subject.name, reason)
    return worst([judge(criterion, subject.name, figures[leaf], subject.images) for leaf in leaves])
