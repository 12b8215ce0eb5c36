"""A report on the screen and in files."""

import csv
import json

import pytest

from dr_ovo.document.document import Column, Figure, Report, Section, Table
from dr_ovo.document.screen_and_files import (
    reasons,
    report_text,
    table_csv,
    table_text,
    write_report,
    written_line,
)

METRIC = {"value": 0.5, "low": 0.25, "high": 0.75}
COLUMNS = (Column("model", "model"), Column("recall", "recall %", "percent"))


def recalls(rows, **changes):
    return Table("recalls", "Recalls", COLUMNS, rows, **changes)


def a_report(marks=()):
    section = Section(
        "Part", ["Words."], [recalls([["a", METRIC]])], [Figure("dot", b"png", "alt")]
    )
    return Report("report", "Title", {"schema": 1, "n": 3}, [section], marks)


def test_a_table_is_aligned_with_note_and_reasons():
    rows = [["coatnet", METRIC], ["b", {"value": None, "reason": "no image of grade 3"}]]
    assert table_text(recalls(rows, note="A note.")).splitlines() == [
        "Recalls",
        "model               recall %",
        "-------  -------------------",
        "coatnet  50.0 (25.0 to 75.0)",
        "b                          -",
        "A note.",
        "b, recall %: no image of grade 3",
    ]


def test_a_reason_names_the_model_of_its_row():
    columns = (Column("grade", "grade"), Column("model", "model"), *COLUMNS[1:])
    missing = {"value": None, "reason": "no image was predicted as grade 0"}
    table = Table("recalls", "Recalls", columns, [["0", "a", missing], ["0", "b", METRIC]])
    assert reasons(table) == ["0, a, recall %: no image was predicted as grade 0"]


def test_a_table_may_show_some_rows_or_none():
    rows = [["a", 0.1], ["b", 0.2], ["c", 0.3]]
    some = table_text(recalls(rows, shown=1))
    assert "a " in some
    assert "2 more rows in recalls.csv" in some
    assert "20.0" not in some
    assert table_text(recalls(rows, shown=0)) == "Recalls: 3 rows in recalls.csv"
    assert len(table_csv(recalls(rows, shown=0)).splitlines()) == 4


def test_csv_bears_the_marks_of_its_report():
    read = list(
        csv.reader(table_csv(recalls([["a", METRIC]]), ("LEAKY", "SYNTHETIC")).splitlines())
    )
    assert [row[-1] for row in read] == ["marks", "LEAKY SYNTHETIC"]


def test_csv_is_unrounded_and_gives_intervals_their_columns():
    rows = [["a", METRIC], ["b, c", {"value": None, "reason": "why"}], ["d", {"value": 1 / 3}]]
    read = list(csv.reader(table_csv(recalls(rows)).splitlines()))
    assert read == [
        ["model", "recall", "recall_low", "recall_high"],
        ["a", "0.5", "0.25", "0.75"],
        ["b, c", "", "", ""],
        ["d", str(1 / 3), "", ""],
    ]


def test_the_report_ends_with_its_one_sentence():
    text = report_text(a_report())
    assert text.startswith("Title\n\n== Part\n\nWords.\n\nRecalls\n")
    assert text.endswith("\n\nResearch use only; not a medical device.")


@pytest.mark.parametrize("mark", ["SYNTHETIC", "SIMULATED", "LEAKY"])
def test_marks_stand_first_and_in_the_json(tmp_path, mark):
    report = a_report((mark,))
    assert report_text(report).splitlines()[2].startswith(f"{mark}: ")
    write_report(report, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["marks"] == [mark]


def test_everything_is_written(tmp_path):
    output = tmp_path / "new" / "folder"
    written = write_report(a_report(), output)
    assert [path.name for path in written] == ["report.json", "recalls.csv", "dot.png"]
    assert sorted(path.name for path in output.iterdir()) == sorted(p.name for p in written)
    assert json.loads(written[0].read_text()) == {
        "marks": [],
        "notice": "Research use only; not a medical device.",
        "schema": 1,
        "n": 3,
    }
    assert written[2].read_bytes() == b"png"
    line = " ".join(written_line(written).split())
    assert line == f"Written to {output}: report.json, recalls.csv, dot.png"


def test_names_are_not_run_by_a_spreadsheet_and_numbers_stay_numbers():
    columns = (Column("=model", "model"), Column("lead", "lead", "signed_percent"))
    table = Table("leads", "Leads", columns, [["=1+1", -0.5], ["@x", {"value": -0.25, "low": -1}]])
    assert table_csv(table) == ("'=model,lead,lead_low,lead_high\n'=1+1,-0.5,,\n'@x,-0.25,-1,\n")


def test_a_name_of_several_lines_stays_one_row_on_the_screen():
    text = table_text(recalls([["a\nb\x1b[2J", 0.1]]))
    assert len(text.splitlines()) == 4
    assert "a\\nb\\x1b[2J" in text
