"""How long all reports on one page take: seven simulated models on 10,000 images, and more.

Times are of the command that users type, `python report.py`, from its start to the written page.
"""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results import Result
from benchmarks.timing import Times, interleaved, spread
from dr_ovo.results.result_sets import SUFFIX
from dr_ovo.synthetic.simulated_results import simulate

ROOT = Path(__file__).resolve().parents[1]
GOAL_IMAGES = 10_000
SECONDS_GOAL, GROWTH_GOAL = 30.0, 1.2
SEED = 1


@dataclass(frozen=True)
class Size:
    """Numbers of images, ascending; growth is between the last two. Timed rounds."""

    images: tuple[int, ...]
    rounds: int


QUICK = Size(images=(200, 400), rounds=1)
FULL = Size(images=(1_000, 10_000, 100_000), rounds=1)


def measure(size: Size, folder: Path) -> list[Result]:
    """Seconds for GOAL_IMAGES, where they are among the sizes, and how seconds grow."""
    for count in size.images:
        simulate(folder / str(count), count // 2, SEED)  # two eyes of each patient
    times = interleaved(
        {str(count): partial(write_page, folder / str(count)) for count in size.images},
        size.rounds,
        untimed=False,
    )
    note = _note(times)
    results = [_growth(times, *size.images[-2:], note)]
    if GOAL_IMAGES in size.images:
        seconds = spread(times.wall[str(GOAL_IMAGES)])
        what = f"seconds for all reports on 7 models and {GOAL_IMAGES:,} images"
        results.insert(0, Result("reports_seconds", what, seconds, SECONDS_GOAL, at_least=False))
    return results


def write_page(results: Path) -> None:
    """All reports on the models in `results`, by the root script, to one page beside them."""
    folders = sorted(map(str, results.glob(f"*{SUFFIX}")))
    command = [sys.executable, str(ROOT / "report.py"), "--results_dirs", *folders]
    page = results / "report.html"
    subprocess.run(
        [*command, "--output", str(page)], check=True, stdout=subprocess.DEVNULL, cwd=results
    )


def _growth(times: Times, fewer: int, more: int, note: str) -> Result:
    expected = more * math.log(more) / (fewer * math.log(fewer))
    return Result(
        "reports_growth",
        f"time of {more:,} images / time of {fewer:,}, over the same ratio of n log n",
        times.ratio(str(more), str(fewer), factor=1 / expected),
        GROWTH_GOAL,
        at_least=False,
        note=note,
    )


def _note(times: Times) -> str:
    each = ", ".join(
        f"{int(name):,} images {np.median(times.wall[name]):.1f} "
        f"({np.median(times.cpu[name]):.1f} of processors)"
        for name in times.wall
    )
    return f"seconds: {each}"
