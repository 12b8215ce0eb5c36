"""What to tell users when the machine, or a limit on this process, gives no more."""

from __future__ import annotations

import errno

# Libraries have no common class for this: only the text of a RuntimeError, of an ImportError (of a
# library that could not be mapped) or of OpenCV's own error says so.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "insufficient memory",
    "bad_alloc",
    "bad alloc",
    "failed to map segment",
    "shared memory",
    "status_alloc_failed",
    "could not create a primitive",  # oneDNN, which says no more
)
_START_TEXTS = (
    "can't start new thread",
    "resource temporarily unavailable",
    "terminated abruptly",  # a process of a pool: killed, or without the memory to begin
)
_DEEPEST = 20  # errors of which one was raised from the next


def refused_by_machine(error: BaseException) -> str | None:
    """What the machine refused and what to do about it, as the beginning of a sentence; None for
    another error. Looks also at what the error was raised from."""
    step: BaseException | None = error
    for _ in range(_DEEPEST):
        if step is None:
            return None
        if refused := _refused(step):
            return refused
        # Packages hide in an ImportError what kept them from loading.
        hidden = step.__context__ if isinstance(step, ImportError) else None
        step = step.__cause__ or hidden
    return None


def first_line(error: BaseException) -> str:
    """The class of an error and the first line of its message."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _refused(error: BaseException) -> str | None:
    number = error.errno if isinstance(error, OSError) else None
    said = isinstance(error, RuntimeError | ImportError) or type(error).__module__ == "cv2"
    text = str(error).lower() if said else ""
    if number in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open ({first_line(error)}). Raise the limit (ulimit -n)"
    if number == errno.EAGAIN or any(words in text for words in _START_TEXTS):
        return (
            f"the machine starts no further thread or process ({first_line(error)}). End other "
            "programs, or raise the limits on processes (ulimit -u) and memory (ulimit -v)"
        )
    full = isinstance(error, MemoryError) or number == errno.ENOMEM
    if full or any(words in text for words in _MEMORY_TEXTS):
        return (
            f"the machine's memory is full ({first_line(error)}), or its limit (ulimit -v) is "
            "reached. Use a smaller --img_size, or fewer --num_workers, or end other programs"
        )
    return None
