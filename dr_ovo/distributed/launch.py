"""Starting a run of several ranks: the first one prepares, then all join; an error of one ends all.

torchrun starts the processes and holds the store by which they find each other. A rank leaves its
warnings and its failure there, so that the log of the first says what happened, wherever it did.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from dr_ovo.distributed.failures import (
    FIRST_IS_THERE,
    LOOK_SECONDS,
    OtherRankFailed,
    OwnFailure,
    failure_of_another,
    say_failure,
)
from dr_ovo.distributed.passed_warnings import Passed, PassOn
from dr_ovo.distributed.place import Place, place_in_environment
from dr_ovo.distributed.ranks import ALONE, Joined, LostRank, Ranks
from dr_ovo.errors import ToolkitError, UserError, exit_code_and_text, log
from dr_ovo.logs import stop_file
from dr_ovo.signals import Terminated, received_code

T = TypeVar("T")
READY = "ready "
WATCH_SECONDS = 1.0
END_SECONDS = 15.0  # for a rank to end in order; torchrun kills after 30
WORD_SECONDS = 3.0  # for the message of a rank whose end was seen before it
# A rank that has ended is noticed at once; the others may wait long for one that works.
CONNECT_TIMEOUT, EXCHANGE_TIMEOUT = timedelta(minutes=10), timedelta(days=2)

_LAUNCHES = itertools.count()  # of this process, each with its own names in the store


class Launch:
    """This process among those of its run, before they have joined. Raises UserError where the
    others can't be reached."""

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self._store = _connect() if place else None
        self._warnings: Passed | None = None
        if place is not None and self._store is not None and self.is_first:
            self._warnings = Passed(_clone(self._store), place.count)
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
                if failure := failure_of_another(store, place):
                    raise OtherRankFailed(failure)
                time.sleep(LOOK_SECONDS)
        except RuntimeError as error:  # the store went with the process that held it
            raise LostRank(error) from error

    @contextlib.contextmanager
    def warnings_passed_on(self) -> Iterator[None]:
        """Within the context the warnings of this rank reach the log files of the first one."""
        if self.place is None or self._store is None or self.is_first:
            yield
            return
        handler = PassOn(_clone(self._store), self.place.rank)
        log.addHandler(handler)
        try:
            yield
        finally:
            stop_file(handler)

    def take_warnings(self) -> None:
        """Has the log files of the first rank say of what other ranks have warned so far."""
        if self._warnings is not None:
            self._warnings.take()

    def watch(self, ended: threading.Event) -> None:
        """Takes warnings, and ends this process where another rank has failed and this one does not
        hear of it, since it waits for a GPU; until the run has `ended`."""
        assert self.place is not None
        assert self._store is not None
        store = _clone(self._store)
        while not ended.wait(WATCH_SECONDS):
            self.take_warnings()
            failure = failure_of_another(store, self.place)
            if failure is not None:
                if not ended.wait(END_SECONDS):
                    if self.is_first:
                        log.error("error: %s", OtherRankFailed(failure))
                    os._exit(failure.code)
                return

    def what_ends_this_rank(self, error: BaseException) -> BaseException:
        """The failure of another rank, where that came first, said by the first rank alone; else
        the `error`, which the others are told."""
        if self.place is None or self._store is None:
            return error
        failure = None
        with contextlib.suppress(KeyboardInterrupt, Terminated):  # of torchrun, which ends all
            seconds = WORD_SECONDS if isinstance(error, LostRank) else 0.0
            failure = failure_of_another(self._store, self.place, seconds)
        if failure is not None:
            return OtherRankFailed(failure) if self.is_first else SystemExit(failure.code)
        stopped = not isinstance(error, ToolkitError) and received_code() is not None
        if isinstance(error, LostRank) or not isinstance(error, Exception) or stopped:
            return error
        own = OwnFailure(*exit_code_and_text(error))
        say_failure(self._store, self.place, own.exit_code, str(own))
        return own


def _connect() -> dist.Store:
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=CONNECT_TIMEOUT))
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"The other processes of this run can't be reached ({error}). Start all with "
            "torchrun, which sets MASTER_ADDR and MASTER_PORT."
        ) from None
    return dist.PrefixStore(f"dr_ovo/{next(_LAUNCHES)}", store)


def _clone(store: Any) -> dist.Store:
    """Another client of a store, for another thread: each waits for one answer at a time."""
    return cast(dist.Store, store.clone())


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
        with launch.warnings_passed_on():
            yield launch
        launch.take_warnings()
        if dist.is_initialized():  # not after an error: that waits for what other ranks don't send
            dist.destroy_process_group()
    except (Exception, KeyboardInterrupt, Terminated) as error:
        what = launch.what_ends_this_rank(error)
        launch.take_warnings()
        raise what from None
    finally:
        ended.set()
