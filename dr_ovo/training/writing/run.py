"""What a training run is: its settings, its photographs and their audit, its network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.models.precision import Precision
from dr_ovo.photographs.damage import Damage
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.recipe import Recipe
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model
from dr_ovo.training.data.seen_photographs import SeenPhotographs, seen_in_training
from dr_ovo.training.data.training_data import holds_out_val
from dr_ovo.training.resume.numerics import begun_loss, numerics_now


@dataclass(frozen=True)
class Run:
    """A training run of one architecture."""

    config: TrainConfig
    sources: dict[str, str]
    recipes: tuple[Recipe, ...]
    index: DatasetIndex
    damaged: list[Damage]
    audit: dict[str, Any]
    model: Model
    precision: Precision
    history: SeenPhotographs  # of the weights that it began with

    @property
    def seen(self) -> SeenPhotographs:
        """The photographs that its network sees, in this training or before."""
        held_out = holds_out_val(self.config)
        return self.history | seen_in_training(self.index, self.index.contents, held_out=held_out)

    @property
    def leaky(self) -> bool:
        """Whether it was trained on leaks that `--allow_leaks` let through, or from weights that
        were, or that have seen photographs or patients on which it is judged."""
        found = ("leaks", "leaky_weights", "weights_have_seen", "weights_have_seen_patients")
        return any(self.audit.get(name) for name in found)

    @property
    def folder(self) -> ResultsFolder:
        """Where it is written."""
        return ResultsFolder(Path(self.config.output_dir))

    def numerics(self) -> dict[str, Any]:
        """What the machine decides of how it is computed."""
        model = self.model
        return numerics_now(
            self.precision,
            compiled=model.compiled,
            micro_batch=model.micro_batch.size,
            ranks=model.window_ranks.count,
        )

    def effective(self) -> dict[str, Any]:
        """What follows from the settings on this machine."""
        trained, total = count_parameters(self.model)
        return {
            **self.numerics(),
            "memory_format": self.model.network.memory_format,
            "loss_version": begun_loss(self.folder),
            "grad_checkpointing": self.model.network.checkpointing,
            "frozen_stages": self.model.network.frozen_stages,
            "trained_parameters": trained,
            "frozen_parameters": total - trained,
            "input": asdict(self.model.spec),
            "images_per_step": self.config.window,
            "branches": {
                branch.name: {
                    "images_per_epoch": branch.images,
                    "steps_per_epoch": branch.schedule.total // self.config.epochs,
                    "warmup_steps": branch.schedule.warmup,
                }
                for branch in self.model.runs.values()
            },
        }


def count_parameters(model: Model) -> tuple[int, int]:
    """(trained, all) parameters of a network, of the branches of other ranks, too."""
    network = model.network
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    trained = trained * len(model.runs) // len(network.branches)  # which are alike
    return trained, trained + frozen
