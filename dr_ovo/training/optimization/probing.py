"""The largest micro-batch that a GPU takes, found by trying."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dr_ovo.batches.on_device import fits
from dr_ovo.errors import log
from dr_ovo.full_memory import if_full, release_memory
from dr_ovo.models.network import OvoNetwork
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.micro_batch import divisors

RESERVE = 0.05  # of the GPU's memory, for what a trial doesn't show, such as fragmentation
MOMENTS = 2  # of AdamW, which allocates them at its first step


def largest_that_fits(
    network: OvoNetwork,
    trainers: Sequence[BranchTrainer],
    img_size: int,
    window: int,
    photographs: int = 0,
) -> int:
    """The largest divisor of a window's size for which a branch's forward and backward pass fit
    beside the optimizer states of all, and beside so many `photographs` if these will stay on the
    device; 1 where none does."""
    device = trainers[0].precision.device
    try:
        beside = _allocated_later(trainers, device, photographs, img_size)
    except torch.OutOfMemoryError:
        return 1  # training says what is wrong
    try:
        for size in divisors(window):
            if _is_enough(network, trainers[0], img_size, size):
                return size
        return 1
    finally:
        del beside
        release_memory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)


def _allocated_later(
    trainers: Sequence[BranchTrainer], device: torch.device, photographs: int, img_size: int
) -> list[torch.Tensor]:
    """Tensors as large as what training allocates only later, and the reserve."""
    parameters = [parameter for one in trainers for parameter in one.optimizer.parameters]
    buffers = MOMENTS + (not trainers[0].ranks.is_alone)  # in which gradients are summed
    moments = [torch.empty_like(parameter) for parameter in parameters for _ in range(buffers)]
    if device.type != "cuda":
        return moments
    _, total = torch.cuda.mem_get_info(device)
    size = int(RESERVE * total)
    if fits(photographs, img_size, device):
        size += photographs * 3 * img_size**2
    return [*moments, torch.empty(size, dtype=torch.uint8, device=device)]


def _is_enough(network: OvoNetwork, trainer: BranchTrainer, img_size: int, size: int) -> bool:
    try:
        image = torch.zeros(1, 3, img_size, img_size, device=trainer.precision.device)
        with trainer.precision.autocast():
            features = network.stem_features(image)
        images = features.expand(size, *features.shape[1:]).contiguous()
        trainer.gradients.rehearse(trainer.optimizer, images)
    except RuntimeError as error:
        enough = not if_full(error)
    else:
        enough = True
    if not enough:  # outside the except block, whose traceback holds the activations
        trainer.optimizer.forget_gradients()
        release_memory()
        log.info("micro-batches of %d images don't fit the GPU's memory", size)
    return enough
