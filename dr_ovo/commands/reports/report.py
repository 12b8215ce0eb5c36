"""Flags of report.py, which writes all reports to one HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.page import page, write_page
from dr_ovo.reports.all_reports import all_reports, summary
from dr_ovo.reports.criteria.criteria_file import DEFAULT, read_checklist
from dr_ovo.reports.first_screen import first_screen
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_file


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, report, write; returns the exit code."""
    about = "All reports on one page. Research use only; not a medical device."
    # "resolve": --output is a file here, not a folder.
    parser = argparse.ArgumentParser(prog=prog, description=about, conflict_handler="resolve")
    add_results_arguments(parser, "")
    parser.add_argument("--output", type=Path, default=Path("report.html"), metavar="FILE",
                        help="the page [report.html]")  # fmt: skip
    parser.add_argument("--criteria", type=Path, default=DEFAULT, metavar="FILE",
                        help="as TOML [dr_ovo/reports/criteria/default_criteria.toml]")  # fmt: skip
    parser.add_argument("--external", type=Path, metavar="DIR",
                        help="results of a model on an independent hold-out")  # fmt: skip
    args = parser.parse_args(argv)
    check_writable_file(args.output, "--output")
    checklist = read_checklist(args.criteria)
    results = open_results(args.results_dirs, args.models, intersect=args.intersect)
    reports = all_reports(results, checklist, args.external)
    lead = first_screen(results, reports)
    write_page(page("Report on models", summary(results), reports, lead), args.output)
    say(f"Written: {args.output}")
    return 0
