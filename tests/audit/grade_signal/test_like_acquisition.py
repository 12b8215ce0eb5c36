"""A camera that follows a grade, told from a filter on it: APTOS 2019 in numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.cameras import Numbers, differences, findings_of, planted, read_numbers
from dr_ovo.audit.findings import LEAK, WARNING
from dr_ovo.audit.grade_signal.like_acquisition import told_by_cluster
from tests.conftest import real_data
from tests.fixtures.slow import slow


def aptos(per_grade: int) -> Numbers:
    """At most `per_grade` pictures of each grade, as an audit draws them."""
    numbers = read_numbers(real_data("aptos_statistics") / "aptos_statistics.npz")
    rng = np.random.default_rng(7)
    drawn = [
        rng.permutation(np.flatnonzero(numbers.grades == grade))[:per_grade] for grade in range(5)
    ]
    return numbers.take(np.concatenate(drawn))


@cache
def what_it_does(name: str) -> np.ndarray:
    """(K, S) the differences that a filter makes to real photographs."""
    return differences(sorted(real_data("idrid_small").glob("*/*/*.jpg"))[::3], name)


@pytest.mark.parametrize("per_grade", [600, *slow(10_000)])
def test_aptos_is_no_leak(per_grade):
    (finding,) = findings_of(aptos(per_grade))
    assert finding.kind == "acquisition_reveals_grade"
    assert finding.severity == WARNING
    assert finding.grades == [0]
    assert finding.score == pytest.approx(0.975, abs=0.006)
    for words in ("other cameras took grade 0", "by the camera alone", "statistics_only"):
        assert words in finding.detail


FILTERS = [
    "CLAHE 3.0", "brightness x 1.2", "brightness x 0.8", "contrast x 1.2", "JPEG quality 50",
]  # fmt: skip


OFTEN = [(0, "CLAHE 3.0"), (2, "JPEG quality 50")]
SELDOM = [case for case in itertools.product((0, 2), FILTERS) if case not in OFTEN]


@pytest.mark.parametrize(("grade", "name"), [*OFTEN, *slow(*SELDOM)])
def test_a_filter_on_one_grade_is_a_leak(name, grade):
    findings = findings_of(planted(aptos(400), what_it_does(name), grade))
    leaks = [finding for finding in findings if finding.severity == LEAK]
    assert grade in {g for finding in leaks for g in finding.grades}
    assert {finding.kind for finding in leaks} == {"processing_reveals_grade"}


def test_a_grade_of_a_camera_of_its_own_stays_a_leak():
    """None of its pictures can be compared with others taken alike."""
    found = aptos(400)
    geometry = found.geometry.copy()
    geometry[found.grades == 0, 1] = 0.4
    (finding,) = findings_of(replace(found, geometry=geometry))
    assert finding.severity == LEAK
    assert "only 0 % of its pictures" in finding.detail


def test_with_one_camera_the_test_is_that_of_the_whole_set():
    found = aptos(400)
    alike = replace(found, geometry=np.ones_like(found.geometry))
    (finding,) = findings_of(alike)
    assert finding.severity == LEAK
    assert "can't be told apart by how they were taken" in finding.detail


def test_a_camera_tells_a_grade_by_its_share_of_the_grade():
    positive = np.array([True] * 3 + [False] * 5)
    # Shares of 2/3, 1/3, 0: of 15 pairs 10 are in order and 4 tie.
    clusters = np.array([0, 0, 1, 0, 1, 1, 2, 2])
    assert told_by_cluster(positive, clusters) == pytest.approx(12 / 15)
    assert told_by_cluster(positive, np.zeros(8, np.int64)) == 0.5
    assert told_by_cluster(positive, np.full(8, -1)) == 0.5


def test_pictures_in_no_cluster_are_no_camera():
    """What they have in common is only that few are like each."""
    counts = {0: (6, 4), 1: (0, 20), -1: (9, 1)}  # of the grade, and of others
    rows = [(c, own) for c, n in counts.items() for own in (True, False) for _ in range(n[not own])]
    clusters, positive = (np.array(column) for column in zip(*rows, strict=True))
    # Those nine of the grade are above the 20 of camera 1, and below the four of camera 0.
    assert told_by_cluster(positive, clusters) == pytest.approx((6 * 23 + 9 * 20.5) / (15 * 25))
