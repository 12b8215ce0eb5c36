"""How an epoch's training time grows: with the number of photographs, and of classes (shared).

Photographs come from the cache. The growth with photographs is the b of time = a x n^b over four
sizes; 1 is linear. The growth with classes is the time with 10 over that with 3, for equally many
photographs: 45 heads and 3 on one backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.photographs import GRADES, draw_photographs
from benchmarks.results import Result
from benchmarks.timing import Times, Work, growth_exponents, interleaved, spread
from benchmarks.trainings import training

FLAGS = ("--batch_size", "8", "--gradient_accumulation_steps", "1", "--train_sample", "0")
PHOTOGRAPHS_GOAL, CLASSES_GOAL = 1.1, 1.1
FEW_CLASSES, MANY_CLASSES = 3, 10


@dataclass(frozen=True)
class Size:
    """Photographs of each of five grades, four sizes ascending; photographs of all classes
    together, a multiple of 30; the photographs' and the network's side in pixels; timed rounds."""

    per_grade: tuple[int, ...]
    with_classes: int
    side: int
    img_size: int
    rounds: int


QUICK = Size(per_grade=(2, 4, 8, 16), with_classes=30, side=96, img_size=96, rounds=3)
FULL = Size(per_grade=(16, 32, 64, 128), with_classes=240, side=256, img_size=224, rounds=5)


def measure(size: Size, folder: Path) -> list[Result]:
    """Both growths."""
    sizes = {str(GRADES * count): (count, GRADES) for count in size.per_grade}
    by_size = _epochs(size, folder, sizes)
    seconds = np.stack([by_size.wall[name] for name in sizes])
    counts = {
        f"{classes} classes": (size.with_classes // classes, classes)
        for classes in (FEW_CLASSES, MANY_CLASSES)
    }
    few, many = counts
    by_classes = _epochs(size, folder, counts)
    return [
        Result(
            "growth_photographs",
            f"b of epoch time = a x n^b, for n = {', '.join(sizes)} photographs",
            spread(growth_exponents(np.array([float(name) for name in sizes]), seconds)),
            PHOTOGRAPHS_GOAL,
            at_least=False,
            note=_note(by_size),
        ),
        Result(
            "growth_classes",
            f"epoch time with {many} / with {few}, {size.with_classes} photographs",
            by_classes.ratio(many, few),
            CLASSES_GOAL,
            at_least=False,
            note=_note(by_classes),
        ),
    ]


def _epochs(size: Size, folder: Path, sets: Mapping[str, tuple[int, int]]) -> Times:
    """The times of epochs on datasets: name -> (photographs of each class, classes)."""
    with ExitStack() as opened:
        ways: dict[str, Work] = {}
        for name, (count, classes) in sets.items():
            place = folder / name.replace(" ", "_")
            dataset = draw_photographs(
                place / "data", {"train": count, "val": 1, "test": 1}, size.side, classes
            )
            flags = ("--num_classes", str(classes), "--img_size", str(size.img_size), *FLAGS)
            begun = opened.enter_context(training(dataset, place / "results", *flags))
            ways[name] = begun.train_epoch
        return interleaved(ways, size.rounds)


def _note(times: Times) -> str:
    each = ", ".join(f"{name} {np.median(seconds):.2f}" for name, seconds in times.wall.items())
    return f"seconds of an epoch: {each}"
