"""Values against goals: what is met, the table, the JSON file, the exit code."""

from __future__ import annotations

import json

import pytest

from benchmarks.results import Result, exit_code, markdown_table, notes, write_results
from benchmarks.timing import Spread


def result(value: float, goal: float, *, at_least: bool, note: str = "") -> Result:
    return Result("name", "what", Spread(value, 0.5, 12.0), goal, at_least, note)


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(1.0, True, True), (0.99, True, False), (1.0, False, True), (1.01, False, False)],
)
def test_a_goal_is_a_limit_that_counts_as_met(value, at_least, met):
    assert result(value, 1.0, at_least=at_least).met is met


def test_the_exit_code_is_1_where_one_goal_is_not_met():
    met, missed = result(2, 1, at_least=True), result(2, 1, at_least=False)
    assert (exit_code([]), exit_code([met]), exit_code([met, missed])) == (0, 0, 1)


def test_the_json_file(tmp_path):
    file = tmp_path / "results.json"
    write_results([result(2, 1, at_least=False)], file)
    assert json.loads(file.read_text()) == [
        {"name": "name", "value": 2, "goal": 1, "met": False, "low": 0.5, "high": 12.0}
    ]


def test_the_table_can_stand_in_a_document():
    lines = markdown_table([result(2, 1.5, at_least=True), result(20, 1, at_least=False)])
    assert lines.splitlines() == [
        "| name | what | value | spread | goal | met |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `name` | what | 2.000 | 0.500 - 12.0 | >= 1.5 | yes |",
        "| `name` | what | 20.0 | 0.500 - 12.0 | <= 1 | no |",
    ]


def test_notes_are_listed_where_there_are_any():
    both = [result(1, 1, at_least=True), result(1, 1, at_least=True, note="seen")]
    assert notes(both) == "- `name`: seen"
