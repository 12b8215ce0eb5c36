"""The page as text: everything embedded, everything escaped."""

from __future__ import annotations

import re

from dr_ovo.document.document import Column, Figure, Report, Section, Table
from dr_ovo.document.figure_style import new_figure, png
from dr_ovo.document.page import page, write_page
from dr_ovo.document.page_sections import MAX_ROWS, section_html
from dr_ovo.tables import RESEARCH_USE
from tests.document.tags import Reader

EVIL = '<script>alert("x")</script>\'"&'
COLUMNS = [Column("name", "Name"), Column("share", "Share", "percent"), Column("p", "p", "p")]
ROWS = [
    [EVIL, {"value": 0.9, "low": 0.85, "high": 0.95}, 0.0004],
    ["b10", {"value": None, "reason": f"no image of {EVIL}"}, 0.04],
    ["b9", {"value": 0.1, "low": None, "high": None}, None],
]


def report(rows: list = ROWS, shown: int | None = None) -> Report:
    """A report whose every text tries to break out."""
    table = Table(f"t{EVIL}", f"Title {EVIL}", COLUMNS, rows, f"Note {EVIL}", shown)
    figure = Figure("f", png(new_figure(3, 2)), f"Alt {EVIL}")
    section = Section(f"Section {EVIL}", [f"Paragraph {EVIL}"], [table], [figure])
    return Report("r", f"Report {EVIL}", {}, [section], ["SIMULATED"])


def test_nothing_breaks_out():
    text = page(f"T {EVIL}", f"S {EVIL}", [report()])
    tags = Reader(text).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert "<script>alert" not in text
    assert next(attributes["alt"] for tag, attributes in tags if tag == "img") == f"Alt {EVIL}"


def test_all_is_embedded_and_said_once():
    text = page("T", "S", [report(), report()])
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^"\s)>]+)', text)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert text.count(RESEARCH_USE) == 1
    assert text.count("SIMULATED: random numbers") == 1
    assert "SYNTHETIC:" not in text


def test_contents_lead_somewhere():
    tags = Reader(page("T", "S", [report()])).tags
    targets = {attributes["href"][1:] for tag, attributes in tags if tag == "a"}
    assert targets == {"content", "r", "r-1"}
    assert targets <= {attributes.get("id") for _, attributes in tags}


def test_cells_carry_raw_values_and_reasons():
    text = section_html(report().sections[0], "r-1")
    cells = [a for tag, a in Reader(text).tags if tag in ("td", "th") and "data-value" in a]
    raw = [cell["data-value"] for cell in cells]
    assert raw == [EVIL, "0.9", "0.0004", "b10", "", "0.04", "b9", "0.1", ""]
    assert "90.0 (85.0 to 95.0)" in text
    assert "b10, Share: no image of &lt;script&gt;" in text


def test_a_long_table_is_folded_away():
    rows = [[str(number), 0.5, 0.5] for number in range(MAX_ROWS + 3)]
    text = page("T", "S", [report(rows, shown=5)])
    assert text.count("<tr>") == MAX_ROWS + 1
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 3}" in text
    assert "<details>" in text
    assert "<details>" not in page("T", "S", [report(rows[:5], shown=5)])


def test_names_that_are_no_unicode():
    foreign = report([["caf\udce9", 0.5, 0.5]])
    assert "caf\\udce9" in page("T", "S", [foreign]).encode().decode()


def test_a_missing_folder_is_made(tmp_path):
    write_page("x", tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text() == "x"
