"""How a rank fails, and how the others hear of it: by the store that all ranks share.

The log of the first rank says what happened, wherever it did.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed as dist

from dr_ovo.distributed.place import Place
from dr_ovo.errors import ToolkitError

FIRST_IS_THERE, FAILED = "first is there", "failed"
LOOK_SECONDS = 0.2
START_TIMEOUT = timedelta(minutes=1)  # of a Python with its packages, on a busy machine


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


def say_failure(store: dist.Store, place: Place, code: int, text: str) -> None:
    """Tells the other ranks that this one fails; the first one that fails is believed.

    Waits for the first rank to be there, which says it: torchrun ends all when this one ends.
    """
    failure = Failure(place.rank, socket.gethostname(), code, text)
    with contextlib.suppress(RuntimeError):  # the store went with the process that held it
        store.compare_set(FAILED, "", json.dumps(asdict(failure)))
        store.wait([FIRST_IS_THERE], START_TIMEOUT)


def failure_of_another(store: dist.Store, place: Place, seconds: float = 0.0) -> Failure | None:
    """How another rank failed; waits so long for its word."""
    end = time.monotonic() + seconds
    with contextlib.suppress(RuntimeError):  # the store went with the process that held it
        while not store.check([FAILED]):
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_SECONDS)
        failure = Failure(**json.loads(store.get(FAILED)))
        return failure if failure.rank != place.rank else None
    return None
