"""A sample of a dataset's photographs: their image statistics, who was taken alike, the model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.audit.checks.copies import look_alike_groups
from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.grade_signal.acquisition_clusters import acquisition_clusters
from dr_ovo.audit.grade_signal.statistics_model import StatisticsModel, fit_statistics_model
from dr_ovo.audit.image_statistics import statistics_names
from dr_ovo.audit.measurements import OUTLINE, STATISTICS, measure
from dr_ovo.copies.near_duplicates import Pair

SAMPLE = 3000  # pictures from which the grade signal is measured, the grades equally many
SAMPLE_SEED = 0


@dataclass(frozen=True)
class MeasuredSample:
    """K sampled photographs: `grades` (K,) number `names`, `groups` (K,) who belongs together,
    `statistics` (K, S)."""

    photographs: tuple[Photograph, ...]
    names: tuple[str, ...]
    grades: np.ndarray
    groups: np.ndarray
    statistics: np.ndarray


def measured_sample(
    photographs: Sequence[Photograph],
    pairs: Sequence[Pair],
    contents: Mapping[Path, str],
    cache: Path | None,
) -> MeasuredSample | None:
    """A sample of the graded photographs with their statistics; None where none can be read."""
    names = sorted({p.grade for p in photographs if p.grade})
    readable = [i for i in _sample(photographs, names) if photographs[i].path in contents]
    files = {photographs[i].path: contents[photographs[i].path] for i in readable}
    vectors = measure(STATISTICS, files, cache)
    sample = [i for i in readable if photographs[i].path in vectors]
    if not sample:
        return None
    return MeasuredSample(
        photographs=tuple(photographs[i] for i in sample),
        names=tuple(names),
        grades=np.array([names.index(photographs[i].grade) for i in sample]),
        groups=np.array(look_alike_groups(photographs, pairs))[sample],
        statistics=np.stack([vectors[photographs[i].path] for i in sample]),
    )


def taken_alike(
    sample: MeasuredSample, contents: Mapping[Path, str], cache: Path | None
) -> np.ndarray | None:
    """(K,) the clusters of pictures taken alike; None where one can't be read any more."""
    files = {photograph.path: contents[photograph.path] for photograph in sample.photographs}
    outlines = measure(OUTLINE, files, cache)
    if len(outlines) < len(files):
        return None
    return acquisition_clusters(np.stack([outlines[p.path] for p in sample.photographs]))


def train_statistics_model(
    sample: MeasuredSample, photographs: Sequence[Photograph]
) -> StatisticsModel | str:
    """The grader on statistics alone, fitted on the sampled pictures of train, or why there is
    none: these lack a grade."""
    own = np.array([photograph.split == "train" for photograph in sample.photographs])
    counts = dict.fromkeys(sample.names, 0)
    for photograph in photographs:
        if photograph.split == "train" and photograph.grade:
            counts[photograph.grade] += 1
    model = fit_statistics_model(
        statistics_names(), sample.statistics[own], sample.grades[own], counts
    )
    return model or _lacking(counts, {sample.names[grade] for grade in sample.grades[own]})


def _lacking(counts: Mapping[str, int], measured: Collection[str]) -> str:
    """Which grades train lacks or, where it has all of them, the pictures measured of it."""
    absent = [name for name, count in counts.items() if not count]
    if absent:
        return f"train has no picture of grade {', '.join(absent)}"
    missed = [name for name in counts if name not in measured]
    return (
        f"none of train's pictures of grade {', '.join(missed)} was among those that the audit "
        "measured"
    )


def _sample(photographs: Sequence[Photograph], names: Sequence[str]) -> list[int]:
    """Positions of at most SAMPLE graded pictures, sampled per grade, in ascending order."""
    rng = np.random.default_rng(SAMPLE_SEED)
    chosen: list[int] = []
    for name in names:
        members = [i for i, p in enumerate(photographs) if p.grade == name]
        count = min(len(members), SAMPLE // len(names))
        chosen += rng.choice(members, count, replace=False).tolist()
    return sorted(chosen)
