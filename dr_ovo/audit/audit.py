"""Runs all checks of an audit, in order, on a dataset and collects their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dr_ovo.audit.checks.contents import require_listed_contents
from dr_ovo.audit.checks.copies import copy_findings, unreadable
from dr_ovo.audit.checks.measured_sample import measured_sample, taken_alike, train_statistics_model
from dr_ovo.audit.checks.names import name_findings
from dr_ovo.audit.checks.owners import owner_findings, without_splits
from dr_ovo.audit.checks.prevalence import prevalence_findings
from dr_ovo.audit.checks.processing import processing_findings
from dr_ovo.audit.checks.quality import quality_findings, tiny_findings
from dr_ovo.audit.findings import AuditReport, Finding, Photograph, ordered
from dr_ovo.audit.grade_signal.statistics_model import StatisticsModel
from dr_ovo.audit.measurement_cache import DESCRIPTORS, MEASUREMENTS
from dr_ovo.audit.measurements import QUALITY, measure
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.copies.near_duplicates import MIN_SIDE, Pair, find_pairs
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.photographs.damage import Damage


@shared_workers()
def audit(
    root: Path,
    photographs: Sequence[Photograph],
    cache: Path | None,
    *,
    synthetic: bool = False,
    quality: bool = True,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> AuditReport:
    """The findings on `photographs`, worst first.

    `cache` is a folder for measurements (None: nothing is cached). `synthetic` pictures may show
    their grade by their colours: the way they are drawn is not a leak. `quality`: measure whether
    each picture can be graded, which decodes all of them at a larger size. A picture of more than
    `max_megapixels` counts as unreadable. Raises UserError for pictures that differ from those in
    the manifest.
    """
    paths = [p.path for p in photographs]
    descriptors = cache / DESCRIPTORS if cache else None
    described = describe_files(paths, descriptors, max_megapixels=max_megapixels)
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
    signal, notes, model = _processing(photographs, pairs, contents, measurements, synthetic)
    notes += [*without_splits(photographs), *_not_compared(photographs, described)]
    notes += _odd(photographs, described)
    report = _report(root, len(photographs), findings + signal, notes, model)
    damaged = [one for one in described.values() if isinstance(one, Damage)]
    return replace(report, undecodable=tuple(one for one in damaged if not one.decodes))


def _report(
    root: Path,
    count: int,
    findings: Sequence[Finding],
    notes: Sequence[str],
    model: StatisticsModel | str,
) -> AuditReport:
    fitted = model if isinstance(model, StatisticsModel) else None
    reason = model if isinstance(model, str) else ""
    return AuditReport(root, count, ordered(findings), tuple(notes), fitted, reason)


def _processing(
    photographs: Sequence[Photograph],
    pairs: Sequence[Pair],
    contents: Mapping[Path, str],
    cache: Path | None,
    synthetic: bool,
) -> tuple[list[Finding], list[str], StatisticsModel | str]:
    """Findings on processing, notes on what was not judged, and the grader on statistics alone or
    why there is none."""
    if synthetic or len({p.grade for p in photographs if p.grade}) < 2:
        reason = "the pictures are drawn" if synthetic else "there are no folders of grades"
        return [], [f"whether processing reveals the grade was not judged: {reason}"], reason
    sample = measured_sample(photographs, pairs, contents, cache)
    if sample is None:
        return [], [], "no picture could be measured"
    findings, notes = processing_findings(sample, lambda: taken_alike(sample, contents, cache))
    return findings, notes, train_statistics_model(sample, photographs)


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


def _odd(
    photographs: Sequence[Photograph], described: Mapping[Path, Described | Damage]
) -> list[str]:
    """A note on files that are whole, but odd, with the first of them."""
    odd = [
        f"{p.file} {d.remark}"
        for p in photographs
        if isinstance(d := described[p.path], Described) and d.remark
    ]
    if not odd:
        return []
    more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
    return [f"files that are odd, but whole: {odd[0]}{more}"]
