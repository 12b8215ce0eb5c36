"""What a decoding process is: it loads neither torch nor timm, has a limit of memory, and ends with
the process that started it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection

import cv2

from dr_ovo.leash import end_with, limit_memory
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import share_room


def start(leash: Connection, large: AbstractContextManager[object], memory: int) -> None:
    """Prepares the process. It ends when the other end of `leash` is closed, also by the death of
    the process that holds it. Inside `large` large pictures are decoded. `memory`: bytes that it
    may take beyond those that it has now."""
    share_room(large)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(leash)
    limit_memory(memory)


def is_up() -> bool:
    """True, from a process that has started."""
    return True


@contextmanager
def errors_are_damage() -> Iterator[None]:
    """Within the context, whatever error decoding ends with raises DamagedImage."""
    try:
        yield
    except DamagedImage:
        raise
    except MemoryError:
        raise DamagedImage("needs more memory to be decoded than may be taken") from None
    except cv2.error as error:
        raise DamagedImage(f"can't be decoded: {error.err}") from None
    except Exception as error:
        raise DamagedImage(f"can't be decoded: {type(error).__name__}: {error}") from None
