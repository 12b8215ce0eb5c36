"""The gradients of a step, summed over ranks in one exchange."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dr_ovo.distributed.ranks import Ranks


@torch.no_grad()
def sum_gradients(
    parameters: Sequence[torch.nn.Parameter], total: torch.Tensor, ranks: Ranks
) -> torch.Tensor:
    """Replaces the gradients by their sums over the ranks, and returns that of `total` ().

    One flat buffer in the order of the parameters; a parameter without a gradient counts as zeros.
    """
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([total.reshape(1), *(gradient.reshape(-1) for gradient in gradients)])
    ranks.sum_into(flat)
    sums = flat[1:].split([gradient.numel() for gradient in gradients])
    shaped = [part.view_as(gradient) for part, gradient in zip(sums, gradients, strict=True)]
    torch._foreach_copy_(gradients, shaped)
    return flat[0]
