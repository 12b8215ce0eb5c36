"""Times of several ways to do the same, taken by turns, and ratios of them with their spread.

A machine's speed drifts, and others may use it. So every round runs each way once, and a ratio is
that of two ways in the same round: its median over the rounds, and its smallest and largest.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

Work = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The median of a value over the rounds, and its smallest and largest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Times:
    """Seconds of each way in each round, (R,): by the clock (`wall`), and of all processors
    (`cpu`, with those of processes that were started and have ended)."""

    wall: dict[str, np.ndarray]
    cpu: dict[str, np.ndarray]

    def fastest(self, *names: str) -> str:
        """The name, of those given, with the smallest median by the clock."""
        return min(names, key=lambda name: float(np.median(self.wall[name])))

    def ratio(self, over: str, under: str, *, factor: float = 1.0) -> Spread:
        """`factor` x the seconds of `over` / those of `under`, by the clock."""
        return spread(factor * self.wall[over] / self.wall[under])

    def cpu_ratio(self, over: str, under: str, *, factor: float = 1.0) -> Spread:
        """As `ratio`, by the processors."""
        return spread(factor * self.cpu[over] / self.cpu[under])


def interleaved(ways: Mapping[str, Work], rounds: int, *, untimed: bool = True) -> Times:
    """The times of all `ways`, by turns: forwards in one round, backwards in the next.

    `untimed`: a round before the others fills caches and counts for nothing.
    """
    names = list(ways)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    if untimed:
        for name in names:
            ways[name]()
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            clock, processors = time.perf_counter(), processor_seconds()
            ways[name]()
            wall[name].append(time.perf_counter() - clock)
            cpu[name].append(processor_seconds() - processors)
    return Times(_arrays(wall), _arrays(cpu))


def processor_seconds() -> float:
    """Seconds that this process and the processes it started, once they have ended, computed."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spread(values: np.ndarray) -> Spread:
    """Median, smallest and largest of (R,) values."""
    return Spread(float(np.median(values)), float(values.min()), float(values.max()))


def growth_exponents(sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(R,): the b of seconds = a x sizes^b by least squares on the logarithms, in each round.

    `sizes` (S,), `seconds` (S, R). 1 is linear.
    """
    centred = np.log(sizes) - np.log(sizes).mean()
    slopes: np.ndarray = centred @ np.log(seconds) / (centred @ centred)
    return slopes


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within the context, torch computes on `count` threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _arrays(lists: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in lists.items()}
