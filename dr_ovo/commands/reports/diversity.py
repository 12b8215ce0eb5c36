"""Flags of analyze_ensemble_diversity.py, the report on how differently models err."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.screen_and_files import report_text, write_report, written_line
from dr_ovo.reports.diversity.diversity import diversity
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, analyse, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="How differently two or more models err on test, and which adds most to their "
        "mean ensemble. Research use only; not a medical device.",
    )
    add_results_arguments(parser, "./diversity")
    args = parser.parse_args(argv)
    check_writable_folder(args.output, "--output")
    results = open_results(args.results_dirs, args.models, intersect=args.intersect, min_models=2)
    report = diversity(results)
    written = write_report(report, args.output)
    say(report_text(report), written_line(written), sep="\n\n")
    return 0
