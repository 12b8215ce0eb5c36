"""Criteria as data, and what an estimate with its interval says of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MET, NOT_MET, UNDECIDED, UNKNOWN = "met", "not met", "undecided", "can't be known"
GRADES = (
    "A: every criterion is met. B: at least half are met and none is not met. C: at least half "
    "are met, and some are not. D: fewer than half are met. F: none is met. A criterion that is "
    "undecided or can't be known is not among those met."
)


SHARES = ("accuracy", "recall", "precision", "specificity", "sensitivity")


@dataclass(frozen=True)
class Direction:
    """A way to hold an interval against a limit: surely right, and surely wrong."""

    sign: str
    met: Callable[[float, float], bool]  # the interval's nearer end, and the limit
    missed: Callable[[float, float], bool]  # the further end, and the limit
    upward: bool


DIRECTIONS = {
    "above": Direction(">", lambda e, limit: e > limit, lambda e, limit: e <= limit, True),
    "at_least": Direction(">=", lambda e, limit: e >= limit, lambda e, limit: e < limit, True),
    "below": Direction("<", lambda e, limit: e < limit, lambda e, limit: e >= limit, False),
    "at_most": Direction("<=", lambda e, limit: e <= limit, lambda e, limit: e > limit, False),
}


@dataclass(frozen=True)
class Criterion:
    """One line of the checklist; `model` is who it speaks of, `metric` a path in the figures."""

    id: str
    text: str
    model: str
    metric: str
    direction: str
    limit: float

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of images, and no difference or area."""
        path = self.metric.split(".")
        return path[-1] in SHARES and path[0] != "gain"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one criterion and one model, with what it rests on."""

    criterion: Criterion
    subject: str
    verdict: str
    metric: Mapping[str, Any]  # {"value", "low", "high"} or {"value": None, "reason"}
    why: str = ""
    images: int | None = None  # that would settle an undecided one at the present value


def judge(criterion: Criterion, subject: str, metric: Mapping[str, Any], images: int) -> Judgement:
    """Met where the interval's nearer end passes the limit, not met where the further one fails.

    A value without an interval, such as an AUC of exactly 1, is undecided. `images` is how many
    the estimate comes from.
    """
    if metric["value"] is None:
        return Judgement(criterion, subject, UNKNOWN, metric, str(metric.get("reason", "")))
    if metric.get("low") is None:
        why = f"{metric.get('reason', 'no interval')}: no number of images settles it"
        return Judgement(criterion, subject, UNDECIDED, metric, why)
    way = DIRECTIONS[criterion.direction]
    ends = metric["low"], metric["high"]
    near, far = ends if way.upward else ends[::-1]
    if way.met(near, criterion.limit):
        return Judgement(criterion, subject, MET, metric)
    if way.missed(far, criterion.limit):
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
    """How many images would part the interval from the limit, if the value stayed the same.

    None where the value is at the limit. For a share of images by Wilson's interval: its end b of
    the share p on n images satisfies (p - b)^2 = z^2 b (1 - b) / n. That gives the effective n
    that the present end stands for (patients with two eyes are fewer than images), and the n at
    which the end reaches the limit. Otherwise the width shrinks with the root of n.
    """
    value = metric["value"]
    end = metric["low"] if value > limit else metric["high"]
    distance, reach = abs(value - limit), abs(value - end)
    if distance < 1e-9:
        return None
    factor = (reach / distance) ** 2
    if is_share and all(0 < one < 1 for one in (limit, end)):
        factor *= limit * (1 - limit) / (end * (1 - end))
    return max(images + 1, math.ceil(images * factor))


def worst(judged: Sequence[Judgement]) -> Judgement:
    """The one that decides for several figures that must all pass."""
    order = [NOT_MET, UNKNOWN, UNDECIDED, MET]

    def rank(one: Judgement) -> tuple[int, float]:
        value = one.metric["value"]
        shown = math.inf if value is None else value
        upward = DIRECTIONS[one.criterion.direction].upward
        return order.index(one.verdict), shown if upward else -shown

    return min(judged, key=rank)


def letter(verdicts: Sequence[str]) -> str:
    """A to F by `GRADES`."""
    met, missed = verdicts.count(MET), verdicts.count(NOT_MET)
    if met == len(verdicts):
        return "A"
    if met == 0:
        return "F"
    if 2 * met < len(verdicts):
        return "D"
    return "C" if missed else "B"
