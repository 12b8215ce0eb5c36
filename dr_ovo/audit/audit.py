"""Runs all checks of an audit, in order, on a dataset and collects their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dr_ovo.audit.checks.contents import require_listed_contents
from dr_ovo.audit.checks.copies import copy_findings, look_alike_groups, unreadable
from dr_ovo.audit.checks.names import name_findings
from dr_ovo.audit.checks.owners import owner_findings, without_splits
from dr_ovo.audit.checks.prevalence import prevalence_findings
from dr_ovo.audit.checks.quality import quality_findings, tiny_findings
from dr_ovo.audit.findings import LEAK, WARNING, AuditReport, Finding, Photograph, ordered
from dr_ovo.audit.grade_signal import SIGNIFICANT, STOP_AUC, grade_signal, not_judged
from dr_ovo.audit.measurement_cache import DESCRIPTORS, MEASUREMENTS
from dr_ovo.audit.measurements import QUALITY, STATISTICS, measure
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.copies.near_duplicates import MIN_SIDE, Pair, find_pairs
from dr_ovo.photographs.damage import Damage

SAMPLE = 3000  # pictures used for the grade signal, as many of each grade
SAMPLE_SEED = 0
SHOWN = 6  # pictures of the grade that statistics identify


def audit(
    root: Path,
    photographs: Sequence[Photograph],
    cache: Path | None,
    *,
    synthetic: bool = False,
    quality: bool = True,
) -> AuditReport:
    """The findings on `photographs`, worst first.

    `cache` is a folder for measurements (None: nothing is cached). `synthetic` pictures may show
    their grade by their colours: the way they are drawn is not a leak. `quality`: measure whether
    each picture can be graded, which decodes all of them at a larger size. Raises UserError for
    pictures that differ from those in the manifest.
    """
    paths = [p.path for p in photographs]
    descriptors = cache / DESCRIPTORS if cache else None
    described = describe_files(paths, descriptors)
    contents = {p: d.sha256 for p, d in described.items() if isinstance(d, Described)}
    require_listed_contents(root, photographs, contents)
    pairs = find_pairs(paths, described, descriptors)
    findings = [
        *owner_findings(photographs),
        *copy_findings(photographs, pairs),
        *name_findings(photographs, pairs),
        *prevalence_findings(photographs),
        *unreadable(photographs, described),
        *tiny_findings(photographs, described),
    ]
    measurements = cache / MEASUREMENTS if cache else None
    if quality:
        findings += quality_findings(photographs, measure(QUALITY, contents, measurements))
    signal, notes = _grade_signal(photographs, pairs, contents, measurements, synthetic)
    notes += [*without_splits(photographs), *_not_compared(photographs, described)]
    return AuditReport(root, len(photographs), ordered(findings + signal), tuple(notes))


def _grade_signal(
    photographs: Sequence[Photograph],
    pairs: Sequence[Pair],
    contents: Mapping[Path, str],
    cache: Path | None,
    synthetic: bool,
) -> tuple[list[Finding], list[str]]:
    """The finding that processing reveals a grade, if any, and notes on what was not judged."""
    names = sorted({p.grade for p in photographs if p.grade})
    if synthetic or len(names) < 2:
        reason = "the pictures are drawn" if synthetic else "there are no folders of grades"
        return [], [f"whether processing reveals the grade was not judged: {reason}"]
    sample = _sample(photographs, names)
    vectors = measure(
        STATISTICS,
        {
            photographs[i].path: contents[photographs[i].path]
            for i in sample
            if photographs[i].path in contents
        },
        cache,
    )
    sample = [i for i in sample if photographs[i].path in vectors]
    if not sample:
        return [], []
    grades = np.array([names.index(photographs[i].grade) for i in sample])
    groups = np.array(look_alike_groups(photographs, pairs))[sample]
    statistics = np.stack([vectors[photographs[i].path] for i in sample])
    found = grade_signal(statistics, grades, groups, len(names))
    notes = not_judged(grades, groups, names)
    if found is None or found.p > SIGNIFICANT:
        return [], notes
    typical = [i for i in np.argsort(-found.scores) if grades[i] == found.grade][:SHOWN]
    detail = (
        f"statistics of colour, sharpness, noise and file separate grade {names[found.grade]} from "
        f"the rest: area under the ROC curve {found.auc:.3f} (chance: at most {found.chance:.2f}), "
        f"sensitivity {100 * found.recall:.0f} % at 5 % false positives; unfiltered datasets reach "
        f".75 to .85, a filtered grade {STOP_AUC:.2f} or more"
    )
    severity = LEAK if found.auc >= STOP_AUC else WARNING
    members = tuple(photographs[sample[i]] for i in typical)
    finding = Finding("processing_reveals_grade", severity, members, round(found.auc, 4), detail)
    return [finding], notes


def _sample(photographs: Sequence[Photograph], names: Sequence[str]) -> list[int]:
    """Positions of at most SAMPLE graded pictures, sampled per grade, in ascending order."""
    rng = np.random.default_rng(SAMPLE_SEED)
    chosen: list[int] = []
    for name in names:
        members = [i for i, p in enumerate(photographs) if p.grade == name]
        count = min(len(members), SAMPLE // len(names))
        chosen += rng.choice(members, count, replace=False).tolist()
    return sorted(chosen)


def _not_compared(
    photographs: Sequence[Photograph], described: Mapping[Path, Described | Damage]
) -> list[str]:
    small = sum(
        1
        for p in photographs
        if isinstance(d := described[p.path], Described) and min(d.width, d.height) < MIN_SIDE
    )
    if not small:
        return []
    return [
        f"{small} pictures have a side below {MIN_SIDE} pixels: they were compared for identity "
        "only, not for similarity"
    ]
