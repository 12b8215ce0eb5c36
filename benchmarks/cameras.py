"""How the audit tells a camera that follows a grade from a filter on it, on APTOS 2019 in numbers.

    python benchmarks/cameras.py --statistics aptos_statistics.npz --images ./idrid

The .npz has `statistics` (N, S), `grades` (N,), `disc_width` and `disc_height` (N,) of photographs
in square frames. Filters are planted by adding to the statistics of one grade what each filter does
to those of real photographs (`--images`, differences of single pictures, drawn at random). "whole
set" is the test without cameras.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.alterations import ALTERATIONS
from dr_ovo.audit.checks.measured_sample import MeasuredSample
from dr_ovo.audit.checks.processing import processing_findings
from dr_ovo.audit.findings import LEAK, Finding, Photograph
from dr_ovo.audit.grade_signal.acquisition_clusters import acquisition_clusters
from dr_ovo.audit.image_statistics import STATISTICS_SIDE, image_statistics, statistics_names
from dr_ovo.photographs.image_decoding import decode_bytes

FILTERS = (
    "CLAHE 3.0", "brightness x 1.2", "brightness x 0.8", "contrast x 1.2", "contrast x 0.8",
    "resized to half", "JPEG quality 50",
)  # fmt: skip
SIZES = (100, 200, 500)


@dataclass(frozen=True)
class Numbers:
    """`statistics` (N, S), `grades` (N,) and `geometry` (N, 3) of photographs."""

    statistics: np.ndarray
    grades: np.ndarray
    geometry: np.ndarray

    def take(self, chosen: np.ndarray) -> Numbers:
        """Those of the `chosen` photographs, by position."""
        return Numbers(self.statistics[chosen], self.grades[chosen], self.geometry[chosen])


def read_numbers(path: Path) -> Numbers:
    """The numbers in the .npz."""
    with np.load(path) as held:
        outline = np.stack([np.ones(len(held["grades"])), held["disc_width"], held["disc_height"]])
        statistics = held["statistics"].astype(np.float64)
        return Numbers(statistics, held["grades"].astype(int), outline.T)


def findings_of(numbers: Numbers) -> list[Finding]:
    """The findings on processing of an audit that measured these numbers."""
    names = tuple(str(grade) for grade in range(int(numbers.grades.max()) + 1))
    photographs = tuple(
        Photograph(Path(str(number)), str(number), "train", names[grade])
        for number, grade in enumerate(numbers.grades)
    )
    groups = np.arange(len(photographs))
    sample = MeasuredSample(photographs, names, numbers.grades, groups, numbers.statistics)
    return processing_findings(sample, lambda: acquisition_clusters(numbers.geometry))[0]


def verdict(numbers: Numbers, *, cameras: bool = True) -> str:
    """`leak`, `warning` or `nothing`; without `cameras` all pictures count as taken alike."""
    if not cameras:
        numbers = replace(numbers, geometry=np.ones_like(numbers.geometry))
    findings = findings_of(numbers)
    if any(finding.severity == LEAK for finding in findings):
        return "leak"
    return "warning" if findings else "nothing"


def print_samples(numbers: Numbers, draws: int) -> None:
    """How often a random sample is stopped."""
    print(f"{'pictures':>8}  stopped, whole set  stopped, among pictures taken alike")
    rng = np.random.default_rng(0)
    for size in SIZES:
        counts: Counter[bool] = Counter()
        for _ in range(draws):
            some = numbers.take(rng.choice(len(numbers.grades), size, replace=False))
            for cameras in (False, True):
                counts[cameras] += verdict(some, cameras=cameras) == "leak"
        print(f"{size:8}  {counts[False] / draws:18.0%}  {counts[True] / draws:35.0%}")


def differences(images: list[Path], name: str) -> np.ndarray:
    """(K, S) what the filter of this name does to the statistics of single photographs."""
    rows = []
    for path in images:
        data = path.read_bytes()
        image = decode_bytes(data, STATISTICS_SIDE)
        before = image_statistics(data, image)
        after = image_statistics(data, ALTERATIONS[name](image))
        rows.append([after[key] - before[key] for key in statistics_names()])
    return np.array(rows)


def planted(numbers: Numbers, rows: np.ndarray, grade: int) -> Numbers:
    """The numbers as if every picture of the grade had been filtered: each gets one of the `rows`
    (K, S) of `differences`, drawn at random."""
    statistics = numbers.statistics.copy()
    members = np.flatnonzero(numbers.grades == grade)
    drawn = np.random.default_rng(grade).integers(len(rows), size=len(members))
    statistics[members] += rows[drawn]
    return replace(numbers, statistics=statistics)


def print_planted(numbers: Numbers, images: list[Path]) -> None:
    """The verdict with a filter on each grade in turn."""
    grades = sorted(set(numbers.grades.tolist()))
    print(f"{'filter on one grade':22}" + "".join(f"{f'grade {grade}':>10}" for grade in grades))
    for name in FILTERS:
        rows = differences(images, name)
        said = [verdict(planted(numbers, rows, grade)) for grade in grades]
        print(f"{name:22}" + "".join(f"{word:>10}" for word in said))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statistics", type=Path, required=True, help="the .npz of numbers")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--sample", type=int, default=60, help="photographs to filter [60]")
    parser.add_argument("--draws", type=int, default=100, help="samples of each size [100]")
    args = parser.parse_args()
    numbers = read_numbers(args.statistics)
    print(f"{len(numbers.grades)} photographs, whole set: {verdict(numbers, cameras=False)}; "
          f"among pictures taken alike: {verdict(numbers)}\n")  # fmt: skip
    print_samples(numbers, args.draws)
    images = sorted(path for path in args.images.rglob("*.jpg"))
    print()
    print_planted(numbers, images[:: max(1, len(images) // args.sample)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
