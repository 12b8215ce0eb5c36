"""Flags of model_analyzer.py, which shows what checkpoints contain."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.tables import say


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, analyse, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="The classifiers of each checkpoint, with their validation figures. "
        "Research use only; not a medical device.",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        action="extend",
        required=True,
        metavar="PATH",
        help="checkpoint files, globs, models folders or results folders, in any combination",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the report as JSON")
    parser.add_argument(
        "--figure",
        type=Path,
        metavar="FILE",
        help="learning curves, PNG, numbered if several [<results folder>/learning_curves.png]",
    )
    args = parser.parse_args(argv)
    from dr_ovo.reports.checkpoints.analyzer import analyze  # imports torch, which no --help needs

    say(analyze(args.model, args.output, args.figure))
    return 0
