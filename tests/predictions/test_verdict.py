"""Verdicts by operating points: their order, doubts about a negative, eyes and patients."""

import itertools

import numpy as np
import pytest

from dr_ovo.predictions.operating_points import OperatingPoint, OperatingPoints
from dr_ovo.predictions.verdict import Graded, Judged, Verdict, joint, judge

NAMES = ("No DR", "Mild", "Moderate", "Severe", "Proliferative")


def points(sensitive: float | None, specific: float | None, threatening: float | None) -> dict:
    def point(threshold: float | None) -> OperatingPoint:
        return OperatingPoint(threshold, None if threshold is not None else "none there")

    return {
        "referable": OperatingPoints(point(sensitive), point(specific)),
        "vision_threatening": OperatingPoints(point(0.1), point(threatening)),
    }


def photograph(
    referable: float, threatening: float, reach: int = 0, members: int = 0, why: tuple = ()
) -> Graded:
    """One with these summed probabilities, a set up to grade `reach`, and so many of three members
    that see referable disease."""
    p = [1 - referable, 0, referable - threatening, threatening, 0]
    grades = np.array([[2 if number < members else 0] for number in range(3)])
    return Graded(np.array([p]), np.zeros(1, int), np.array([[0, reach]]), grades, [why])


@pytest.mark.parametrize(
    ("graded", "expected"),
    [
        (photograph(0.9, 0.8, why=("too dark",)), Verdict.UNGRADABLE),
        (photograph(0.9, 0.6), Verdict.VISION_THREATENING),  # at the point itself
        (photograph(0.7, 0.59), Verdict.REFERABLE),
        (photograph(0.69, 0.59), Verdict.PERSON),
        (photograph(0.2, 0.0), Verdict.PERSON),  # at the point itself: not below it
        (photograph(0.19, 0.0), Verdict.NEGATIVE),
        (photograph(0.19, 0.0, reach=1), Verdict.NEGATIVE),
        (photograph(0.19, 0.0, reach=2), Verdict.PERSON),
        (photograph(0.19, 0.0, members=1), Verdict.PERSON),
    ],
)
def test_the_order(graded, expected):
    (judged,) = judge(graded, points(0.2, 0.7, 0.6), NAMES)
    assert judged.verdict is expected
    assert judged.reasons


def test_where_thresholds_cross_the_lower_alone_decides():
    crossed = points(0.7, 0.2, 0.9)
    for value, expected in ((0.19, Verdict.NEGATIVE), (0.2, Verdict.REFERABLE)):
        (judged,) = judge(photograph(value, 0.0), crossed, NAMES)
        assert judged.verdict is expected


def test_what_has_no_point_is_left_to_a_person():
    (judged,) = judge(photograph(0.0, 0.0), points(None, 0.7, 0.6), NAMES)
    assert judged == Judged(
        Verdict.PERSON, ("no high_sensitivity point for referable: none there",)
    )
    (judged,) = judge(photograph(1.0, 1.0), points(0.2, None, None), NAMES)
    assert judged.verdict is Verdict.PERSON
    assert len(judged.reasons) == 3


def test_without_sets_the_members_alone_raise_doubts():
    one = photograph(0.1, 0.0)
    (judged,) = judge(
        Graded(one.probabilities, one.predicted, None, one.grades, [()]),
        points(0.2, 0.7, 0.6),
        NAMES,
    )
    assert judged.verdict is Verdict.NEGATIVE


def test_a_negative_is_not_graded_referable():
    """The joint grade may be, though no member's is."""
    one = photograph(0.1, 0.0)
    graded = Graded(one.probabilities, np.array([2]), one.sets, one.grades, [()])
    (judged,) = judge(graded, points(0.2, 0.7, 0.6), NAMES)
    assert judged == Judged(Verdict.PERSON, ("it is graded Moderate",))


def test_a_positive_wins_then_a_person_then_ungradable():
    order = [
        Verdict.VISION_THREATENING, Verdict.REFERABLE, Verdict.PERSON, Verdict.UNGRADABLE,
        Verdict.NEGATIVE,
    ]  # fmt: skip
    for one, other in itertools.product(order, repeat=2):
        found = joint([Judged(one, (f"{one} it is",)), Judged(other, ("other",))])
        assert found.verdict is order[min(order.index(one), order.index(other))]
    found = joint([Judged(Verdict.PERSON, ("a", "b")), Judged(Verdict.PERSON, ("b", "c"))])
    assert found.reasons == ("a", "b", "c")
