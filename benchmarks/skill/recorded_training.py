"""A training that also keeps what its network says of val after every epoch, in `val_logits/`:
python -m benchmarks.skill.recorded_training FLAGS OF THE TRAINER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dr_ovo.commands import trainer
from dr_ovo.errors import run
from dr_ovo.outputs import Outputs
from dr_ovo.training.epochs import loop
from dr_ovo.training.epochs.validation import EpochResult, Validation
from dr_ovo.training.optimization.branch_trainer import BranchTrainer

FOLDER = "val_logits"


class Recording(Validation):
    """Validation of a network with one branch that writes its logits on val, in val's order."""

    def measure_epoch(self, trainers: list[BranchTrainer]) -> list[EpochResult]:
        """As usual."""
        results = super().measure_epoch(trainers)
        if len(trainers) == 1 and not trainers[0].spec.independent:
            folder = Path(self.options.output_dir) / FOLDER
            folder.mkdir(exist_ok=True)
            np.save(folder / f"epoch_{trainers[0].epoch:03}.npy", self._last)
        return results

    def outputs(self, positions: np.ndarray, trainers: list[BranchTrainer]) -> dict[str, Outputs]:
        """As usual; keeps those on val."""
        outputs = super().outputs(positions, trainers)
        if positions[0] >= len(self.data.train):
            found = outputs[trainers[0].spec.name]
            self._last = found.logits[np.argsort(found.positions)].astype(np.float32)
        return outputs


def main() -> int:
    """Trains."""
    loop.Validation = Recording  # type: ignore[misc]
    return trainer.main(sys.argv[1:], "benchmarks.skill.recorded_training")


if __name__ == "__main__":
    sys.exit(run(main))
