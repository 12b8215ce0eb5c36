"""Running jobs on all cores that this process may use: in threads, results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def each_in_parallel(
    work: Callable[[Job], Result], jobs: Sequence[Job], title: str, workers: int | None = None
) -> Iterator[Result]:
    """The results of `work` for all jobs, in order, as they are ready, with a progress bar.

    Computed by `workers` threads (None: one per core). Threads suffice: decoding, resizing and
    hashing release the GIL. Ctrl-C stops them at once.
    """
    pool = ThreadPoolExecutor(workers or available_cores())
    try:
        results = pool.map(work, jobs)
        yield from tqdm(
            results, title, total=len(jobs), unit="img", disable=None if jobs else True, leave=False
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_parallel(work: Callable[[Job], Result], jobs: Sequence[Job], title: str) -> list[Result]:
    """The results of `work` for all jobs, in order; see `each_in_parallel`."""
    return list(each_in_parallel(work, jobs, title))


def in_threads(work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """The results of `work` for all jobs, in order, on all cores; numpy releases the GIL."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(work, jobs))
