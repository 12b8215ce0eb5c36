"""What an architecture takes with its wrapper's settings, on the CPU: counted, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.on_gpu.setting import SMALL, Setting, train_on
from benchmarks.timing import processor_seconds
from benchmarks.trainings import Training
from dr_ovo.batches.augmentation import normalise, to_unit_range
from dr_ovo.models.parts.random_layers import masked_layers
from dr_ovo.pairs import class_pairs
from dr_ovo.training.fitting.dry_run import DiskNeed, disk_need
from dr_ovo.training.writing.run import count_parameters

MICRO_BATCHES = (1, 2)
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Sizes:
    """What an architecture takes: parameters trained and frozen, and those trained in the
    `classifiers` of independent mode; disk; bytes that autograd keeps of micro-batches, by their
    images; floating-point operations of training on an image; images per second of a core."""

    name: str
    size: int
    trained: int
    frozen: int
    trained_independent: int
    classifiers: int
    shared: DiskNeed
    independent: DiskNeed
    kept: dict[int, int]
    operations: int
    operations_independent: int
    rate: float

    @property
    def memory(self) -> int:
        """Bytes of weights, gradients and AdamW's two moments, shared."""
        return BYTES * (self.frozen + 4 * self.trained)

    @property
    def memory_independent(self) -> int:
        """The same of all classifiers, with the gradients of the one that makes a step."""
        gradients = self.trained_independent // self.classifiers
        return BYTES * (self.frozen + 3 * self.trained_independent + gradients)


def measure(setting: Setting, name: str) -> Sizes:
    """The sizes of an architecture with its wrapper's settings."""
    with setting.training(SMALL, setting.flags(name)) as made:
        (trainer,) = made.trainers
        trained, total = count_parameters(made.model)
        frozen, branches = total - trained, len(class_pairs(made.config.num_classes))
        # The heads of all classifiers have together as many weights as that of the shared network.
        head = sum(one.numel() for one in trainer.branch.head.parameters())
        independent = branches * (trained - head) + head
        for layer in masked_layers(trainer.branch):
            layer.forget()  # what it drew for the trainer's micro-batches
        stem, branch = _operations(made)
        seen = made.config.num_classes - 1  # of the classifiers, for each image
        return Sizes(
            name, made.model.spec.size, trained, frozen, independent, branches,
            disk_need(trained, frozen, 1, averaged=False),
            disk_need(independent, frozen, branches, averaged=False),
            {images: _kept(made, images) for images in MICRO_BATCHES},
            stem + branch, stem + seen * branch, _rate(made),
        )  # fmt: skip


def _rate(made: Training) -> float:
    """Images per second of processor time in some windows of the trainer, whose photographs come
    from the cache."""
    (trainer,) = made.trainers
    trainer.optimizer.forget_gradients()
    start = processor_seconds()
    train_on(made, 1)
    return trainer.done / (processor_seconds() - start)


def _loss(made: Training, features: torch.Tensor) -> torch.Tensor:
    """The loss of a micro-batch by its stem features (B, ...)."""
    (trainer,) = made.trainers
    grades = torch.zeros(len(features), dtype=torch.int64)
    return trainer.loss(trainer.branch(features), grades).sum()


def _images(made: Training, count: int) -> torch.Tensor:
    ((_, images),) = made.loader.batches(np.arange(count), count)
    inputs = normalise(to_unit_range(images, torch.device("cpu")), made.model.spec.mean,
                       made.model.spec.std)  # fmt: skip
    return inputs.contiguous(memory_format=made.memory_format)


def _operations(made: Training) -> tuple[int, int]:
    """Floating-point operations on one image: of the frozen stem, and of a branch, backward, too.

    Attention is computed by its formula, whose products are counted. torch's own count of a
    convolution's backward pass forgets its groups.
    """
    count = {torch.ops.aten.convolution_backward: _convolution_backward}
    images = _images(made, 1)
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as stem:
            features = made.network.stem_features(images)
        with FlopCounterMode(display=False, custom_mapping=count) as branch:
            _loss(made, features).backward()
    return stem.get_total_flops(), branch.get_total_flops()


def _convolution_backward(
    output: Sequence[int], images: Sequence[int], weights: Sequence[int], *rest: Any, **_: Any
) -> int:
    """Operations: each of the two gradients takes those of the forward pass.

    The arguments are those of aten::convolution_backward, with shapes in place of tensors.
    """
    transposed, wanted = rest[4], rest[7]
    forward = conv_flop_count(list(images), list(weights), list(output), transposed)
    return int(forward * (wanted[0] + wanted[1]))


def _kept(made: Training, images: int) -> int:
    """Bytes of what autograd keeps of a micro-batch for its backward pass, the weights apart."""
    (trainer,) = made.trainers
    weights = chain(trainer.branch.parameters(), trainer.branch.buffers())
    own = {one.untyped_storage().data_ptr() for one in weights}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor  # which autograd holds, so that no other gets its place

    features = made.network.stem_features(_images(made, images))
    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = _loss(made, features)
    del loss
    return sum(found.values())
