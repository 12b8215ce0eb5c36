"""Flags of analyze_per_class_strengths.py, the report on each grade and pair."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.screen_and_files import report_text, write_report, written_line
from dr_ovo.reports.strengths.strengths import analyze_strengths
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, analyse, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Every model on every grade and pair, with 95 %% intervals; the best for each, "
        "and the mistakes that all models share. Research use only; not a medical device.",
    )
    add_results_arguments(parser, "./strengths")
    args = parser.parse_args(argv)
    check_writable_folder(args.output, "--output")
    results = open_results(args.results_dirs, args.models, intersect=args.intersect)
    report = analyze_strengths(results)
    written = write_report(report, args.output)
    say(report_text(report), written_line(written), sep="\n\n")
    return 0
