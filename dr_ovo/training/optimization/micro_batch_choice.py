"""The size of micro-batches: what the settings and the network say of it, and what fits."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.choices import AUTO
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.errors import UserError, log
from dr_ovo.models.network import OvoNetwork
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.micro_batch import MicroBatch
from dr_ovo.training.optimization.probing import largest_that_fits


def create_micro_batch(config: TrainConfig, network: OvoNetwork, ranks: Ranks) -> MicroBatch:
    """The micro-batches of a training, before a GPU's memory is tried out; switches gradient
    checkpointing on where that was asked for.

    Raises UserError for a network that can't be trained by several ranks, which share its steps.
    """
    (name,) = config.base_models
    first = network.branch(next(iter(network.branches)))
    fixed = ""
    if first.live_batchnorm:
        fixed = "live BatchNorm takes its statistics from each"
    elif first.draws_on_its_own:
        fixed = f"{name} draws random numbers of its own for each"
        log.info("micro-batches have --batch_size images: %s", fixed)
    if fixed and not ranks.is_alone:
        raise UserError(
            f"{ranks.count} processes can't share the steps of this network, since {fixed} "
            "micro-batch. Start one process; or, for several GPUs, ./run_all.sh or --ovo_mode "
            "independent."
        )
    size = config.batch_size if config.micro_batch == AUTO else int(config.micro_batch)
    if fixed and size != config.batch_size:
        raise UserError(
            f"--micro_batch {size}: with these settings micro-batches have --batch_size "
            f"{config.batch_size} images, since {fixed}. Leave it out, or change --batch_size."
        )
    if config.grad_checkpointing == "on" and not network.set_checkpointing():
        why = (
            "would update live BatchNorm statistics twice"
            if first.live_batchnorm
            else f"is unsupported by {name}"
        )
        log.warning("--grad_checkpointing on %s: it stays off.", why)
    never = config.grad_checkpointing == "off"
    return MicroBatch(size, config.window, fixed, bool if never else network.set_checkpointing)


def choose_size(
    config: TrainConfig,
    network: OvoNetwork,
    trainers: Sequence[BranchTrainer],
    begun: int | None,
    photographs: int,
) -> None:
    """Chooses the size of micro-batches where `--micro_batch auto` leaves it to this machine: that
    with which the training has `begun`, else the largest that fits a GPU."""
    micro_batch = trainers[0].micro_batch
    if config.micro_batch != AUTO or micro_batch.fixed:
        return
    if begun and config.window % begun == 0:
        micro_batch.size = begun
    elif trainers[0].precision.device.type == "cuda":
        micro_batch.size = largest_that_fits(
            network, trainers, config.img_size, config.window, photographs
        )
