"""`--compile`: functions of the network compiled where they can be, and as they are elsewhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from dr_ovo.device import Capability
from dr_ovo.errors import log

TRITON_FROM: Capability = (8, 0)  # since Triton 3.3, which comes with torch 2.7 and later
OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "fallback_random": True,  # the masks of dropout that the function has when not compiled
}

Function = Callable[[torch.Tensor], torch.Tensor]


def compiling_problem(device: torch.device) -> str | None:
    """What torch.compile lacks on this machine to compile for `device`; None if nothing is known
    to be missing."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < TRITON_FROM:
            return (
                f"Triton needs compute capability {TRITON_FROM[0]}.{TRITON_FROM[1]}, and the "
                f"{torch.cuda.get_device_name(device)} has {capability[0]}.{capability[1]}"
            )
        if importlib.util.find_spec("triton") is None:
            return "the package triton is not installed"
        compilers = [os.environ.get("CC", ""), "gcc", "clang"]
    else:
        compilers = [os.environ.get("CXX") or "g++"]
    if not any(map(shutil.which, filter(None, compilers))):
        return f"there is no compiler ({' or '.join(filter(None, compilers))})"
    return None


class Compiler:
    """Compiles the functions of one network, until one of them can't be: then none, said once."""

    def __init__(self, device: torch.device) -> None:
        self.works = True
        self.generation = 0  # of what is compiled: each for the batches of its time
        problem = compiling_problem(device)
        if problem:
            self.give_up(problem)

    def give_up(self, problem: str) -> None:
        """Goes on without, and says so once."""
        if self.works:
            log.warning("--compile: not on this machine: %s. Going on without.", problem)
        self.works = False

    def forget(self) -> None:
        """From now on batches have another size: what is called next is compiled anew."""
        self.generation += 1

    def __call__(self, function: Function) -> Function:
        """`function` of a batch (B, ...), compiled at its first call for batches of that shape.

        Other batches, such as the last of an epoch, take the function as it is: compiling takes
        longer than they do.
        """
        return CompiledFunction(self, function)


class CompiledFunction:
    """A function and its compiled form, which it does without where that turns out not to work."""

    def __init__(self, compiler: Compiler, function: Function) -> None:
        self._compiler, self._function = compiler, function
        self._compiled: Function | None = None
        self._shape: torch.Size | None = None
        self._generation = compiler.generation

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        if self._generation != self._compiler.generation:
            self._generation = self._compiler.generation
            self._compiled = self._shape = None
        if not self._compiler.works or self._shape not in (None, batch.shape):
            return self._function(batch)
        if self._compiled is not None:
            return self._compiled(batch)
        self._shape = batch.shape
        try:
            compiled: Function = torch.compile(self._function, dynamic=False, options=OPTIONS)
            with _backward_too():
                outputs = compiled(batch)
        except torch.OutOfMemoryError:
            self._shape = None  # the batches that are tried next are smaller
            raise
        except Exception as error:  # whatever a compiler on someone's machine may raise
            self._compiler.give_up((str(error).strip() or type(error).__name__).splitlines()[0])
            return self._function(batch)
        self._compiled = compiled
        return outputs


def _backward_too() -> AbstractContextManager[Any]:
    """Within the context, the backward pass is compiled with the forward one, not at the first
    backward, where what it raises could be caught no more."""
    from torch._functorch import config

    name = "force_non_lazy_backward_lowering"  # private: another version of torch may lack it
    return config.patch({name: True}) if hasattr(config, name) else nullcontext()
