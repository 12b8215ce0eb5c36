"""A branch's samples on their way into windows."""

from __future__ import annotations

import torch


class FeatureQueue:
    """A branch's samples waiting for a full window: detached stem features and grades."""

    def __init__(self) -> None:
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __len__(self) -> int:
        return sum(len(targets) for _, targets in self._waiting)

    def push(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Adds samples: features (B, ...), targets (B,)."""
        if len(targets):
            self._waiting.append((features.detach(), targets))

    def pop(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The `count` oldest samples, of those waiting."""
        taken, wanted = [], count
        while wanted:
            features, targets = self._waiting.pop(0)
            taken.append((features[:wanted], targets[:wanted]))
            if len(targets) > wanted:
                self._waiting.insert(0, (features[wanted:], targets[wanted:]))
            wanted -= len(taken[-1][1])
        features, targets = (_joined(parts) for parts in zip(*taken, strict=True))
        return features, targets


def _joined(parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The parts as one tensor that begins where its memory does: some kernels round by that."""
    if len(parts) == 1 and parts[0].storage_offset() == 0:
        return parts[0]
    return torch.cat(parts)
