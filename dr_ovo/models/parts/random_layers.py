"""Dropout and DropPath whose masks are drawn for an optimizer step as a whole, on the CPU.

What is left out then depends neither on how many images are computed together nor on the device,
and the recomputation of gradient checkpointing leaves out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from timm.layers import DropPath, drop_path
from torch import nn
from torch.nn import functional

from dr_ovo.device import to_device


class MaskedLayer(nn.Module):
    """A layer that multiplies its input by `factors` (B, units): 0 for what it leaves out.

    Without factors it draws its own, as torch's and timm's layers do.
    """

    def __init__(self, share: float, units: int, *, scaled: bool = True) -> None:
        super().__init__()
        self.share, self.units, self.scaled = share, units, scaled
        self.factors: torch.Tensor | None = None
        self._of_the_step: torch.Tensor | None = None

    def draw(self, images: int, generator: torch.Generator, device: torch.device) -> None:
        """Draws the factors of a step of so many images."""
        kept = torch.rand(images, self.units, generator=generator) >= self.share
        factors = kept / (1 - self.share) if self.scaled else kept.float()
        self.factors = self._of_the_step = to_device(factors, device)

    def use(self, rows: slice) -> None:
        """From now on the input is these images of the step."""
        assert self._of_the_step is not None
        self.factors = self._of_the_step[rows]

    def forget(self) -> None:
        """From now on the layer draws its own factors."""
        self.factors = self._of_the_step = None

    def extra_repr(self) -> str:
        """What a printed network shows of the layer."""
        return f"share={self.share}, units={self.units}"


class MaskedDropout(MaskedLayer):
    """Dropout of pooled features (B, units) (Srivastava et al. 2014)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, units) -> (B, units)."""
        if not self.training or self.share == 0:
            return x
        if self.factors is None:
            return functional.dropout(x, self.share, training=True)
        return x * self.factors.to(x.dtype)


class MaskedDropPath(MaskedLayer):
    """DropPath, also called stochastic depth (Huang et al. 2016): leaves whole images out of a
    residual path.

    Networks that fold parts of an image into the batch, such as MobileViT and TNT, give P rows for
    each image, one image after the other. All rows of an image are left out together; timm's own
    layer draws for each row.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B * P, ...) -> (B * P, ...), with B the images of the factors."""
        if not self.training or self.share == 0:
            return x
        if self.factors is None:
            return cast(torch.Tensor, drop_path(x, self.share, True, self.scaled))
        factors = self.factors
        if len(x) != len(factors):
            factors = factors.repeat_interleave(len(x) // len(factors), dim=0)
        return x * factors.to(x.dtype).view(-1, *[1] * (x.ndim - 1))


def mask_drop_paths(module: nn.Module) -> None:
    """Replaces timm's DropPath layers inside a module by ones whose masks can be given."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DropPath):
                share = child.drop_prob or 0.0
                setattr(parent, name, MaskedDropPath(share, 1, scaled=child.scale_by_keep))


def masked_layers(module: nn.Module) -> list[MaskedLayer]:
    """The layers of a module that leave something out, in the order of its definition."""
    return [m for m in module.modules() if isinstance(m, MaskedLayer) and m.share > 0]


def draw_masks(layers: list[MaskedLayer], images: int, seed: int, device: torch.device) -> None:
    """Draws what the layers leave out in a step of `images`; a function of the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        layer.draw(images, generator, device)


def draws_on_its_own(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether a module in training mode, on the CPU, draws random numbers for an input (B, ...)
    beside those of its masked layers."""
    layers = masked_layers(module)
    draw_masks(layers, len(x), 0, x.device)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            before = torch.get_rng_state()
            module(x)
            return not torch.equal(torch.get_rng_state(), before)
    finally:
        for layer in layers:
            layer.forget()


def uses_drop_paths(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether a module in training mode leaves out whole images of an input (B, ...) somewhere.
    Some of timm's blocks have a DropPath that they never call."""
    called: list[int] = []
    _call(module, x, lambda given: called.append(len(given)))
    return bool(called)


def keeps_images_apart(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether all rows that the DropPaths of a module get for an input (2, ...) of unlike images
    are those of the first image, then as many of the second: what `MaskedDropPath` goes by."""
    module.eval()  # which leaves nothing out

    def folded(images: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []
        _call(module, images, lambda given: found.extend([given.clone()] * (len(given) != 2)))
        return found

    return all(
        len(both) % 2 == 0 and _first_half_is_same(both, twice)
        for both, twice in zip(folded(x), folded(x[[0, 0]]), strict=True)
    )


def _first_half_is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors (R, ...) differ in the second half of their rows alone, but for
    rounding."""
    moved = (one - other).abs().flatten(1).amax(1)  # (R,)
    return bool(moved[: len(moved) // 2].max() <= 1e-3 * moved.max())


def _call(module: nn.Module, x: torch.Tensor, see: Callable[[torch.Tensor], object]) -> None:
    """Has a function `see` what each DropPath of a module gets for an input (B, ...)."""
    layers = [layer for layer in masked_layers(module) if isinstance(layer, MaskedDropPath)]
    hooks = [layer.register_forward_pre_hook(lambda _, args: see(*args)) for layer in layers]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
