"""Flags of evaluate_super_ensemble.py: --method, --weight_by, --baseline, --export."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.commands.reports.arguments import add_results_arguments
from dr_ovo.document.screen_and_files import report_text, write_report, written_line
from dr_ovo.ensembles.combination import METHODS
from dr_ovo.errors import DONE
from dr_ovo.reports.ensemble.files import check_targets, export_manifest, write_results
from dr_ovo.reports.ensemble.report import ensemble_report
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.results.result_sets import open_results
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, combine, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Several models as one ensemble, compared with its members and with smaller "
        "ensembles. Research use only; not a medical device.",
    )
    add_results_arguments(parser, "super_ensemble")
    parser.add_argument("--method", choices=METHODS, default="mean", help="[mean]")
    parser.add_argument("--weight_by", choices=("accuracy", "kappa"), default="accuracy",
                        help="for --method weighted, measured on val [accuracy]")  # fmt: skip
    parser.add_argument("--baseline", nargs="+", default=[], metavar="NAME",
                        help="members of a smaller ensemble [the four CNNs]")  # fmt: skip
    parser.add_argument("--export", type=Path, metavar="FILE", help="manifest for --mode inference")
    args = parser.parse_args(argv)
    check_writable_folder(args.output, "--output")
    results = open_results(args.results_dirs, args.models, intersect=args.intersect, min_models=2)
    check_targets(results, args.output, args.export)
    study = study_ensemble(results, CombinationRule(args.method, args.weight_by), args.baseline)
    report = ensemble_report(study)
    written = [*write_report(report, args.output), *write_results(study, args.output)]
    say(report_text(report), written_line(written), sep="\n\n")
    if args.export:
        say(export_manifest(study, args.export))
    return DONE
