"""`python -m dr_ovo synthetic`: draws a dataset of synthetic fundus photographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.synthetic.folder import format_counts, split_patients, write_dataset
from dr_ovo.tables import say


def main(argv: Sequence[str], prog: str) -> int:
    """Draws the photographs that the options describe and prints how many there are."""
    args = build_parser(prog).parse_args(argv)
    summary = write_dataset(args.output, split_patients(args.patients), args.size, args.seed)
    say(f"{args.output}: {len(summary['images'])} photographs of {args.patients} patients.")
    say(format_counts(summary))
    say(summary["note"])
    return 0


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command's argument parser."""
    parser = argparse.ArgumentParser(
        prog=prog, description="draws a dataset of synthetic fundus photographs"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to fill")
    parser.add_argument("--size", type=int, default=320, help="side in pixels (default 320)")
    parser.add_argument("--seed", type=int, default=42, help="random seed (default 42)")
    parser.add_argument("--patients", type=int, default=85, help="two eyes each (default 85)")
    return parser
