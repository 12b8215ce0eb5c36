"""Decoding processes: what crashes is told from what was only near, and nothing outlives them."""

from __future__ import annotations

import errno
import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dr_ovo.batches.decoding_job import DecodingJob
from dr_ovo.decoded.processes import executor
from dr_ovo.decoded.processes.decoder import PoolClosed, Stalled
from dr_ovo.decoded.processes.pool import DecodingPool
from tests.decoded.test_disturbed import is_running
from tests.fixtures import decoders

Pool = DecodingPool[DecodingJob, str]


def jobs(*names: str) -> list[DecodingJob]:
    return [DecodingJob(Path(name), judged=True) for name in names]


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = DecodingPool(decoders.answer, 2)
    yield made
    made.close()


@pytest.fixture
def children() -> Iterator[set]:
    """The processes of a test so far; none is left behind."""
    before = set(multiprocessing.active_children())
    yield before
    # One that another thread has just waited for may still be listed, though it has ended.
    assert not [
        child for child in set(multiprocessing.active_children()) - before if is_running(child.pid)
    ]


def test_only_what_crashes_is_without_an_outcome(children, pool):
    names = ["a", "b", "crash", "c", "crash", "d"]
    expected = [None if name == "crash" else name for name in names]
    assert pool.do(jobs(*names)) == expected
    assert pool.do(jobs("e", "f")) == ["e", "f"]
    pool.close()


@pytest.mark.slow
def test_a_crash_costs_no_job_of_another_thread(children, pool):
    found: dict[int, list[str | None]] = {}

    def work(number: int) -> None:
        names = [f"{number}-{i}" for i in range(20)]
        names[10] = "crash" if number == 1 else names[10]
        found[number] = [outcome for name in names for outcome in pool.do(jobs(name))]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    for number, outcomes in found.items():
        expected: list[str | None] = [f"{number}-{i}" for i in range(20)]
        expected[10] = None if number == 1 else expected[10]
        assert outcomes == expected


def test_a_process_that_was_killed_in_between_is_replaced(children, pool):
    assert pool.do(jobs("a")) == ["a"]
    for process in set(multiprocessing.active_children()) - children:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert pool.do(jobs("b", "c")) == ["b", "c"]
    pool.close()


def test_no_answer_names_the_file(children, monkeypatch):
    pool = DecodingPool(decoders.answer, 1)
    assert pool.do(jobs("a")) == ["a"]
    # Not before, as on a busy machine a process may take long to start.
    monkeypatch.setattr(pool, "_timeout", 1.0)
    with pytest.raises(Stalled) as stalled:
        pool.do(jobs("b", "wait"))
    assert stalled.value.path == Path("wait")
    pool.close()


def test_closing_ends_a_job_under_way(children, pool):
    assert pool.do(jobs("a")) == ["a"]
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            pool.do(jobs("wait"))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    pool.close()
    thread.join(10)
    assert [type(error) for error in raised] == [PoolClosed]
    with pytest.raises(PoolClosed):
        pool.do(jobs("b"))


@pytest.mark.slow
def test_where_no_process_starts_this_one_works(children, pool, monkeypatch, caplog):
    monkeypatch.setattr(executor, "start", decoders.not_starting)
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert pool.do(jobs("a", "b")) == ["a", "b"]
        assert pool.do(jobs("c")) == ["c"]
    assert caplog.text.count("this one decodes") == 1


def test_where_the_system_has_no_semaphores_this_one_works(children, pool, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")  # as without /dev/shm

    monkeypatch.setattr(executor._Context, "BoundedSemaphore", refuse)
    assert pool.do(jobs("a")) == ["a"]


@pytest.mark.slow
def test_waiting_in_line_is_no_stall(children):
    pool = DecodingPool(decoders.answer, 1, timeout=1.0)
    assert pool.do(jobs("start")) == ["start"]
    names = [f"slow-{number}" for number in range(6)]  # a quarter of a second each
    assert pool.do(jobs(*names)) == names
    pool.close()


@pytest.mark.slow
def test_no_descriptor_is_left(children):
    def open_descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    def crash_and_close() -> None:
        pool = DecodingPool(decoders.answer, 2)
        assert pool.do(jobs("a", "crash")) == ["a", None]
        pool.close()

    crash_and_close()
    before = open_descriptors()
    crash_and_close()
    for _ in range(50):
        if open_descriptors() <= before:
            return
        time.sleep(0.1)
    raise AssertionError("descriptors stay open")


def test_closing_twice_or_without_a_job(children, pool):
    pool.close()
    pool.close()
