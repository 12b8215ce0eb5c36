"""Verdict on one criterion (met, not met, undecided), images needed, and the grades A to F."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MET, NOT_MET, UNDECIDED, UNKNOWN = "met", "not met", "undecided", "can't be known"
GRADES = (
    "A: every criterion is met. B: at least half are met and none is not met. C: at least half "
    "are met, and some are not. D: fewer than half are met. F: none is met. A criterion that is "
    "undecided or can't be known does not count as met. Where none can be known, there is no grade."
)


SHARES = ("accuracy", "recall", "precision", "specificity", "sensitivity")


@dataclass(frozen=True)
class Direction:
    """A way to compare an interval with a limit: certainly met, and certainly missed."""

    sign: str
    met: Callable[[float, float], bool]  # arguments: the least favourable end, the limit
    missed: Callable[[float, float], bool]  # arguments: the most favourable end, the limit
    upward: bool


DIRECTIONS = {
    "above": Direction(">", lambda e, limit: e > limit, lambda e, limit: e <= limit, True),
    "at_least": Direction(">=", lambda e, limit: e >= limit, lambda e, limit: e < limit, True),
    "below": Direction("<", lambda e, limit: e < limit, lambda e, limit: e >= limit, False),
    "at_most": Direction("<=", lambda e, limit: e <= limit, lambda e, limit: e > limit, False),
}


@dataclass(frozen=True)
class Criterion:
    """One line of the checklist; `model` says what it applies to, `metric` is a path."""

    id: str
    text: str
    model: str
    metric: str
    direction: str
    limit: float

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of images, not a difference or an area."""
        path = self.metric.split(".")
        return path[-1] in SHARES and path[0] != "gain"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one criterion and one model, and the metric that it is based on."""

    criterion: Criterion
    subject: str
    verdict: str
    metric: Mapping[str, Any]  # {"value", "low", "high"} or {"value": None, "reason"}
    why: str = ""
    images: int | None = None  # needed to settle an undecided criterion at the present value


def judge(criterion: Criterion, subject: str, metric: Mapping[str, Any], images: int) -> Judgement:
    """Met where even the least favourable end of the interval passes the limit, not met where even
    the most favourable one fails.

    A value without an interval, such as an AUC of exactly 1, is undecided. `images` is the number
    of images that the estimate comes from.
    """
    if metric["value"] is None:
        return Judgement(criterion, subject, UNKNOWN, metric, str(metric.get("reason", "")))
    if metric.get("low") is None:
        why = f"{metric.get('reason', 'no interval')}: no number of images settles it"
        return Judgement(criterion, subject, UNDECIDED, metric, why)
    direction = DIRECTIONS[criterion.direction]
    ends = metric["low"], metric["high"]
    worst_end, best_end = ends if direction.upward else ends[::-1]
    if direction.met(worst_end, criterion.limit):
        return Judgement(criterion, subject, MET, metric)
    if direction.missed(best_end, criterion.limit):
        return Judgement(criterion, subject, NOT_MET, metric)
    needed = images_needed(metric, criterion.limit, images, criterion.is_share)
    why = (
        f"about {needed:,} test images at the present value would settle it" if needed else AT_LIMIT
    )
    return Judgement(criterion, subject, UNDECIDED, metric, why, needed)


AT_LIMIT = "no number of images would settle it: the value is at the limit"


def images_needed(
    metric: Mapping[str, Any], limit: float, images: int, is_share: bool
) -> int | None:
    """The number of images at which the interval would exclude the limit, at the same value.

    None where the value is at the limit. For a share of images, by Wilson's interval: its end b
    for a share p of n images satisfies (p - b)^2 = z^2 b (1 - b) / n. This gives the effective n
    of the present end (patients with two eyes are fewer than images) and the n at which the end
    reaches the limit. Otherwise the width is assumed to shrink with the square root of n.
    """
    value = metric["value"]
    end = metric["low"] if value > limit else metric["high"]
    distance, half_width = abs(value - limit), abs(value - end)
    if distance < 1e-9:
        return None
    factor = (half_width / distance) ** 2
    if is_share and all(0 < one < 1 for one in (limit, end)):
        factor *= limit * (1 - limit) / (end * (1 - end))
    return max(images + 1, math.ceil(images * factor))


def worst(judged: Sequence[Judgement]) -> Judgement:
    """The judgement that decides where several metrics must all pass."""
    order = [NOT_MET, UNKNOWN, UNDECIDED, MET]

    def rank(one: Judgement) -> tuple[int, float]:
        value = one.metric["value"]
        shown = math.inf if value is None else value
        upward = DIRECTIONS[one.criterion.direction].upward
        return order.index(one.verdict), shown if upward else -shown

    return min(judged, key=rank)


def letter(verdicts: Sequence[str]) -> str | None:
    """The grade A to F, by the rule in `GRADES`; None where no criterion can be known."""
    if verdicts and verdicts.count(UNKNOWN) == len(verdicts):
        return None
    met, missed = verdicts.count(MET), verdicts.count(NOT_MET)
    if met == len(verdicts):
        return "A"
    if met == 0:
        return "F"
    if 2 * met < len(verdicts):
        return "D"
    return "C" if missed else "B"
