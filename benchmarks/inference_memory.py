"""Whether the memory of inference grows with the photographs: python -m benchmarks.inference_memory

Trains tf_efficientnet_lite0 from random weights for an epoch, and grades ever more photographs with
it, each time in a process of its own, of which the peak is taken (the maximum resident set size, as
the system counts it). The photographs are drawn, and linked to many names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.photographs import draw_photographs
from dr_ovo.errors import MachineError, UserError, run
from dr_ovo.files import write_json
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_file

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "tf_efficientnet_lite0"
DRAWN = 8  # of each grade
COUNTS = (500, 2_000, 8_000)
HEADER = ("photographs", "peak memory, MiB", "seconds", "KiB more for each more photograph")


@dataclass(frozen=True)
class Graded:
    """Photographs that one process graded, its peak memory in bytes, and its seconds."""

    photographs: int
    peak: int
    seconds: float


def main(argv: Sequence[str], prog: str = "python -m benchmarks.inference_memory") -> int:
    """Prints the peak memory by the number of photographs."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Whether the memory of inference grows with the photographs."
    )
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, metavar="N",
                        help="photographs of each run [500 2000 8000]")  # fmt: skip
    parser.add_argument("--side", type=int, default=64,
                        help="their side, and the network's, in pixels [%(default)s]")  # fmt: skip
    parser.add_argument("--network", default=NETWORK, help="timm model [%(default)s]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the rows, too")
    args = parser.parse_args(argv)
    if min(args.counts) < 1:
        raise UserError(f"--counts {min(args.counts)}: expected 1 or more.")
    if args.json:
        check_writable_file(args.json, "--json")
    with tempfile.TemporaryDirectory(prefix="inference_memory_") as name:
        found = measure(Path(name), sorted(args.counts), args.side, args.network)
    say(markdown(found))
    if args.json:
        write_json(args.json, [vars(one) for one in found])
    return 0


def measure(folder: Path, counts: Sequence[int], side: int, network: str) -> list[Graded]:
    """Grades so many photographs, ascending, each number in a process of its own."""
    dataset = draw_photographs(folder / "data", {"train": DRAWN, "val": 2, "test": 1}, side)
    drawn = sorted((dataset / "train").rglob("*.jpeg"))
    model = folder / "model"
    size = ("--img_size", str(side), "--num_workers", "0", "--device", "cpu")
    _trainer(
        *("--mode", "train", "--base_models", network, "--no_pretrained", "--epochs", "1"),
        *("--dataset_path", dataset, "--output_dir", model, "--allow_leaks", "--train_sample", "0"),
        *("--cache", "off", *size),
    )
    found = []
    for count in counts:
        photographs = folder / str(count)
        photographs.mkdir()
        for number in range(count):
            os.link(drawn[number % len(drawn)], photographs / f"{number:07}.jpeg")
        output = folder / f"{count}.csv"
        graded = _trainer(
            *("--mode", "inference", "--output_dir", model, "--input", photographs),
            *("--output", output, *size),
        )
        with output.open() as file:
            rows = sum(1 for _ in islice(file, 1, None))
        if rows != count:
            raise MachineError(f"{rows} of {count} photographs were graded.")
        found.append(Graded(count, *graded))
    return found


def _trainer(*words: object) -> tuple[int, float]:
    """Runs the trainer; its peak memory in bytes, and its seconds.

    Raises MachineError if it fails."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "ensemble_5class_trainer.py"), *map(str, words)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise MachineError(f"The trainer failed:\n{said.read().decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, time.monotonic() - start


def markdown(found: Sequence[Graded]) -> str:
    """The rows as a table for a document; growth is against the row before."""
    lines = [HEADER, ("---",) * len(HEADER)]
    for before, one in zip([None, *found], found, strict=False):
        growth = "-"
        if before is not None and one.photographs > before.photographs:
            more = (one.peak - before.peak) / (one.photographs - before.photographs)
            growth = f"{more / 2**10:.2f}"
        lines.append(
            (f"{one.photographs:,}", f"{one.peak / 2**20:.0f}", f"{one.seconds:.0f}", growth)
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
