"""Flags of compare_models.py, the comparison of models on test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.screen_and_files import report_text, write_report, written_line
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, compare, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compares models on test, with 95 %% intervals, and says which differences "
        "from the best on val are significant. Research use only; not a medical device.",
    )
    add_results_arguments(parser, "./comparison")
    args = parser.parse_args(argv)
    check_writable_folder(args.output, "--output")
    results = open_results(args.results_dirs, args.models, intersect=args.intersect)
    report = compare(results)
    written = write_report(report, args.output)
    say(report_text(report), written_line(written), sep="\n\n")
    return 0
