"""What was measured so far: one JSON file, written whole after each measurement; and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.plan import Measurement
from benchmarks.on_gpu.rows import Row
from benchmarks.on_gpu.running import DONE, FAILED_STATUS, OUT_OF_TIME, SKIPPED, Outcome
from dr_ovo.errors import DONE as ALL_MET
from dr_ovo.errors import NOT_MET, UserError
from dr_ovo.files import write_json

SCHEMA = 1
LEFT_OUT = "left out"  # for want of time
FINAL = (DONE, FAILED_STATUS, SKIPPED)
SAME = ("device", "card", "cards", "code", "quick")  # else figures don't belong together
HEADER = ("name", "value", "unit", "goal", "met", "beside")


@dataclass
class Record:
    """The figures of one card, one torch and one state of the code, in `file`."""

    file: Path
    head: dict[str, Any]
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_do(self, plan: Sequence[Measurement]) -> list[Measurement]:
        """What is still to be measured: what was never tried, then what ran out of time."""
        open_ones = [one for one in plan if self._status(one) not in FINAL]
        return sorted(open_ones, key=lambda one: self._status(one) == OUT_OF_TIME)

    def ran_out_of_time(self, measurement: Measurement) -> bool:
        """Whether it was tried, and took too long."""
        return self._status(measurement) == OUT_OF_TIME

    def _status(self, measurement: Measurement) -> str:
        return str(self.measured.get(measurement.name, {}).get("status", ""))

    def add(self, measurement: Measurement, outcome: Outcome) -> None:
        """Keeps the outcome of a measurement, in place of an earlier one, and writes the file."""
        rows = [_not_judged(row) for row in outcome.rows] if self.head["quick"] else outcome.rows
        found: dict[str, Any] = {"status": outcome.status, "reason": outcome.reason}
        found |= {"seconds": outcome.seconds, "rows": rows}
        self.measured[measurement.name] = found | ({"log": outcome.log} if outcome.log else {})
        self.write()

    def leave_out(self, measurement: Measurement, reason: str) -> None:
        """Notes that there was no time for a measurement; what it found before stays."""
        if not self.ran_out_of_time(measurement):
            self.add(measurement, Outcome(LEFT_OUT, reason))

    def write(self) -> None:
        """Writes the file, whole or not at all."""
        rows = [one | {"measurement": name} for name, one in self._rows()]
        content = {"schema": SCHEMA, "head": self.head, "rows": rows, "measured": self.measured}
        write_json(self.file, content)

    def _rows(self) -> list[tuple[str, Row]]:
        return [(name, row) for name, found in self.measured.items() for row in found["rows"]]

    @property
    def exit_code(self) -> int:
        """0 where nothing failed and all goals that were looked at are met, else 1."""
        failed = any(one["status"] == FAILED_STATUS for one in self.measured.values())
        missed = any(row["met"] is False for _, row in self._rows())
        return NOT_MET if failed or missed else ALL_MET

    def markdown(self) -> str:
        """The rows as a table for a document, what it was measured on, and what is missing."""
        cells = [HEADER, ("---",) * len(HEADER), *(_cells(row) for _, row in self._rows())]
        lines = [f"| {' | '.join(line)} |" for line in cells]
        for name, found in self.measured.items():
            if found["status"] != DONE:
                lines.append(f"- `{name}`: {found['status']}: {found['reason']}")
        return "\n".join([_about(self.head), "", *lines])


def _not_judged(row: Row) -> Row:
    """A row of a tiny network, whose goal counts only where it is a yes or no."""
    return row if isinstance(row["goal"], bool) else row | {"met": None}


def open_record(file: Path, head: dict[str, Any]) -> tuple[Record, str]:
    """The record in `file`, to go on with; a new one in the first free file beside it where that is
    of another card, torch or code. And what to say of it, "" for nothing."""
    candidate, number, why = file, 1, ""
    while candidate.exists():
        content = _read(candidate)
        differing = _differences(content["head"], head)
        if not differing:
            return Record(candidate, head, content["measured"]), f"going on with {candidate}"
        why = why or f"{file} is of another {' and '.join(differing)}: "
        number += 1
        candidate = file.with_name(f"{file.stem}_{number}{file.suffix}")
    return Record(candidate, head), f"{why}writing {candidate}" if why else ""


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    found = [key for key in SAME if one.get(key) != other.get(key)]
    torches = [head.get("versions", {}).get("torch") for head in (one, other)]
    return found + ["torch"] * (torches[0] != torches[1])


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema"] == SCHEMA and isinstance(content["head"], dict):
            return {"head": content["head"], "measured": dict(content["measured"])}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"--json {file}: not a file that this command wrote. Name another one.")


def _about(head: dict[str, Any]) -> str:
    parts = [str(head.get("card")), f"{head.get('cards')} GPU(s)"]
    parts += [f"{key} {head[key]}" for key in ("memory_gb", "capability", "driver") if key in head]
    versions = head.get("versions", {})
    parts += [f"{key} {versions[key]}" for key in ("torch", "cuda", "timm") if versions.get(key)]
    return ", ".join([*parts, f"code {head.get('code')}"])


def _cells(row: Row) -> tuple[str, ...]:
    value = _text(row["value"])
    if "low" in row:
        value += f" ({_text(row['low'])} - {_text(row['high'])})"
    goal = row["goal"]
    if goal is not None and not isinstance(goal, bool):
        goal = f"{'>=' if row['at_least'] else '<='} {goal:g}"
    beside = [f"{key}: {_text(found)}" for key, found in row["beside"].items()]
    texts = "; ".join([*beside, *filter(None, [row["note"]])]).replace("|", "/")
    return f"`{row['name']}`", value, row["unit"], _text(goal), _text(row["met"]), texts


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).split())
