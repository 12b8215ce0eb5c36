"""Memory that is freed stays with the process."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys

import pytest

from dr_ovo.freed_memory import keep_freed_memory
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training import setup

BLOCK_SIZE = 64 * 2**20  # above the largest that glibc takes from the heap by itself
# Writes to a block and frees it, as torch does; prints what of it stays with the process.
BLOCK = f"""
import ctypes, sys
from dr_ovo.freed_memory import keep_freed_memory
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no mallopt")
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {resource.getpagesize()}
before = resident()
block = library.malloc({BLOCK_SIZE})
ctypes.memset(block, 1, {BLOCK_SIZE})
library.free(block)
print(resident() - before)
"""


def kept(how: str) -> int:
    """Bytes that stay."""
    done = subprocess.run([sys.executable, "-c", BLOCK, how], capture_output=True, text=True)
    if "no mallopt" in done.stderr:
        pytest.skip("this C library is not glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_block_that_was_freed_stays():
    assert kept("keep") > 0.9 * BLOCK_SIZE
    assert kept("default") < 0.1 * BLOCK_SIZE


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_c_library_is_no_error(error, monkeypatch):
    def library(_name: None) -> object:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert keep_freed_memory() is False


def test_a_command_on_the_cpu_keeps_its_memory(monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "keep_freed_memory", lambda: asked.append(True))
    setup.choose_device(TrainConfig(device="cpu"))
    assert asked == [True]


def test_values_that_are_refused_are_told(monkeypatch):
    class Refusing:
        def mallopt(self, _parameter: int, _value: int) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Refusing())
    assert keep_freed_memory() is False
