"""Every setting of the trainer, in groups; a new option is added to its group in `groups/`.

Command line, --help, settings files and config.json are generated from these fields; nothing else
defines an option.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dr_ovo.settings import checks
from dr_ovo.settings.groups.augmentation import AugmentationOptions
from dr_ovo.settings.groups.loss import LossOptions
from dr_ovo.settings.groups.machine import MachineOptions
from dr_ovo.settings.groups.network import NetworkOptions
from dr_ovo.settings.groups.run import RunOptions
from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.settings.option import Fixed, Options

# In the order in which --help shows them.
GROUPS: dict[str, type[Options]] = {
    "run": RunOptions,
    "network": NetworkOptions,
    "schedule": ScheduleOptions,
    "loss": LossOptions,
    "augmentation": AugmentationOptions,
    "machine": MachineOptions,
}
PER_STEP = "batch_size x gradient_accumulation_steps"


@dataclass(frozen=True)
class TrainConfig(
    MachineOptions, AugmentationOptions, LossOptions, ScheduleOptions, NetworkOptions, RunOptions
):
    """Every setting of `ensemble_5class_trainer.py`. It is each of its groups, too, so that what
    needs the options of one group can be given it. Raises UserError for values out of range."""

    def check(self) -> None:
        """Raises UserError for values that exclude each other."""
        for group in GROUPS.values():
            group.check(self)
        checks.check_members(
            self.folds,
            self.pairs,
            scheduler=self.scheduler,
            keep_epoch=self.keep_epoch,
            decoder=self.decoder,
        )
        checks.check_micro_batch(self.micro_batch, self.window)
        checks.check_feature_views(
            self.feature_views, self.frozen_stages, augmented=self.enable_medical_augmentation
        )
        checks.check_balance(
            self.focal_loss_alpha,
            self.class_weights,
            self.num_classes,
            enable_class_weights=self.enable_class_weights,
            sampler=self.sampler,
            head=self.head,
        )


FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


def values_of(config: TrainConfig) -> dict[str, Any]:
    """The value of every option, as JSON holds it."""
    return {name: _plain(getattr(config, name)) for name in FIELDS}


# Settings of a training that evaluation takes from each network, unless they are given.
DECODING = ("decoder", "prior_correction")


def fixed_values(config: TrainConfig, least: Fixed) -> dict[str, Any]:
    """The values of the options that are fixed at `least` so firmly, as JSON holds them.

    Of batch size and accumulation only the product counts, so that a run that met the end of the
    GPU's memory goes on with smaller micro-batches.
    """
    values = {
        name: value
        for name, value in values_of(config).items()
        if FIELDS[name].metadata["fixed"] >= least
    }
    if "batch_size" in values:
        del values["batch_size"], values["gradient_accumulation_steps"]
        values[PER_STEP] = config.window
    return values


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
