"""Train and val of a training, and which of their photographs are evaluated and select epochs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.predictions.calibration import calibration_share
from dr_ovo.settings.train_config import TrainConfig


@dataclass(frozen=True)
class TrainingData:
    """The data for training and selection. The loader's positions are train's, then val's."""

    train: Split
    val: Split
    sample: np.ndarray  # positions in train that are evaluated each epoch
    calibration: np.ndarray  # (V,) bool: excluded from selection

    @property
    def targets(self) -> np.ndarray:
        """Grades by loader position."""
        return np.concatenate([self.train.targets, self.val.targets])


def training_data(config: TrainConfig, index: DatasetIndex) -> TrainingData:
    """Train and val, the sample of train evaluated each epoch, and val's calibration share, of
    which the member of a fold has none: it is calibrated out of fold."""
    train, val = index.splits["train"], index.splits["val"]
    share = calibration_share(np.array(val.sample_ids), np.array(val.patient_ids), val.targets)
    if config.folds:
        share = np.zeros(len(val), dtype=bool)
    return TrainingData(train, val, _sample(train.targets, config.train_sample, config.seed), share)


def holds_out_val(config: TrainConfig) -> bool:
    """Whether val is the fold that a member holds out, which chooses and fits nothing in it."""
    return bool(config.folds) and config.keep_epoch == "last"


def _sample(targets: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` positions, stratified by grade as in train, at least one per grade."""
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng([seed, count])
    chosen = []
    for grade in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == grade))
        chosen.append(members[: max(1, round(count * len(members) / len(targets)))])
    return np.sort(np.concatenate(chosen))
