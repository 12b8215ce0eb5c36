"""Which input sizes a network takes, and whether it sees the whole image at them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone, input_spec

MAX_SIZE = 1024  # pixels, up to which working sizes are suggested
STEPS = 16  # architectures that constrain the size want multiples of 16 or 32, or of their patch
# What timm raises for an input size that an architecture can't take.
SIZE_ERRORS = (RuntimeError, ValueError, AssertionError, TypeError)


def check_size(timm_name: str, size: int, *, whole_input: bool = True) -> None:
    """Raises UserError, with the nearest sizes that work, if the model can't take `size`.

    `whole_input`: nor if it would leave the image's right and lower edge unseen.
    """
    patch, unseen = _probe(timm_name, size)
    if patch is None:
        own, _ = _probe(timm_name, input_spec(timm_name).size)
        sizes = _nearest(timm_name, size, own if own and STEPS % own else STEPS)
        raise UserError(f"--img_size {size}: {timm_name} can't be built for it. Nearest: {sizes}.")
    if unseen and whole_input:
        sizes = _nearest(timm_name, size, patch, count=2)
        raise UserError(
            f"--img_size {size}: {timm_name} divides an image into patches of {patch} pixels, and "
            f"would leave the last {unseen} at the right and lower edge unseen. Nearest: {sizes}."
        )


def _nearest(timm_name: str, size: int, step: int, count: int = 3) -> str:
    """The nearest sizes at which the model sees the whole image, in words."""
    near: list[int] = []
    lowest = 32 if step == STEPS else step
    for other in sorted(range(lowest, MAX_SIZE + step, step), key=lambda s: abs(s - size)):
        patch, unseen = (None, 0) if other == size else _probe(timm_name, other)
        if patch is not None and not unseen:
            near.append(other)
        if len(near) == count:
            break
    return ", ".join(map(str, sorted(near))) or "none found"


@cache
def _probe(timm_name: str, size: int) -> tuple[int | None, int]:
    """(the patch that the first convolution takes at once, the pixels at the edge unseen by it).

    (None, 0) if the model does not run at this size. On the meta device, which computes nothing.
    """
    seen: list[tuple[int, int]] = []

    def record(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not seen:
            seen.append(_unseen_by(module, inputs[0].shape[-1]))

    try:
        with torch.device("meta"), torch.no_grad():
            backbone = create_backbone(timm_name, size, weights=None).eval()
            for module in backbone.modules():
                if isinstance(module, nn.Conv2d):
                    module.register_forward_pre_hook(record)
            backbone(torch.empty(1, 3, size, size))
    except SIZE_ERRORS:
        return None, 0
    return seen[0] if seen else (1, 0)


def _unseen_by(convolution: Any, size: int) -> tuple[int, int]:
    """(stride, pixels of an image of `size` that no window of the convolution reaches).

    Overlapping windows pass by fewer pixels than they share: those count as seen.
    """
    kernel, stride = convolution.kernel_size[-1], convolution.stride[-1]
    if kernel > stride or isinstance(convolution.padding, str):
        return stride, 0
    padding = convolution.padding[-1]
    return stride, max(0, (size + 2 * padding - kernel) % stride - padding)
