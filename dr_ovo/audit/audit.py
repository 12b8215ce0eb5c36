"""The audit of a dataset: everything that would make its scores better than they are."""

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

SAMPLE = 3000  # pictures from which the grade signal is measured, the grades equally many
SAMPLE_SEED = 0
SHOWN = 6  # pictures of the grade that statistics tell


def audit(
    root: Path,
    photographs: Sequence[Photograph],
    cache: Path | None,
    *,
    synthetic: bool = False,
    quality: bool = True,
) -> AuditReport:
    """The findings on `photographs`, worst first.

    `cache` is a folder for what was measured (None: nothing is kept). `synthetic` pictures may
    show their grade by their colours: how they are drawn is no leak. `quality`: judge whether each
    picture can be graded, which decodes all of them at a larger size. Raises UserError for pictures
    that are not those that their manifest lists.
    """
    paths = [p.path for p in photographs]
    kept = cache / DESCRIPTORS if cache else None
    described = describe_files(paths, kept)
    contents = {p: d.sha256 for p, d in described.items() if isinstance(d, Described)}
    require_listed_contents(root, photographs, contents)
    pairs = find_pairs(paths, described, kept)
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
    """The finding that processing reveals a grade, if it does, and what could not be judged."""
    names = sorted({p.grade for p in photographs if p.grade})
    if synthetic or len(names) < 2:
        why = "the pictures are drawn" if synthetic else "there are no folders of grades"
        return [], [f"whether processing reveals the grade was not judged: {why}"]
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
        f"statistics of colour, sharpness, noise and file tell grade {names[found.grade]} from the "
        f"rest: area under the ROC curve {found.auc:.3f} (chance: at most {found.chance:.2f}), "
        f"{100 * found.recall:.0f} % of it found at 5 % false alarms; real sets reach .75 to .85, "
        f"a filtered grade {STOP_AUC:.2f} or more"
    )
    severity = LEAK if found.auc >= STOP_AUC else WARNING
    members = tuple(photographs[sample[i]] for i in typical)
    finding = Finding("processing_reveals_grade", severity, members, round(found.auc, 4), detail)
    return [finding], notes


def _sample(photographs: Sequence[Photograph], names: Sequence[str]) -> list[int]:
    """Positions of at most SAMPLE graded pictures, drawn for each grade alone, in rising order."""
    rng = np.random.default_rng(SAMPLE_SEED)
    chosen: list[int] = []
    for name in names:
        members = [i for i, p in enumerate(photographs) if p.grade == name]
        most = min(len(members), SAMPLE // len(names))
        chosen += rng.choice(members, most, replace=False).tolist()
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
        "alone, not for likeness"
    ]
