"""Verdicts on criteria, the images that would settle them, and the letter."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dr_ovo.reports.criteria.criteria import (
    MET,
    NOT_MET,
    UNDECIDED,
    UNKNOWN,
    Criterion,
    images_needed,
    judge,
    letter,
    worst,
)


def criterion(limit=0.9, direction="above", metric="accuracy"):
    return Criterion("a", "words", "coatnet", metric, direction, limit)


def metric(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.91, 0.95, MET),
        (0.90, 0.95, UNDECIDED),  # the lower end must be above the limit
        (0.85, 0.95, UNDECIDED),
        (0.80, 0.90, NOT_MET),  # at the limit is not above it
        (0.80, 0.85, NOT_MET),
    ],
)
def test_the_ends_of_the_interval_decide(low, high, verdict):
    found = metric((low + high) / 2, low, high)
    assert judge(criterion(), "coatnet", found, 100).verdict == verdict
    turned = metric(-found["value"], -high, -low)
    assert judge(criterion(-0.9, "below"), "coatnet", turned, 100).verdict == verdict


def test_counts_have_intervals_without_width():
    for value, verdict in ((3, NOT_MET), (4, MET), (5, MET)):
        found = judge(criterion(4, "at_least", "families"), "e", metric(value, value, value), 9)
        assert found.verdict == verdict
    assert judge(criterion(4, "at_most", "families"), "e", metric(5, 5, 5), 9).verdict == NOT_MET


def test_an_auc_of_exactly_1_is_undecided_and_no_number_of_images_helps():
    perfect = {"value": 1.0, "low": None, "high": None, "reason": "shows no spread"}
    found = judge(criterion(0.998, metric="macro_auc"), "ensemble", perfect, 500)
    assert (found.verdict, found.images) == (UNDECIDED, None)
    assert "no number of images" in found.why


def test_a_value_that_is_not_there_can_not_be_known():
    missing = {"value": None, "reason": "no image of grade 1"}
    found = judge(criterion(), "coatnet", missing, 500)
    assert (found.verdict, found.why) == (UNKNOWN, "no image of grade 1")


@pytest.mark.parametrize(("hits", "images", "limit"), [(95, 100, 0.93), (100, 100, 0.98),
                                                       (87, 100, 0.9)])  # fmt: skip
def test_the_images_needed_are_those_at_which_wilsons_interval_parts_from_the_limit(
    hits, images, limit
):
    interval = binomtest(hits, images).proportion_ci(method="wilson")
    found = metric(hits / images, interval.low, interval.high)
    assert judge(criterion(limit), "coatnet", found, images).verdict == UNDECIDED
    needed = images_needed(found, limit, images, is_share=True)

    def end(count):
        ends = binomtest(round(hits / images * count), count).proportion_ci(method="wilson")
        return ends.low - limit if hits / images > limit else limit - ends.high

    assert end(round(1.1 * needed)) > 0
    assert end(round(0.9 * needed)) < 0


def test_other_widths_shrink_with_the_root():
    found = metric(0.02, 0.0, 0.04)  # 0.01 away, 0.02 wide: four times the images
    assert images_needed(found, 0.01, 100, is_share=False) == 400
    assert images_needed(metric(0.9, 0.8, 1.0), 0.9, 100, is_share=True) is None
    assert "value is at the limit" in judge(criterion(), "c", metric(0.9, 0.8, 1.0), 100).why


def test_a_gain_is_no_share():
    assert criterion(metric="per_class.1.recall").is_share
    assert not criterion(metric="gain.accuracy").is_share


def test_the_worst_decides():
    ends = [(0.95, 0.97), (0.85, 0.95), (0.91, 0.93)]
    judged = [judge(criterion(), "c", metric(sum(e) / 2, *e), 50) for e in ends]
    assert worst(judged).verdict == UNDECIDED
    assert worst([judged[0], judged[2]]).metric["value"] == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("verdicts", "grade"),
    [
        ([MET, MET], "A"),
        ([MET, UNDECIDED], "B"),
        ([MET, MET, UNKNOWN], "B"),
        ([MET, NOT_MET], "C"),
        ([MET, UNDECIDED, UNKNOWN], "D"),
        ([NOT_MET, UNDECIDED], "F"),
        ([UNKNOWN, UNDECIDED], "F"),
        ([UNKNOWN, UNKNOWN], None),
    ],
)
def test_the_letter(verdicts, grade):
    assert letter(verdicts) == grade


@given(st.lists(st.sampled_from([MET, NOT_MET, UNDECIDED, UNKNOWN]), min_size=1, max_size=8))
def test_a_criterion_met_never_lowers_the_letter(verdicts):
    for number, _ in product(range(len(verdicts)), [0]):
        better = [*verdicts[:number], MET, *verdicts[number + 1 :]]
        assert letter(better) <= (letter(verdicts) or "F")
