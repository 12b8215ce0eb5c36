"""Flags that all reports share: --results_dirs, --models, --output, --intersect."""

from __future__ import annotations

import argparse
from pathlib import Path

from dr_ovo.results.result_sets import SUFFIX


def add_results_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """--results_dirs, --models, --output (default: the folder `output`), --intersect."""
    parser.add_argument(
        "--results_dirs", nargs="+", type=Path, default=[], metavar="DIR",
        help="results folders of evaluated models",
    )  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME",
        help="models by name; those not among --results_dirs are searched for as "
        f"<name>{SUFFIX} in . and ./v2.5-model-dr",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path(output), metavar="DIR",
        help=f"folder for JSON, CSV and figures [{output}]",
    )  # fmt: skip
    parser.add_argument(
        "--intersect", action="store_true",
        help="use only the samples that all models have, where they differ",
    )  # fmt: skip
