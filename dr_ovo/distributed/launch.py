"""Starting a run of several ranks: the first one prepares, then all join; an error of one ends all.

torchrun starts the processes and holds the store by which they find each other. A rank that fails
leaves its message there, so that the log of the first says what happened, wherever it did.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from dr_ovo.distributed.place import Place, place_in_environment
from dr_ovo.distributed.ranks import ALONE, Joined, LostRank, Ranks
from dr_ovo.errors import ToolkitError, UserError, exit_code_and_text, log
from dr_ovo.signals import Terminated, received_code

T = TypeVar("T")
FIRST_IS_THERE, READY, FAILED = "first is there", "ready ", "failed"
LOOK_SECONDS, WATCH_SECONDS = 0.2, 1.0
END_SECONDS = 15.0  # for a rank to end in order; torchrun kills after 30
WORD_SECONDS = 3.0  # for the message of a rank whose end was seen before it
START_TIMEOUT = timedelta(minutes=1)  # of a Python with its packages, on a busy machine
# A rank that has ended is noticed at once; the others may wait long for one that works.
CONNECT_TIMEOUT, EXCHANGE_TIMEOUT = timedelta(minutes=10), timedelta(days=2)

_LAUNCHES = itertools.count()  # of this process, each with its own names in the store


@dataclass(frozen=True)
class Failure:
    """How a rank failed."""

    rank: int
    host: str
    code: int
    text: str


class OtherRankFailed(ToolkitError):
    """Another rank has failed, with this message and exit code."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"rank {failure.rank} on {failure.host}: {failure.text}")
        self.failure, self.exit_code = failure, failure.code


class OwnFailure(ToolkitError):
    """This rank has failed, with this exit code and message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = code


class Launch:
    """This process among those of its run, before they have joined. Raises UserError where the
    others can't be reached."""

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self._store = _connect() if place else None
        if self._store is not None and self.is_first:
            self._store.set(FIRST_IS_THERE, "")

    @property
    def is_first(self) -> bool:
        """Whether this rank prepares the run."""
        return self.place is None or self.place.rank == 0

    def join(self, prepare: Callable[[], T]) -> tuple[Ranks, T]:
        """Has the first rank `prepare` what all need, however long that takes; then all join, and
        get it."""
        if self.place is None or self._store is None:
            return ALONE, prepare()
        prepared = None
        if self.is_first:
            prepared = prepare()
        self._wait_for_all(self.place, self._store)
        backend = "gloo"
        if self.place.local < torch.cuda.device_count():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(self.place.local)
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("group", self._store),
            rank=self.place.rank,
            world_size=self.place.count,
            timeout=EXCHANGE_TIMEOUT,
        )
        ranks = Joined(self.place.rank, self.place.count)
        return ranks, cast(T, ranks.broadcast(prepared))

    def _wait_for_all(self, place: Place, store: dist.Store) -> None:
        all_ready = [f"{READY}{rank}" for rank in range(place.count)]
        try:
            store.set(f"{READY}{place.rank}", "")
            while not store.check(all_ready):
                if failure := self.failure_of_another():
                    raise OtherRankFailed(failure)
                time.sleep(LOOK_SECONDS)
        except RuntimeError as error:  # the store went with the process that held it
            raise LostRank(error) from error

    def say_failure(self, code: int, text: str) -> None:
        """Tells the other ranks that this one fails; the first one that fails is believed.

        Waits for the first rank to be there, which says it: torchrun ends all when this one ends.
        """
        if self.place is not None and self._store is not None:
            failure = Failure(self.place.rank, socket.gethostname(), code, text)
            with contextlib.suppress(RuntimeError):  # the store went with the process that held it
                self._store.compare_set(FAILED, "", json.dumps(asdict(failure)))
                self._store.wait([FIRST_IS_THERE], START_TIMEOUT)

    def failure_of_another(self, seconds: float = 0.0) -> Failure | None:
        """How another rank failed; waits so long for its word."""
        return _failure(self.place, self._store, seconds) if self.place and self._store else None

    def watch(self, ended: threading.Event) -> None:
        """Ends this process where another rank has failed and this one does not hear of it, since
        it waits for a GPU; until the run has `ended`."""
        assert self._store is not None
        store: Any = self._store
        store = store.clone()  # a client waits for one answer at a time
        while not ended.wait(WATCH_SECONDS):
            failure = _failure(self.place, store)
            if failure is not None:
                if not ended.wait(END_SECONDS):
                    if self.is_first:
                        log.error("error: %s", OtherRankFailed(failure))
                    os._exit(failure.code)
                return


def _connect() -> dist.Store:
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=CONNECT_TIMEOUT))
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"The other processes of this run can't be reached ({error}). Start all with "
            "torchrun, which sets MASTER_ADDR and MASTER_PORT."
        ) from None
    return dist.PrefixStore(f"dr_ovo/{next(_LAUNCHES)}", store)


def _failure(place: Place | None, store: dist.Store, seconds: float = 0.0) -> Failure | None:
    end = time.monotonic() + seconds
    with contextlib.suppress(RuntimeError):  # the store went with the process that held it
        while not store.check([FAILED]):
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_SECONDS)
        failure = Failure(**json.loads(store.get(FAILED)))
        return failure if place is not None and failure.rank != place.rank else None
    return None


@contextlib.contextmanager
def launched() -> Iterator[Launch]:
    """This process's launch; an error inside the context reaches the other ranks."""
    launch = Launch(place_in_environment())
    if launch.place is None:
        yield launch
        return
    ended = threading.Event()
    threading.Thread(target=launch.watch, args=(ended,), daemon=True).start()
    try:
        yield launch
        if dist.is_initialized():  # not after an error: that waits for what other ranks don't send
            dist.destroy_process_group()
    except (Exception, KeyboardInterrupt, Terminated) as error:
        raise _what_ends_this_rank(launch, error) from None
    finally:
        ended.set()


def _what_ends_this_rank(launch: Launch, error: BaseException) -> BaseException:
    """The failure of another rank, where that came first, said by the first rank alone; else its
    own error, which the others are told."""
    failure = None
    with contextlib.suppress(KeyboardInterrupt, Terminated):  # of torchrun, which ends all
        failure = launch.failure_of_another(WORD_SECONDS if isinstance(error, LostRank) else 0.0)
    if failure is not None:
        return OtherRankFailed(failure) if launch.is_first else SystemExit(failure.code)
    stopped = not isinstance(error, ToolkitError) and received_code() is not None
    if isinstance(error, LostRank) or not isinstance(error, Exception) or stopped:
        return error
    own = OwnFailure(*exit_code_and_text(error))
    launch.say_failure(own.exit_code, str(own))
    return own
