"""Running jobs on all cores that this process may use: in threads, results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parallel(work: Callable[[Job], Result], jobs: Sequence[Job], title: str) -> list[Result]:
    """The results of `work` for all jobs, in order, computed on all cores with a progress bar.

    Threads suffice: decoding, resizing and hashing release the GIL, and Ctrl-C stops them at once.
    """
    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            results = pool.map(work, jobs)
            return list(tqdm(results, title, total=len(jobs), unit="img", disable=None))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def in_threads(work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """The results of `work` for all jobs, in order, on all cores; numpy releases the GIL."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(work, jobs))
