"""What the ranks of a run say to each other before they have joined, and when one fails."""

from __future__ import annotations

import os
import threading

import pytest
import torch.distributed as dist

from dr_ovo.distributed import launch as module
from dr_ovo.distributed.failures import FIRST_IS_THERE, OtherRankFailed, say_failure
from dr_ovo.distributed.launch import Launch, launched
from dr_ovo.distributed.place import Place
from dr_ovo.distributed.ranks import ALONE, LostRank, StoppedByAnother
from dr_ovo.errors import MachineError, UserError

FIRST, SECOND = Place(0, 2, 0, 2), Place(1, 2, 1, 2)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dist.Store:
    """The store by which the ranks find each other, in this process."""
    made = dist.HashStore()
    monkeypatch.setattr(module, "_connect", lambda: made)
    monkeypatch.setattr(module, "WORD_SECONDS", 0.3)
    made.set(FIRST_IS_THERE, "")
    return made


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch, store):
    """`launched()` of a rank."""

    def call(place: Place):
        monkeypatch.setattr(module, "place_in_environment", lambda: place)
        return launched()

    return call


def test_a_process_alone_prepares_and_goes_on(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with launched() as launch:
        assert launch.is_first
        assert launch.join(lambda: 7) == (ALONE, 7)


def fails(as_rank, place: Place, error: BaseException) -> BaseException:
    """What a rank ends with, in which this error is raised."""
    with pytest.raises(BaseException) as found, as_rank(place):  # noqa: PT011  # of any kind
        raise error
    return found.value


def test_the_first_failure_is_what_the_first_rank_says(as_rank):
    own = fails(as_rank, SECOND, UserError("no such device"))
    assert (own.exit_code, str(own)) == (2, "no such device")
    other = fails(as_rank, FIRST, LostRank(RuntimeError("closed by peer")))
    assert isinstance(other, OtherRankFailed)
    assert other.exit_code == 2
    assert str(other).startswith("rank 1 on ")
    assert str(other).endswith(": no such device")


def test_another_rank_ends_with_the_same_code_and_says_nothing(as_rank):
    fails(as_rank, FIRST, MachineError("the disk is full"))
    end = fails(as_rank, SECOND, UserError("something that followed"))
    assert isinstance(end, SystemExit)
    assert end.code == 4


def test_an_unexpected_error_has_its_traceback_and_code(as_rank, store):
    error = fails(as_rank, FIRST, ValueError("what"))
    assert error.exit_code == 70
    assert "unexpected ValueError: what. Traceback in " in str(error)
    assert b"ValueError" in store.get("failed")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), LostRank(RuntimeError("closed")), StoppedByAnother()]
)
def test_a_stop_is_no_failure(error, as_rank, store):
    assert fails(as_rank, SECOND, error) is error
    assert not store.check(["failed"])


def test_a_rank_that_waits_hears_of_a_failure(store):
    say_failure(store, FIRST, 2, "no dataset")
    with pytest.raises(OtherRankFailed, match="no dataset"):
        Launch(SECOND).join(lambda: None)


def test_a_rank_that_hears_nothing_is_ended(store, monkeypatch):
    """As one that waits for a GPU, whose peer has gone."""
    codes = []
    ended = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(module, "END_SECONDS", 0.05)
    say_failure(store, SECOND, 4, "full")
    Launch(FIRST).watch(ended)
    assert codes == [4]
