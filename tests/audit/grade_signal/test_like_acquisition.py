"""A camera that follows a grade, told from a filter on it: APTOS 2019 in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.alterations import ALTERATIONS
from dr_ovo.audit.checks.measured_sample import MeasuredSample
from dr_ovo.audit.checks.processing import processing_findings
from dr_ovo.audit.findings import LEAK, WARNING, Finding, Photograph
from dr_ovo.audit.grade_signal.acquisition_clusters import acquisition_clusters
from dr_ovo.audit.image_statistics import (
    STATISTICS_SIDE,
    image_statistics,
    statistics_names,
)
from dr_ovo.photographs.image_decoding import decode_bytes
from tests.conftest import real_data

GRADES = ("0", "1", "2", "3", "4")


@dataclass(frozen=True)
class Aptos:
    """`statistics` (N, S), `grades` (N,), `geometry` (N, 3) of a sample of APTOS 2019."""

    statistics: np.ndarray
    grades: np.ndarray
    geometry: np.ndarray


def aptos(per_grade: int) -> Aptos:
    """At most `per_grade` pictures of each grade, as an audit draws them."""
    with np.load(real_data("aptos_statistics") / "aptos_statistics.npz") as held:
        statistics = held["statistics"].astype(np.float64)
        grades = held["grades"].astype(int)
        outline = np.stack([held["disc_width"], held["disc_height"]], axis=1)
    rng = np.random.default_rng(7)
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(grades == grade))[:per_grade] for grade in range(5)]
    )
    geometry = np.column_stack([np.ones(len(chosen)), outline[chosen]])
    return Aptos(statistics[chosen], grades[chosen], geometry)


def judged(found: Aptos) -> list[Finding]:
    """The findings of an audit that measured these statistics and outlines."""
    photographs = tuple(
        Photograph(Path(f"{number}.png"), f"{number}.png", "train", GRADES[grade])
        for number, grade in enumerate(found.grades)
    )
    groups = np.arange(len(found.grades))
    sample = MeasuredSample(photographs, GRADES, found.grades, groups, found.statistics)
    findings, notes = processing_findings(sample, lambda: acquisition_clusters(found.geometry))
    assert notes == []
    return findings


@cache
def differences(name: str) -> np.ndarray:
    """(K, S) what a filter does to the statistics of real photographs, one by one."""
    rows = []
    for path in sorted(real_data("idrid_small").glob("*/*/*.jpg"))[::3]:
        data = path.read_bytes()
        image = decode_bytes(data, STATISTICS_SIDE)
        before = image_statistics(data, image)
        after = image_statistics(data, ALTERATIONS[name](image))
        rows.append([after[key] - before[key] for key in statistics_names()])
    return np.array(rows)


def planted(found: Aptos, name: str, grade: int) -> Aptos:
    """The same with the filter's differences on every picture of a grade."""
    rows = differences(name)
    statistics = found.statistics.copy()
    members = np.flatnonzero(found.grades == grade)
    drawn = np.random.default_rng(0).integers(len(rows), size=len(members))
    statistics[members] += rows[drawn]
    return Aptos(statistics, found.grades, found.geometry)


@pytest.mark.parametrize("per_grade", [600, 10_000])
def test_aptos_is_no_leak(per_grade):
    (finding,) = judged(aptos(per_grade))
    assert finding.kind == "acquisition_reveals_grade"
    assert finding.severity == WARNING
    assert finding.grades == [0]
    assert finding.score == pytest.approx(0.975, abs=0.006)
    for words in ("other cameras took grade 0", "by the camera alone", "statistics_only"):
        assert words in finding.detail


FILTERS = [
    "CLAHE 3.0", "brightness x 1.2", "brightness x 0.8", "contrast x 1.2", "JPEG quality 50",
]  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("grade", [0, 2])
def test_a_filter_on_one_grade_is_a_leak(name, grade):
    findings = judged(planted(aptos(400), name, grade))
    leaks = [finding for finding in findings if finding.severity == LEAK]
    assert grade in {g for finding in leaks for g in finding.grades}
    assert {finding.kind for finding in leaks} == {"processing_reveals_grade"}


def test_a_grade_of_a_camera_of_its_own_stays_a_leak():
    """None of its pictures can be compared with others taken alike."""
    found = aptos(400)
    geometry = found.geometry.copy()
    geometry[found.grades == 0, 1] = 0.4
    (finding,) = judged(Aptos(found.statistics, found.grades, geometry))
    assert finding.severity == LEAK
    assert "only 0 % of its pictures" in finding.detail


def test_with_one_camera_the_test_is_that_of_the_whole_set():
    found = aptos(400)
    alike = Aptos(found.statistics, found.grades, np.ones_like(found.geometry))
    (finding,) = judged(alike)
    assert finding.severity == LEAK
    assert "can't be told apart by how they were taken" in finding.detail
