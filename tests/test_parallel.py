"""Work in threads: in order, ahead by so much, and ended with what asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dr_ovo.parallel import Ahead, available_cores, each_in_parallel, in_threads


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads):
    def work(job: int) -> int:
        time.sleep(0.002 * (job % 3))
        return job * job

    with Ahead(work, threads, 4) as ahead:
        assert list(ahead.results(range(20))) == [job * job for job in range(20)]
        assert list(ahead.results([])) == []


def test_no_more_is_begun_than_asked_for():
    begun: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            begun.append(job)
            yield job

    with Ahead(lambda job: job, 2, 5) as ahead:
        results = ahead.results(jobs())
        next(results)
        assert len(begun) == 5
        results.close()


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_reaches_who_asked(threads):
    with Ahead(lambda job: 1 // job, threads, 2) as ahead, pytest.raises(ZeroDivisionError):
        list(ahead.results([2, 1, 0, 5]))


def test_what_is_checked_while_nothing_comes_ends_the_wait(monkeypatch):
    monkeypatch.setattr("dr_ovo.parallel.CLOSE_SECONDS", 0.1)  # the thread that waits goes on

    def check() -> None:
        raise TimeoutError

    done = threading.Event()
    with Ahead(lambda _: done.wait(20), 1, 1) as ahead, pytest.raises(TimeoutError):
        list(ahead.results([1], check, 0.01))
    done.set()


def test_threads_end_with_it():
    before = set(threading.enumerate())  # threads of other tests may end in the meantime
    with Ahead(str, 3, 3) as ahead:
        assert list(ahead.results(range(5))) == ["0", "1", "2", "3", "4"]
        own = set(threading.enumerate()) - before
        assert len(own) == 3
    for thread in own:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_on_all_cores_in_order():
    assert in_threads(str, range(50)) == [str(number) for number in range(50)]
    assert list(each_in_parallel(str, range(7), "counting")) == [str(number) for number in range(7)]
    assert available_cores() >= 1
