"""The features of a training in memory: a table for each view that it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.features.views import View
from dr_ovo.device import to_device


class FeatureTables:
    """For each view the features (N, width) float32 of N positions, in memory; the positions are
    those of a loader with `count` photographs."""

    def __init__(self, wanted: Mapping[View, np.ndarray], count: int, width: int) -> None:
        self.wanted = dict(wanted)
        self._rows: dict[View, np.ndarray] = {}  # position -> row
        self._values: dict[View, np.ndarray] = {}
        for view, positions in self.wanted.items():
            self._rows[view] = np.full(count, -1)
            self._rows[view][positions] = np.arange(len(positions))
            self._values[view] = np.zeros((len(positions), width), np.float32)

    def row(self, view: View, position: int) -> np.ndarray:
        """(width,) float32: the features of a photograph, to be read or written."""
        return self._values[view][self._rows[view][position]]

    def of(self, views: Sequence[View], positions: np.ndarray) -> torch.Tensor:
        """(B, V, width) the features of photographs under several views."""
        found = [self._values[view][self._rows[view][positions]] for view in views]
        return torch.from_numpy(np.stack(found, axis=1))


class FeatureBatches:
    """Batches of features in place of images: (B, width) of an augmented view, or (B, V, width) of
    the V flips on which val is measured. It has what a loader has, and nothing of it can fail."""

    def __init__(self, tables: FeatureTables, views: Sequence[View], device: torch.device) -> None:
        self.tables, self.views, self.device = tables, views, device
        self.damaged: dict[int, str] = {}
        self.paths: Sequence[Path] = ()

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of positions (B,) and their features, in the order given."""
        for start in range(0, len(positions), batch_size):
            part = positions[start : start + batch_size]
            features = to_device(self.tables.of(self.views, part), self.device)
            yield part, features[:, 0] if self.views[0].augmented else features
