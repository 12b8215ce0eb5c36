"""Measures the toolkit's speed against goals: python -m benchmarks [--quick] [--json FILE]."""

from __future__ import annotations

import argparse
import cProfile
import importlib
import os
import platform
import pstats
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import (
    NotMeasured,
    Result,
    exit_code,
    markdown_table,
    notes,
    write_results,
)
from benchmarks.timing import torch_threads
from dr_ovo.errors import UserError, run
from dr_ovo.parallel import available_cores
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_file

PROFILED = 20  # functions
ABOUT = """Measures the toolkit's speed against goals on drawn photographs, on the CPU.
Exit code 1 where a goal is not met. Ratios are within one run, its rounds by turns: the median,
the smallest and the largest of the rounds. What can't be measured here is left out."""
# Each is a module of this package with `measure(size, folder)`, and the sizes QUICK and FULL.
BENCHMARKS = {
    "trainer_overhead": "a training step from the cache, against a bare loop on tensors in memory",
    "data_path": "reading 1024 px JPEGs, against PIL, torchvision and CLAHE one by one",
    "ovo_cost": "one-vs-one training and evaluation, against ten separate classifiers",
    "timm_loop": "an epoch, against one with timm's loader and optimizer",
    "reports": "all reports on one page, and how their time grows",
    "growth": "how an epoch's time grows with photographs and classes",
}
STAND_ALONE = {
    "ablation.py": "what heads, losses and decoders are worth, out of fold",
    "best_figures.sh": "the best figures reached on IDRiD and RetinaMNIST",
    "cameras.py": "how the audit tells a camera that follows a grade from a filter on it",
    "damaged_jpegs.py": "how much damage inside JPEGs is found, and what the checks cost",
    "explanations.py": "whether maps of contributions point at lesions, and what they are worth",
    "gates.py": "which pictures are told from fundus photographs, and from those of a training",
    "gpu.sh": "the toolkit on a GPU, in 9 minutes and without network",
    "heads.py": "one-vs-one, softmax and ordinal heads on the same data",
    "inference_memory.py": "whether the memory of inference grows with the photographs",
    "interval_coverage.py": "how often the 95 % intervals hold the truth",
    "many_photographs.py": "time and memory of the audit on many photographs",
    "memory_format.py": "which networks train faster in channels_last",
    "near_duplicates.py": "how reliably copies of photographs are found",
    "on_cpu.py": "what small parts and kept memory gain on a CPU",
    "planted_filters.py": "how well the audit sees a filter on one grade",
    "quality.py": "the image quality of photographs, whole and damaged",
    "ranks.py": "what several processes gain over one",
    "seven_models.sh": "all seven architectures through an epoch and every report",
    "sizes.py": "memory, disk and time of the seven architectures, by photographs",
}
PARTS = {
    "alterations.py": "alterations of photographs",
    "gate_pictures": "a folder: altered photographs, and other pictures, for gates.py",
    "gpu.py": "what gpu.sh runs",
    "map_scores": "a folder: scores of maps and of controls, for explanations.py",
    "network_sizes.py": "what an architecture takes of memory, disk and time",
    "on_gpu": "a folder: its measurements, and what runs them",
    "ovo_ways.py": "ten separate classifiers, and our evaluation",
    "photographs.py": "drawn photographs",
    "plain_training.py": "what users would write without this toolkit",
    "results": "a folder: the predictions of the ablation",
    "results.py": "values, goals, table and JSON",
    "skill": "a folder: the arms of the ablation, their trainings, and the page of results",
    "timing.py": "times by turns, ratios and their spread",
    "trainings.py": "the trainer up to its loop",
}


def main(argv: Sequence[str], prog: str = "python -m benchmarks") -> int:
    """Runs the benchmarks that are named, or all; 1 where a goal is not met."""
    args = build_parser(prog).parse_args(argv)
    unknown = [name for name in args.only if name not in BENCHMARKS]
    if unknown:
        raise UserError(
            f"--only {' '.join(unknown)}: no such benchmark. Expected: {', '.join(BENCHMARKS)}."
        )
    if args.threads < 1:
        raise UserError(f"--threads {args.threads}: expected 1 or more.")
    if args.json:
        check_writable_file(args.json, "--json")
    results: list[Result] = []
    with torch_threads(args.threads):
        for name in args.only or BENCHMARKS:
            results += _profiled(name, args.quick) if args.profile else _timed(name, args.quick)
            if args.json:
                write_results(results, args.json)
    say(markdown_table(results), "", notes(results), "", conditions(args.threads))
    return exit_code(results)


def _profiled(name: str, quick: bool) -> list[Result]:
    """As `_timed`; prints the functions of this thread that took most of the time."""
    with cProfile.Profile() as profile:
        found = _timed(name, quick)
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(PROFILED)
    return found


def _timed(name: str, quick: bool) -> list[Result]:
    """The results of a benchmark, none where it can't be measured here; says how long it took."""
    started = time.monotonic()
    try:
        found = run_one(name, quick)
    except NotMeasured as error:
        print(f"{name}: not measured here: {error}", file=sys.stderr)
        return []
    values = ", ".join(f"{one.name} {one.spread.median:.3f}" for one in found)
    print(f"{name}: {values} ({time.monotonic() - started:.0f} s)", file=sys.stderr)
    return found


def conditions(threads: int) -> str:
    """What the figures depend on: processor, cores, threads, and how busy the machine was."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{platform.machine()}, {available_cores()} cores, {threads} threads for the network; "
        f"load average of the last minute {load} (this run itself gives about {threads})"
    )


def run_one(name: str, quick: bool) -> list[Result]:
    """The results of one benchmark, which works in a temporary folder of its own."""
    module = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(prefix=f"{name}_") as folder:
        found: list[Result] = module.measure(module.QUICK if quick else module.FULL, Path(folder))
    return found


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command's argument parser; its help names all files of this folder."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=f"{ABOUT}\n\nbenchmarks:\n{_listed(BENCHMARKS)}",
        epilog=(
            f"measurements that stand alone, and need data or hours:\n{_listed(STAND_ALONE)}\n\n"
            f"parts:\n{_listed(PARTS)}"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true",
                        help="smaller and fewer: under 3 minutes on 2 cores")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="writes the rows as a JSON list, too")  # fmt: skip
    parser.add_argument("--profile", action="store_true",
                        help="prints which functions take the time; it slows all down")  # fmt: skip
    parser.add_argument("--threads", type=int, default=available_cores(), metavar="N",
                        help="threads that compute the network [one per core]; a machine that "
                        "others use, too, gives steadier ratios with 1")  # fmt: skip
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME",
                        help="only these benchmarks")  # fmt: skip
    return parser


def _listed(names: dict[str, str]) -> str:
    return "\n".join(f"  {name:<22}{what}" for name, what in names.items())


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
