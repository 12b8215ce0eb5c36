"""Flags of medical_validation.py, which judges models against criteria; its exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.screen_and_files import report_text, write_report, written_line
from dr_ovo.errors import DONE, NOT_MET
from dr_ovo.reports.criteria.criteria_file import DEFAULT, read_checklist
from dr_ovo.reports.criteria.report import validation_report
from dr_ovo.reports.criteria.validation import validate
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, judge, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Judges models against criteria, by 95 %% intervals. Research use only; not a "
        "medical device.",
    )
    add_results_arguments(parser, "./validation")
    parser.add_argument("--criteria", type=Path, default=DEFAULT, metavar="FILE",
                        help="as TOML [dr_ovo/reports/criteria/default_criteria.toml]")  # fmt: skip
    parser.add_argument("--external", type=Path, metavar="DIR",
                        help="results of a model on an independent hold-out, such as "
                        "RESULTS_DIR/external/NAME")  # fmt: skip
    args = parser.parse_args(argv)
    check_writable_folder(args.output, "--output")
    checklist = read_checklist(args.criteria)
    results = open_results(args.results_dirs, args.models, intersect=args.intersect)
    report = validation_report(validate(results, checklist, args.external))
    say(report_text(report))
    say(written_line(write_report(report, args.output)))
    return DONE if report.data["grade"] == "A" else NOT_MET
