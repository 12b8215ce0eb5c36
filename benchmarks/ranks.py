"""What several processes gain over one: python benchmarks/ranks.py [--ranks 2] [--rounds 3]

Trains tf_efficientnet_lite0 on drawn photographs with torchrun, each process with one thread of the
CPU, or with a GPU where there are as many: the ten branches of independent mode, and steps of the
one branch that the processes share. One process and several take turns. The value is the median of
images per second of the epochs after the first, as history.csv has them.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.photographs import draw_photographs
from dr_ovo.distributed.division import deal_branches
from dr_ovo.errors import MachineError, run
from dr_ovo.pairs import class_pairs, pair_name
from dr_ovo.tables import say

EYEPACS = (25810, 2443, 5292, 873, 708)  # photographs of each grade in its train
ROOT = Path(__file__).resolve().parents[1]
NETWORK = (
    *("--mode", "train", "--base_models", "tf_efficientnet_lite0", "--img_size", "224"),
    *("--freeze_stages", "2", "--epochs", "2", "--train_sample", "0", "--num_workers", "1"),
    *("--keep_epoch", "last", "--allow_leaks"),  # drawn photographs are much alike
)
MODES = {
    "independent, steps of 8": ("--ovo_mode", "independent", "--batch_size", "8"),
    "shared, steps of 8": ("--batch_size", "8"),
    "shared, steps of 64": ("--batch_size", "64", "--micro_batch", "8"),
}


def main(argv: Sequence[str], prog: str = "python benchmarks/ranks.py") -> int:
    """Prints images per second by one process and by several, and their ratio."""
    parser = argparse.ArgumentParser(prog=prog, description="What several processes gain over one.")
    parser.add_argument("--ranks", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds by turns [%(default)s]")
    parser.add_argument("--photographs", type=int, default=200, help="of train [%(default)s]")
    args = parser.parse_args(argv)
    for ranks in (2, 4, 8):
        gain = _by_count(ranks)
        say(f"EyePACS's ten classifiers on {ranks} processes, by count: {gain:.1f} times")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = {"train": args.photographs // 5, "val": 2, "test": 1}
        dataset = draw_photographs(folder / "data", counts, 256)
        for mode, flags in MODES.items():
            rates: dict[int, list[float]] = {1: [], args.ranks: []}
            for number in range(args.rounds):
                for ranks, found in list(rates.items())[:: 1 if number % 2 else -1]:
                    output = folder / f"{mode} {ranks} {number}"
                    found.append(_rate(ranks, dataset, output, flags))
            ratios = [more / one for one, more in zip(*rates.values(), strict=True)]
            say(
                f"{mode}: one process {median(rates[1]):.2f} images/s, {args.ranks} "
                f"{median(rates[args.ranks]):.2f}: {median(ratios):.2f} times "
                f"({min(ratios):.2f} - {max(ratios):.2f})"
            )
    return 0


def _by_count(ranks: int) -> float:
    """By what the branches of EyePACS are faster, if only their images count."""
    images = {pair_name((a, b)): EYEPACS[a] + EYEPACS[b] for a, b in class_pairs(len(EYEPACS))}
    loads = [sum(images[name] for name in own) for own in deal_branches(images, ranks)]
    return sum(images.values()) / max(loads)


def _rate(ranks: int, dataset: Path, output: Path, flags: Sequence[str]) -> float:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks))
    done = subprocess.run(
        [
            *(sys.executable, *launcher, ROOT / "ensemble_5class_trainer.py", *NETWORK, *flags),
            *("--dataset_path", dataset, "--output_dir", output),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error:" in line]
        raise MachineError("\n".join(["A training failed:", *said]))
    with (output / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return median(float(row["images_per_second"]) for row in rows if int(row["epoch"]) > 1)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
