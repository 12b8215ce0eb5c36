#!/usr/bin/env python3
"""All reports on one page: python report.py --results_dirs ./*_5class_results"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dr_ovo.errors import run
from dr_ovo.reporting.all_reports import all_reports, summary
from dr_ovo.reporting.page import check_page, page, write_page
from dr_ovo.reporting.result_sets import add_results_arguments, open_results


def main() -> int:
    """Parse, report, write; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="All reports on one page that opens from disk, without a server or a network. "
        "Research use only; not a medical device.",
        conflict_handler="resolve",  # --output is a file here
    )
    add_results_arguments(parser, "")
    parser.add_argument(
        "--output", type=Path, default=Path("report.html"), metavar="FILE",
        help="the page [report.html]",
    )  # fmt: skip
    args = parser.parse_args()
    check_page(args.output)
    results = open_results(args.results_dirs, args.models, intersect=args.intersect)
    reports = all_reports(results)
    write_page(page("Report on the models", summary(results), reports), args.output)
    print(f"Written: {args.output} ({len(reports)} reports)")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
