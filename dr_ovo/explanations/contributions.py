"""What each place of a photograph contributes to a sum of logits.

A head on features that are averaged over all places is linear in them. What a place contributes is
the head's weights times the features there, divided by the number of places: added up, that is
the logit less its bias, exactly, and no gradient is needed, whatever is frozen. It holds for all
seven architectures (Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
of which it is the case without rescaling). ConvNeXt normalises after averaging: the spread of the
averaged features is held fixed, and its LayerNorm is linear in them.

Elsewhere: gradient times features, place by place, at the last features that have places (HiResCAM;
Draelos & Carin, arXiv:2011.08891). It adds up to the logit only where what follows is linear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dr_ovo.batches.augmentation import FLIPS, flipped_views
from dr_ovo.explanations.layers import (
    LAST,
    NoPlacesError,
    halves,
    last_pool,
    layout_of,
    stage_modules,
)
from dr_ovo.models.network import OvoNetwork

RTOL, ATOL = 1e-3, 1e-4  # within which features are taken for what a formula says of them


@dataclass(frozen=True)
class Contributions:
    """Of B images and T questions: `values` (B, T, h, w), what each place contributes, and
    `outputs` (B, T), the sums of logits. `is_exact`: they differ by the head's constants alone."""

    values: torch.Tensor
    outputs: torch.Tensor
    is_exact: bool


def contributions(
    network: OvoNetwork,
    images: torch.Tensor,
    coefficients: torch.Tensor,
    *,
    views: int = 1,
    stride: int = LAST,
) -> Contributions:
    """Of images (B, 3, S, S) to the sums of logits with `coefficients` (B, T, K), means over the
    first `views` flips of each image; on maps of which a step is `stride` pixels.

    The network is in eval mode. Raises NoPlacesError for an architecture without places.
    """
    of_view = _by_head if stride == LAST else None
    found = []
    for number, view in enumerate(flipped_views(images, views)):
        one = None if of_view is None else of_view(network, view, coefficients)
        if one is None:
            one = _by_gradient(network, view, coefficients, stride)
        upright = one.values.flip(FLIPS[number])  # images and values have the same axes
        found.append(Contributions(upright, one.outputs, one.is_exact))
    return Contributions(
        torch.stack([one.values for one in found]).mean(0),
        torch.stack([one.outputs for one in found]).mean(0),
        all(one.is_exact for one in found),
    )


def _by_head(
    network: OvoNetwork, images: torch.Tensor, coefficients: torch.Tensor
) -> Contributions | None:
    """By the weights of a head on averaged features; None where the network is not so."""
    parts = [half for half in halves(network) if last_pool(half) is not None]
    if not parts:
        return None
    values, outputs, first = [], [], 0
    with torch.no_grad(), _recorded([_pool(part) for part in parts]) as record:
        stem = network.stem_features(images)
        for number, name in enumerate(network.branches):
            branch = network.branch(name)
            features = branch.features(stem)
            places, pooled = record[min(number, len(parts) - 1)]
            own = coefficients[..., first : first + branch.head.out_features]
            first += branch.head.out_features
            weights = own @ branch.head.weight  # (B, T, F)
            grid = _channels_first(places, pooled)
            if grid is None:
                return None
            linear = _through_norm(weights, pooled.flatten(1), features, (branch.rest, parts[-1]))
            if linear is None:
                return None
            answers = torch.einsum("btf,bfhw->bthw", linear[0], grid) + linear[1][..., None, None]
            values.append(answers / grid[0, 0].numel())
            outputs.append(own @ branch.head.bias + (weights * features[:, None]).sum(-1))
    return Contributions(torch.stack(values).sum(0), torch.stack(outputs).sum(0), is_exact=True)


def _pool(half: nn.Module) -> nn.Module:
    pool = last_pool(half)
    assert pool is not None
    return pool


