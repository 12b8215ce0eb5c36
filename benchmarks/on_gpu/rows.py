"""The rows of a measurement: a value with its unit, its goal, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.timing import Spread

Row = dict[str, Any]
Emit = Callable[[Row], None]


def row(
    name: str,
    value: float | bool | Spread | None,
    unit: str,
    *,
    goal: float | bool | None = None,
    at_least: bool = True,
    beside: Mapping[str, Any] | None = None,
    note: str = "",
) -> Row:
    """A row of the JSON file. `value` None: it could not be found, as `note` says, and a goal is
    not met. `at_least`: the goal is a lower limit, otherwise an upper one; that of a bool is the
    answer itself. `low` and `high` are the extremes of the rounds."""
    found: Row = {"name": name}
    if isinstance(value, Spread):
        found |= {"value": value.median, "low": value.low, "high": value.high}
    else:
        found["value"] = value
    met = None if goal is None else _is_met(found["value"], goal, at_least)
    found |= {"unit": unit, "goal": goal, "at_least": at_least, "met": met}
    return found | {"beside": dict(beside or {}), "note": note}


def _is_met(value: float | bool | None, goal: float | bool, at_least: bool) -> bool:
    if value is None or isinstance(goal, bool):
        return value is goal
    return value >= goal if at_least else value <= goal


def rate(images: int, seconds: Spread) -> Spread:
    """Images a second, from the seconds of so many."""
    return Spread(images / seconds.median, images / seconds.high, images / seconds.low)
