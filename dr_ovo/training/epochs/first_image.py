"""Where an epoch goes on that a state was kept inside."""

from __future__ import annotations

import numpy as np

from dr_ovo.training.optimization.branch_trainer import BranchTrainer


def first_image(targets: np.ndarray, trainers: list[BranchTrainer], stem_batch: int) -> int:
    """The place in an epoch's order at which the stem goes on: the beginning of the batch with the
    first image that a branch still needs. `targets` (N,): the grades in that order.

    The stem's batches are then those of an epoch that was never stopped: others change bits.
    """
    needed = []
    for trainer in trainers:
        own = np.flatnonzero(trainer.owns(targets))
        needed.append(own[trainer.own_done] if trainer.own_done < len(own) else len(targets))
    first = int(min(needed, default=len(targets)))
    return len(targets) if first == len(targets) else first // stem_batch * stem_batch
