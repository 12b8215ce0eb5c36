"""The gate "unlike the training set": opening what a results folder keeps for it, and features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dr_ovo.gates.features_file import load_features
from dr_ovo.gates.nearest_features import NearestFeatures, folded
from dr_ovo.inference.finite_logits import require_finite
from dr_ovo.inference.trained_model import TrainedModel, logits_of
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.outputs import branch_outputs
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import Seals


@dataclass(frozen=True)
class TrainingGate:
    """The kept features of a network's train pictures; without them (None), `why_not` says why."""

    nearest: NearestFeatures | None
    why_not: str = ""

    @property
    def level(self) -> float:
        """The p-value up to which a picture is called unlike; 0 where none has one."""
        return 0.0 if self.nearest is None else self.nearest.level


@dataclass(frozen=True)
class Outputs:
    """Of the images at `positions` (n,) the logits (n, K) of all branches side by side, and the
    features (n, F) that a TrainingGate compares."""

    positions: np.ndarray
    logits: np.ndarray
    features: np.ndarray


def open_gate(folder: ResultsFolder, seals: Seals) -> TrainingGate:
    """The gate of a folder whose checkpoints have these seals. Raises UserError for a damaged file;
    one that is missing, or of other checkpoints, is no error."""
    if not folder.train_features.is_file():
        return TrainingGate(
            None, "no train_features.npz, as after a training of an earlier version"
        )
    nearest, checkpoints = load_features(folder.train_features)
    if checkpoints != {name: own["checkpoints"] for name, own in seals.items()}:
        return TrainingGate(
            None, "train_features.npz is of other checkpoints than those in models/"
        )
    return TrainingGate(nearest)


def outputs_with_features(
    model: TrainedModel,
    batches: Iterable[tuple[np.ndarray, torch.Tensor]],
    device: torch.device,
    paths: Sequence[Path] | None = None,
) -> Outputs | None:
    """Logits and features of the images of all batches, whose files are `paths`; None without any.
    Raises MachineError for logits that are not finite."""
    spec, _ = input_of(model.meta)
    names = list(model.network.branches)
    wanted: dict[str, np.ndarray | None] = dict.fromkeys(names)
    found = branch_outputs(
        model.network, batches, spec, device, wanted, model.meta["tta_views"], with_features=True
    )
    if not found:
        return None
    positions = found[names[0]].positions
    logits = np.concatenate([found[name].logits for name in names], axis=1)
    require_finite(model.folder, positions, logits, paths)
    features = [each for name in names if (each := found[name].features) is not None]
    return Outputs(positions, logits, folded(np.concatenate(features, axis=1)))


@dataclass(frozen=True)
class ModelOutputs:
    """What a network says of n images: logits (n, K), and p-values (n,) that each is like its train
    pictures, NaN where that can't be told."""

    logits: np.ndarray
    p_like_train: np.ndarray


def model_outputs(
    model: TrainedModel,
    gate: TrainingGate,
    batch: tuple[np.ndarray, torch.Tensor],
    device: torch.device,
    paths: Sequence[Path] | None = None,
) -> ModelOutputs:
    """What a network and its gate say of a batch: positions (n,) in `paths`, and images
    (n, S, S, 3) uint8. Raises MachineError for logits that are not finite."""
    if gate.nearest is None:
        found = logits_of(model, [batch], device, paths=paths)
        assert found is not None
        return ModelOutputs(found[1], np.full(len(batch[0]), np.nan))
    outputs = outputs_with_features(model, [batch], device, paths)
    assert outputs is not None
    return ModelOutputs(outputs.logits, gate.nearest.p_values(outputs.features))