def _channels_first(places: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor | None:
    """What was averaged as (B, F, h, w), in whichever order it came; None where `pooled` is not its
    average, or where there is a single place."""
    if places.dim() != 4:
        return None
    average = pooled.flatten(1)
    for grid in (places, places.permute(0, 3, 1, 2)):
        fits = grid.shape[1] == average.shape[1] and grid[0, 0].numel() > 1
        if fits and torch.allclose(grid.mean((2, 3)), average, rtol=RTOL, atol=ATOL):
            return grid
    return None


def _through_norm(
    weights: torch.Tensor,
    pooled: torch.Tensor,
    features: torch.Tensor,
    modules: Sequence[nn.Module],
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Weights (B, T, F) of averaged features (B, F), and what is added to their sums (B, T), from
    the weights of the features after them: these are the same, or a LayerNorm's, whose spread is
    held fixed. None for anything else."""
    if features.shape != pooled.shape:
        return None
    if torch.allclose(features, pooled, rtol=RTOL, atol=ATOL):
        return weights, weights.new_zeros(weights.shape[:2])
    norms = [
        norm
        for module in modules
        for norm in module.modules()
        if isinstance(norm, nn.LayerNorm) and norm.normalized_shape == (pooled.shape[1],)
    ]
    for norm in norms:
        spread = (pooled.var(1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        centred = (pooled - pooled.mean(1, keepdim=True)) / spread
        if torch.allclose(centred * norm.weight + norm.bias, features, rtol=RTOL, atol=ATOL):
            scaled = weights * norm.weight / spread[:, None]
            return scaled - scaled.mean(-1, keepdim=True), weights @ norm.bias
    return None


def _by_gradient(
    network: OvoNetwork, images: torch.Tensor, coefficients: torch.Tensor, stride: int
) -> Contributions:
    """By gradient times features at the stage of that stride."""
    pools = [pool for half in halves(network) if (pool := last_pool(half)) is not None]
    model = halves(network)[0]
    with torch.enable_grad():
        if stride == LAST and pools:
            try:
                leaves, logits = _forward_with_leaves(network, images, pools, before=True)
                layout_of(leaves[0], model)
            except NoPlacesError:
                pools = []
        if stride != LAST or not pools:
            leaves, logits = _forward_with_leaves(network, images, stage_modules(network, stride))
        outputs = torch.einsum("btk,bk->bt", coefficients, logits)
        columns = []
        for question in range(outputs.shape[1]):
            gradients = torch.autograd.grad(
                outputs[:, question].sum(), leaves, retain_graph=True, allow_unused=True
            )
            parts = [
                _summed(leaf * gradient, leaf, model)
                for leaf, gradient in zip(leaves, gradients, strict=True)
                if gradient is not None
            ]
            if not parts:
                raise NoPlacesError(
                    "There are no maps of this architecture: its logits do not depend on the "
                    "features of its last stage."
                )
            columns.append(torch.stack(parts).sum(0))
    return Contributions(torch.stack(columns, dim=1).detach(), outputs.detach(), is_exact=False)


def _summed(products: torch.Tensor, leaf: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """(B, h, w): the sum over the channels of gradient times features."""
    layout = layout_of(leaf, model)
    if leaf.dim() == 3:
        return products[:, layout.prefix :].sum(-1).unflatten(1, layout[:2])
    return products.sum(-1 if layout.channels_last else 1)


def _forward_with_leaves(
    network: OvoNetwork, images: torch.Tensor, modules: Sequence[nn.Module], *, before: bool = False
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The features that these modules put out, or take if `before`, as leaves of the graph, and the
    logits (B, K)."""
    leaves: list[torch.Tensor] = []

    def leaf_of(features: Any) -> torch.Tensor:
        if not isinstance(features, torch.Tensor):
            raise NoPlacesError(
                "There are no maps of this architecture: its last stage gives several tensors."
            )
        leaves.append(features.detach().requires_grad_())
        return leaves[-1].clone()  # which the next layer may change in place

    hooks = [
        module.register_forward_pre_hook(lambda _, given: (leaf_of(given[0]),))
        if before
        else module.register_forward_hook(lambda _, __, output: leaf_of(output))
        for module in modules
    ]
    try:
        stem = network.stem_with_gradients(images)
        logits = torch.cat([network.branch(name)(stem) for name in network.branches], dim=1)
    finally:
        for hook in hooks:
            hook.remove()
    if not leaves:
        raise NoPlacesError("There are no maps of this architecture: its last stage does not run.")
    return leaves, logits


@contextmanager
def _recorded(
    modules: Sequence[nn.Module],
) -> Iterator[dict[int, tuple[torch.Tensor, torch.Tensor]]]:
    """Within the context: the last input and output of each module, by its place among them."""
    record: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(number: int, given: Any, output: torch.Tensor) -> None:
        record[number] = given[0], output

    hooks = [
        module.register_forward_hook(
            lambda _, given, output, number=number: keep(number, given, output)
        )
        for number, module in enumerate(modules)
    ]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()
