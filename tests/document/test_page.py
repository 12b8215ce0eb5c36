"""The page as text: everything embedded, everything escaped."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from dr_ovo.document.document import Column, Figure, Report, Section, Table
from dr_ovo.document.figure_style import new_figure, png
from dr_ovo.document.page import page, write_page
from dr_ovo.document.page_sections import MAX_ROWS, section_html
from dr_ovo.synthetic.simulated_predictions import ACCURACIES
from dr_ovo.tables import RESEARCH_USE

ROOT = Path(__file__).resolve().parents[2]
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


class Reader(HTMLParser):
    """Collects tags, checking that they close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


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


def test_report_from_folders(simulated, tmp_path):
    output = tmp_path / "report.html"
    folders = [str(simulated / f"{name}_5class_results") for name in list(ACCURACIES)[:3]]
    code = (
        "import sys\nfrom dr_ovo.commands.reports.report import main\n"
        f"argv = ['--output', {str(output)!r}, '--results_dirs', *{folders!r}]\n"
        "assert main(argv, 'report.py') == 0\nprint('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
    text = output.read_text(encoding="utf-8")
    Reader(text)
    assert text.count("<article ") == 5
