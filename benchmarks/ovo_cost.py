"""What one-vs-one costs: an epoch and an evaluated image, from 1024 px JPEGs.

Three ways to train ten pairs: (a) ten separate classifiers, each with loaders of its own, which
decode whenever they read; (b) ours with `--ovo_mode independent`; (c) ours, shared. The layers,
what of them is frozen, memory format and precision are the same, and nothing is augmented. Ours
reads from the cache, as from the second epoch on. In evaluation our time has the filling of the
cache in it, since most test sets are evaluated once.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.ovo_ways import BATCH, Evaluations, SeparateClassifiers
from benchmarks.photographs import GRADES, draw_photographs
from benchmarks.results import Result
from benchmarks.timing import Times, interleaved
from benchmarks.trainings import training

FLAGS = (
    *("--freeze_stages", "2", "--batch_size", str(BATCH), "--gradient_accumulation_steps", "1"),
    *("--train_sample", "0", "--enable_medical_augmentation", "false"),
)
A, B, C, C_AGAIN = "separate", "independent", "shared", "shared, cached"


@dataclass(frozen=True)
class Network:
    """A network, its flags, and the goals: what (c) and (b) cost of (a) in training."""

    name: str
    timm_name: str
    flags: tuple[str, ...]
    shared_goal: float
    independent_goal: float
    evaluated_goal: float = 0.12


@dataclass(frozen=True)
class Size:
    """The networks; photographs of each grade in train and in test, their side and the network's
    input in pixels, timed rounds."""

    networks: tuple[Network, ...]
    per_grade: int
    tested_per_grade: int
    side: int
    img_size: int
    rounds: int


LITE0 = Network("lite0", "tf_efficientnet_lite0", (), 0.20, 0.75)
# Its pretrained weights are in no wheel. It has no BatchNorm, so that random ones take as long.
CONVNEXT = Network("convnext_tiny", "convnext_tiny", ("--no_pretrained",), 0.25, 0.90)
QUICK = Size((LITE0,), per_grade=4, tested_per_grade=3, side=1024, img_size=224, rounds=3)
FULL = Size((LITE0, CONVNEXT), per_grade=8, tested_per_grade=8, side=1024, img_size=224, rounds=5)


def measure(size: Size, folder: Path) -> list[Result]:
    """For each network: (c) and (b) over (a) in training, (c) over (a) in evaluation."""
    counts = {"train": size.per_grade, "val": 1, "test": size.tested_per_grade}
    dataset = draw_photographs(folder / "data", counts, size.side)
    results = []
    for network in size.networks:
        results += _of_network(network, size, dataset, folder / network.name)
    return results


def _of_network(network: Network, size: Size, dataset: Path, folder: Path) -> list[Result]:
    flags = ("--base_models", network.timm_name, "--img_size", str(size.img_size))
    flags = (*flags, *FLAGS, *network.flags)
    with ExitStack() as opened:
        shared = opened.enter_context(training(dataset, folder / "shared", *flags))
        independent = opened.enter_context(
            training(dataset, folder / "independent", *flags, "--ovo_mode", "independent")
        )
        separate = SeparateClassifiers(independent)
        trained = interleaved(
            {A: separate.train_epoch, B: independent.train_epoch, C: shared.train_epoch},
            size.rounds,
        )
        ours = Evaluations(shared, folder / "evaluated")
        evaluated = interleaved(
            {A: separate.evaluate, C: ours.first, C_AGAIN: ours.again}, size.rounds
        )
    return _results(network, size, trained, evaluated)


def _results(network: Network, size: Size, trained: Times, evaluated: Times) -> list[Result]:
    again = evaluated.ratio(C_AGAIN, A)
    return [
        Result(
            f"ovo_cost_shared_{network.name}",
            "time of an epoch, shared / ten separate classifiers",
            trained.ratio(C, A),
            network.shared_goal,
            at_least=False,
            note=f"seconds of an epoch of {GRADES * size.per_grade}: {_medians(trained)}",
        ),
        Result(
            f"ovo_cost_independent_{network.name}",
            "time of an epoch, independent / ten separate classifiers",
            trained.ratio(B, A),
            network.independent_goal,
            at_least=False,
        ),
        Result(
            f"ovo_cost_evaluated_{network.name}",
            "time of a first evaluation, shared / ten separate classifiers",
            evaluated.ratio(C, A),
            network.evaluated_goal,
            at_least=False,
            note=(
                f"again, from the cache: {again.median:.3f} ({again.low:.3f} - {again.high:.3f}); "
                f"seconds for {GRADES * size.tested_per_grade}: {_medians(evaluated)}"
            ),
        ),
    ]


def _medians(times: Times) -> str:
    return ", ".join(f"{name} {np.median(seconds):.2f}" for name, seconds in times.wall.items())
