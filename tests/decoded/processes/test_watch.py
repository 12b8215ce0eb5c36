"""When nothing has moved for too long, and what only looks like it."""

from __future__ import annotations

import pytest

from dr_ovo.decoded.processes import watch
from dr_ovo.decoded.processes.watch import Watch


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that only the test moves on."""
    now = [1000.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    return now


def looks(one: Watch, clock: list[float], *steps: tuple[float, object]) -> list[bool]:
    found = []
    for seconds, progress in steps:
        clock[0] += seconds
        found.append(one.has_stalled(progress))
    return found


def test_no_progress_for_the_whole_time(clock):
    one = Watch(20)
    assert looks(one, clock, *[(5, "a")] * 5) == [False, False, False, False, True]


def test_progress_starts_the_time_anew(clock):
    steps = [(5, "a")] * 4 + [(5, "b")] * 4
    assert not any(looks(Watch(20), clock, *steps))


def test_a_time_in_which_this_process_was_stopped_counts_little(clock):
    one = Watch(120)
    assert looks(one, clock, (5, "a"), (5, "a"), (7200, "a"), (5, "a")) == [False] * 4
    assert looks(one, clock, *[(5, "a")] * 20)[-1]
