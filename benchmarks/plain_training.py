"""What users would write without this toolkit: PIL, torchvision, CLAHE, a DataLoader and a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from dr_ovo.parallel import available_cores

Item = tuple[torch.Tensor, int]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def clahe(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB: CLAHE on the L channel of LAB, with the toolkit's parameters."""
    lab = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2LAB)
    equaliser = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8))
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


class PlainPhotographs(Dataset[Item]):
    """Photographs as (3, size, size) float32 in [0, 1] or normalised, with their labels.

    Resized before CLAHE, which takes 20 times longer at 1024 px: the faster of the two orders.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        size: int,
        statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ) -> None:
        self.paths, self.labels = paths, labels
        steps = [transforms.Resize((size, size)), clahe, transforms.ToTensor()]
        steps += [transforms.Normalize(*statistics)] if statistics else []
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Item:
        with Image.open(self.paths[position]) as image:
            return self.transform(image.convert("RGB")), self.labels[position]


def loader(photographs: Dataset[Item], batch: int, *, shuffled: bool) -> DataLoader[Item]:
    """Batches, read by a process on each core; the processes stay for the next epoch."""
    return DataLoader(
        photographs,
        batch,
        shuffle=shuffled,
        num_workers=available_cores(),
        persistent_workers=True,
    )


class PlainTraining:
    """A network trained and evaluated by plain loops on the CPU, gradients clipped at norm 1."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        memory_format: torch.memory_format,
    ) -> None:
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.memory_format = memory_format
        self.parameters = [one for one in network.parameters() if one.requires_grad]

    def train_epoch(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """A step on each batch of images (B, 3, S, S) and labels (B,)."""
        self.network.train()
        for images, labels in batches:
            logits = self.network(images.contiguous(memory_format=self.memory_format))
            self.loss(logits, labels).backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

    def evaluate(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
        """(N, K) logits of all images."""
        self.network.eval()
        with torch.inference_mode():
            return np.concatenate(
                [
                    self.network(images.contiguous(memory_format=self.memory_format)).numpy()
                    for images, _ in batches
                ]
            )
