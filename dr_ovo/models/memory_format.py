"""The memory format of a network's weights: NCHW (contiguous) or channels_last.

Features take the format of the weights that they meet. Results of the two differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dr_ovo.models.architectures import CHANNELS_LAST, CONTIGUOUS
from dr_ovo.models.network import OvoNetwork

MEMORY_FORMATS = {CONTIGUOUS: torch.contiguous_format, CHANNELS_LAST: torch.channels_last}


def use_format(network: OvoNetwork, name: str) -> None:
    """Converts the weights of a network to the memory format `name`, in which it then trains."""
    network.memory_format = name
    for weight in _kernels(network):
        weight.data = weight.data.clone(memory_format=MEMORY_FORMATS[name])


@contextmanager
def contiguous(network: OvoNetwork, names: Iterable[str]) -> Iterator[None]:
    """Within the context, the stem and the branches `names` are in NCHW: their results have the
    same bits as those of a network that was never converted."""
    weights: list[torch.Tensor] = []
    if network.memory_format != CONTIGUOUS:
        used = (network.stem, *map(network.branch, names))
        weights = [weight for module in used if module is not None for weight in _kernels(module)]
    before = [weight.data for weight in weights]
    try:
        for weight in weights:
            weight.data = weight.data.clone(memory_format=torch.contiguous_format)
        yield
    finally:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data


def _kernels(module: nn.Module) -> list[torch.Tensor]:
    """The parameters and buffers (O, I, H, W): those with a memory format."""
    return [one for one in (*module.parameters(), *module.buffers()) if one.dim() == 4]
