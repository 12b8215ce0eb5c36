"""The networks that grade together: one model, the mean of several, or an exported ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dr_ovo.decoding.decoders import decode
from dr_ovo.ensembles.combination import combine
from dr_ovo.ensembles.manifest import Manifest, read_manifest
from dr_ovo.errors import UserError
from dr_ovo.inference.ensemble_members import open_members
from dr_ovo.inference.trained_model import TrainedModel, open_models
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.predictions.predictions_file import marks_of
from dr_ovo.settings.command_line import Settings
from dr_ovo.training.setup import joint_folder


@dataclass(frozen=True)
class Ensemble:
    """Networks that grade together, each with its decoder; `folder` is the default for the CSV."""

    models: Sequence[TrainedModel]
    decoders: Sequence[str]
    method: str
    weights: np.ndarray  # (M,)
    folder: Path

    @property
    def class_names(self) -> list[str]:
        """The names of the grades."""
        return list(self.models[0].meta["class_names"])

    @property
    def marks(self) -> list[str]:
        """The marks of the models, such as LEAKY."""
        return sorted({mark for model in self.models for mark in marks_of([model.meta], [])})

    def grade(self, logits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The grades (n,) and probabilities (n, C) by the logits (n, K) of each model."""
        predicted, probabilities = [], []
        for model, decoder, own in zip(self.models, self.decoders, logits, strict=True):
            meta = model.meta
            accuracy = meta["pair_accuracy"] if meta["head"] == "ovo" else None
            grades, each = decode(
                meta["head"],
                own,
                meta["num_classes"],
                decoder,
                None if accuracy is None else np.array(accuracy, dtype=np.float64),
            )
            predicted.append(grades)
            probabilities.append(each)
        combined, joint = combine(
            self.method, np.stack(predicted), np.stack(probabilities), self.weights
        )
        return (predicted[0] if len(self.models) == 1 else combined), joint


def open_ensemble(settings: Settings, device: torch.device) -> Ensemble:
    """The networks that the settings name. Raises UserError where they can't be used."""
    config = settings.config
    if not config.ensemble:
        models = open_models(settings, device)
        folder = models[0].folder.root if len(models) == 1 else joint_folder(config)
        equal = np.full(len(models), 1 / len(models))
        return Ensemble(models, [config.decoder] * len(models), "mean", equal, folder)
    manifest = read_manifest(Path(config.ensemble))
    _require_agreement(settings, manifest)
    models = open_members(manifest, settings, device)
    folder = Path(config.output_dir or Path(config.ensemble).parent)
    decoders = [member.decoder for member in manifest.members]
    return Ensemble(models, decoders, manifest.method, manifest.weights, folder)


def _require_agreement(settings: Settings, manifest: Manifest) -> None:
    """Raises UserError if given models or a given decoder are not the manifest's."""
    config, members = settings.config, manifest.members
    own_models = {member.architecture for member in members}
    if config.base_models and {*map(resolve_architecture, config.base_models)} != own_models:
        raise UserError(
            f"--base_models {' '.join(config.base_models)}: the ensemble in {config.ensemble} is "
            f"made of {', '.join(sorted(map(str, own_models)))}. Leave --base_models out."
        )
    own_decoders = {member.decoder for member in members if member.head == "ovo"}
    if "decoder" in settings.given() and own_decoders != {config.decoder}:
        raise UserError(
            f"--decoder {config.decoder}: the ensemble in {config.ensemble} decodes its members "
            f"with {', '.join(sorted(own_decoders)) or 'none'}. Leave --decoder out."
        )
