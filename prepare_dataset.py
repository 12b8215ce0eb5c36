#!/usr/bin/env python3
"""Makes a dataset folder from photographs and a CSV of grades, or shrinks one; see --help."""

import argparse
import sys
from pathlib import Path

from dr_ovo.errors import run


def main() -> int:
    """Parses the command line and does one of the two; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, help="folder of photographs, with --labels")
    source.add_argument("--from_tree", type=Path, help="a dataset folder, with --preprocess")
    parser.add_argument("--labels", type=Path, help="CSV with a row for each photograph")
    parser.add_argument("--output", type=Path, required=True, help="the new dataset folder")
    parser.add_argument("--val_fraction", type=float, default=0.1, help="patients in val [0.1]")
    parser.add_argument("--test_fraction", type=float, default=0.2, help="patients in test [0.2]")
    parser.add_argument("--seed", type=int, default=42, help="another seed, another split [42]")
    parser.add_argument("--preprocess", type=int, metavar="SIZE", help="crop and resize to SIZE px")
    args = parser.parse_args()

    from dr_ovo.data.prepare import prepare

    return prepare(args)


if __name__ == "__main__":
    sys.exit(run(main))
