"""What a benchmark found, held against its goal: a table, a JSON file, an exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Spread
from dr_ovo.errors import DONE, NOT_MET

HEADER = ("name", "what", "value", "spread", "goal", "met")


class NotMeasured(Exception):
    """This machine lacks what a benchmark needs; the text says what."""


@dataclass(frozen=True)
class Result:
    """A value with its spread (smallest and largest of the rounds) and its goal.

    `what` says what the value is, with its unit. `at_least`: the goal is a lower limit, otherwise
    an upper one. `note` is what else was seen, "" for nothing.
    """

    name: str
    what: str
    spread: Spread
    goal: float
    at_least: bool
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the value, the median of the rounds, is on the right side of the goal."""
        value = self.spread.median
        return value >= self.goal if self.at_least else value <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """The row of the JSON file."""
        return {
            "name": self.name,
            "value": self.spread.median,
            "goal": self.goal,
            "met": self.met,
            "low": self.spread.low,
            "high": self.spread.high,
        }


def markdown_table(results: Sequence[Result]) -> str:
    """The results as a table for a document."""
    rows = [HEADER, ("---",) * len(HEADER)]
    for result in results:
        found = result.spread
        sign = ">=" if result.at_least else "<="
        rows.append(
            (
                f"`{result.name}`",
                result.what,
                _number(found.median),
                f"{_number(found.low)} - {_number(found.high)}",
                f"{sign} {result.goal:g}",
                "yes" if result.met else "no",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def notes(results: Sequence[Result]) -> str:
    """The notes of all results, a line each; "" where there are none."""
    return "\n".join(f"- `{result.name}`: {result.note}" for result in results if result.note)


def write_results(results: Sequence[Result], path: Path) -> None:
    """Writes the rows of all results as a JSON list."""
    path.write_text(json.dumps([result.to_dict() for result in results], indent=2) + "\n")


def exit_code(results: Sequence[Result]) -> int:
    """0 where all goals are met, else 1."""
    return DONE if all(result.met for result in results) else NOT_MET


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
