#!/usr/bin/env python3
"""What heads, losses and augmentation are worth: trains each arm in 5 folds, and keeps what each
picture is graded by the network that did not see it.

Runs in benchmarks/results are not repeated; what was stopped goes on.
usage: python -m benchmarks.ablation --dataset idrid=FOLDER retinamnist28=FOLDER --output RUNS
       python -m benchmarks.ablation --report docs/results.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.skill.arms import ARMS, SMALL, STAGES
from benchmarks.skill.report import write_report
from benchmarks.skill.running import train_missing
from dr_ovo.errors import DONE, UserError, run
from dr_ovo.locks.folders import TRIALS, only_writer


def main() -> int:
    """Trains what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", nargs="+", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--output", type=Path, help="where the trainings are kept")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the page of results")
    parser.add_argument("--stages", nargs="+", type=int, choices=STAGES, default=list(STAGES))
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="these alone [all]")
    parser.add_argument("--at_a_time", type=int, default=2, help="trainings at a time [2]")
    args = parser.parse_args()
    if (args.dataset and args.output is None) or not (args.dataset or args.report):
        raise UserError("Expected --dataset with --output, or --report FILE.")
    datasets = {}
    for text in args.dataset:
        name, _, folder = text.partition("=")
        if name not in SMALL or not Path(folder).is_dir():
            raise UserError(
                f"--dataset {text}: expected NAME=FOLDER, a name of {', '.join(SMALL)} and a "
                "folder that prepare_dataset.py made."
            )
        datasets[name] = Path(folder)
    unknown = set(args.arms or ()) - {run.arm for stage in STAGES.values() for run in stage()}
    if unknown:
        raise UserError(f"--arms {' '.join(sorted(unknown))}: expected some of {', '.join(ARMS)}.")
    runs = [
        run
        for stage in args.stages
        for run in STAGES[stage]()
        if not args.arms or run.arm in args.arms
    ]
    if datasets:
        with only_writer(args.output, TRIALS):
            train_missing(runs, datasets, args.output, args.at_a_time)
    if args.report:
        write_report(args.report)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
