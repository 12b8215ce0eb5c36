"""`python -m dr_ovo simulate`: results folders of simulated models, for trying the reports."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.errors import DONE, UserError
from dr_ovo.results.result_sets import SUFFIX
from dr_ovo.synthetic.simulated_predictions import ACCURACIES
from dr_ovo.synthetic.simulated_results import simulate
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Writes seven results folders and truth.json."""
    parser = argparse.ArgumentParser(
        prog=prog, description="writes results of simulated models, for trying the reports"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the results folders")
    parser.add_argument("--patients", type=int, default=500, help="test patients, two eyes each; "
                        "half as many in val [500]")  # fmt: skip
    parser.add_argument("--seed", type=int, default=42, help="random seed [42]")
    args = parser.parse_args(argv)
    if args.patients < 20:
        raise UserError(f"--patients {args.patients}: expected 20 or more.")
    check_writable_folder(args.output, "--output")
    simulate(args.output, args.patients, args.seed)
    say(
        f"{len(ACCURACIES)} simulated models, {2 * args.patients} test images each, no pictures: "
        f"{args.output}\nNext: python compare_models.py --results_dirs {args.output}/*{SUFFIX}"
    )
    return DONE
