"""Memory that tensors on the CPU free stays with the process, for the next ones.

The C library asks the system anew for each large block and gives it back when it is freed. The
system clears every page of it, once more in each layer of each batch, which takes longer than many
layers do. Only where and when memory is taken changes, no number that is computed.
"""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt(3), from its malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
KEPT = 2**31 - 1  # bytes that may be free at the end of the heap before they are given back


def keep_freed_memory() -> bool:
    """Takes large blocks from the heap, and lets the heap keep up to KEPT bytes that are free.
    Returns whether that worked: other C libraries than glibc may know no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function; on Windows no such library
        return False
    return mallopt(MMAP_MAX, 0) == 1 and mallopt(TRIM_THRESHOLD, KEPT) == 1
