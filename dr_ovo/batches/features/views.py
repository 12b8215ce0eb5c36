"""Views of photographs: augmented ones to train on, and the flips on which val is measured.

What a view shows of a photograph depends on the photograph's content alone, not on its place in a
dataset: other splits, folds and trainings meet the same views.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dr_ovo.batches.augmentation import Augmentation, flipped, normalise, to_unit_range
from dr_ovo.device import to_device
from dr_ovo.models.backbone import InputSpec
from dr_ovo.settings.groups.augmentation import AugmentationOptions

VERSION = 1  # increase it when the same settings would give other views


@dataclass(frozen=True)
class View:
    """An augmented view, or a flip of photographs as they are; by `number`, from 0 on."""

    augmented: bool
    number: int


class Views:
    """The views that an augmentation draws with a seed, as network inputs of `spec`."""

    def __init__(self, augmentation: Augmentation, seed: int, spec: InputSpec) -> None:
        self.augmentation, self.seed, self.spec = augmentation, seed, spec
        options = augmentation.options
        names = [field.name for field in dataclasses.fields(AugmentationOptions)]
        self._drawn_with = {"seed": seed, **{name: getattr(options, name) for name in names}}

    def row_name(self, view: View, content: str) -> str:
        """64 hex digits of a view of the photograph with this sha256, with all that decides it but
        what the store of features is named by."""
        settings = self._drawn_with if view.augmented else {}
        told = [VERSION, content, view.augmented, view.number, settings]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def inputs(
        self, view: View, images: torch.Tensor, contents: Sequence[str], device: torch.device
    ) -> torch.Tensor:
        """Images (B, S, S, 3) uint8 of these contents (sha256) -> network input (B, 3, S, S)."""
        given = to_unit_range(images, device)
        if view.augmented:
            numbers = torch.cat([self._numbers(view.number, content) for content in contents])
            given = self.augmentation.apply(given, to_device(numbers, device))
        given = normalise(given, self.spec.mean, self.spec.std)
        return given if view.augmented else flipped(given, view.number)

    def _numbers(self, number: int, content: str) -> torch.Tensor:
        """(1, ...) the random numbers of a photograph's augmented view."""
        mixed = hashlib.sha256(f"{self.seed} {content}".encode()).digest()
        return self.augmentation.draw(int.from_bytes(mixed[:8], "big"), number, 1)
