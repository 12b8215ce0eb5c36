"""Findings on processing: image statistics tell a grade, since it was filtered or by its camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dr_ovo.audit.checks.measured_sample import MeasuredSample
from dr_ovo.audit.findings import LEAK, WARNING, Finding, Photograph
from dr_ovo.audit.grade_signal.classifier import (
    SIGNIFICANT,
    STOP_AUC,
    GradeSignal,
    grade_signal,
    not_judged,
    recall_at_false_alarms,
)
from dr_ovo.audit.grade_signal.like_acquisition import (
    MIN_COVERAGE,
    LikeAcquisition,
    like_acquisition,
)

SHOWN = 6  # pictures of the grade that statistics tell


def processing_findings(
    sample: MeasuredSample, clusters_of: Callable[[], np.ndarray | None]
) -> tuple[list[Finding], list[str]]:
    """The findings that processing or cameras reveal a grade, and notes on what was not judged.

    `clusters_of` gives the pictures' clusters of acquisition (K,), None where they can't be known;
    it is called only where needed. Every grade that statistics tell at STOP_AUC or more is judged.
    What the camera explains is a warning; then the other grades are compared among pictures taken
    alike as well, since a filter on one of them can hide behind the camera.
    """
    signal = grade_signal(sample.statistics, sample.grades, sample.groups, len(sample.names))
    notes = not_judged(sample.grades, sample.groups, sample.names)
    if signal is None or signal.p > SIGNIFICANT:
        return [], notes
    told = np.flatnonzero(np.nan_to_num(signal.aucs) >= STOP_AUC)
    if not len(told):
        return [_processing(sample, signal, signal.grade, WARNING, "")], notes
    clusters = clusters_of()
    if clusters is None:
        reason = "the outline of a picture could not be measured"
        return [_filtered(sample, signal, dict.fromkeys(told.tolist(), reason))], notes
    found = {grade: _among_like(sample, signal, grade, clusters) for grade in told.tolist()}
    findings = [
        _acquisition(sample, signal, grade, like)
        for grade, like in found.items()
        if not like.reason
    ]
    reasons = {grade: like.reason for grade, like in found.items() if like.reason}
    if not reasons:
        reasons = _hidden(sample, signal, clusters)
    if reasons:
        findings.append(_filtered(sample, signal, reasons))
    return findings, notes


def _among_like(
    sample: MeasuredSample, signal: GradeSignal, grade: int, clusters: np.ndarray
) -> LikeAcquisition:
    return like_acquisition(
        sample.statistics,
        signal.all_scores[:, grade],
        sample.grades == grade,
        signal.folds,
        sample.groups,
        clusters,
    )


def _hidden(sample: MeasuredSample, signal: GradeSignal, clusters: np.ndarray) -> dict[int, str]:
    """Grades below STOP_AUC in the whole set, and at or above it among pictures taken alike."""
    reasons = {}
    for grade in np.flatnonzero(np.nan_to_num(signal.aucs, nan=1.0) < STOP_AUC).tolist():
        like = _among_like(sample, signal, grade, clusters)
        if like.coverage >= MIN_COVERAGE and like.area >= STOP_AUC:
            reasons[grade] = f"among pictures taken alike the area is {like.area:.3f}"
    return reasons


def _filtered(sample: MeasuredSample, signal: GradeSignal, reasons: dict[int, str]) -> Finding:
    """The leak of the grade that statistics tell best, which names the others as well."""
    worst, *others = sorted(reasons, key=lambda grade: -signal.aucs[grade])
    finding = _processing(sample, signal, worst, LEAK, reasons[worst])
    if not others:
        return finding
    told = ", ".join(f"{sample.names[grade]} ({signal.aucs[grade]:.3f})" for grade in others)
    members = [_typical(sample, signal, grade) for grade in others]
    return replace(
        finding,
        photographs=finding.photographs + tuple(one for some in members for one in some),
        detail=f"{finding.detail}; likewise grade {told}",
    )


def _processing(
    sample: MeasuredSample, signal: GradeSignal, grade: int, severity: str, reason: str
) -> Finding:
    area = float(signal.aucs[grade])
    detail = (
        f"statistics of colour, sharpness, noise and file separate grade {sample.names[grade]} "
        f"from the rest: area under the ROC curve {area:.3f} (chance: at most "
        f"{signal.chance:.2f}), sensitivity {100 * _sensitivity(sample, signal, grade):.0f} % at "
        f"5 % false positives; unfiltered datasets reach .75 to .85, a filtered grade "
        f"{STOP_AUC:.2f} or more"
    )
    if reason:
        detail += f"; other cameras do not explain it: {reason}"
    members = _typical(sample, signal, grade)
    return Finding("processing_reveals_grade", severity, members, round(area, 4), detail)


def _acquisition(
    sample: MeasuredSample, signal: GradeSignal, grade: int, like: LikeAcquisition
) -> Finding:
    area = float(signal.aucs[grade])
    detail = (
        f"other cameras took grade {sample.names[grade]}: statistics separate it from the rest "
        f"(area under the ROC curve {area:.3f}), but less so among pictures taken alike "
        f"({like.area:.3f}, at most {like.bound:.3f}, for {100 * like.coverage:.0f} % of its "
        "pictures), so nobody need have filtered it. A model can score on this set by the camera "
        "alone: see statistics_only in evaluation.json, and test on photographs of other cameras"
    )
    members = _typical(sample, signal, grade)
    return Finding("acquisition_reveals_grade", WARNING, members, round(area, 4), detail)


def _sensitivity(sample: MeasuredSample, signal: GradeSignal, grade: int) -> float:
    return recall_at_false_alarms(signal.all_scores[:, grade], sample.grades == grade)


def _typical(sample: MeasuredSample, signal: GradeSignal, grade: int) -> tuple[Photograph, ...]:
    """The pictures of the grade of which statistics are surest."""
    surest = np.argsort(-signal.all_scores[:, grade])
    chosen = [i for i in surest if sample.grades[i] == grade][:SHOWN]
    return tuple(sample.photographs[i] for i in chosen)
