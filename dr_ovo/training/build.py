"""Building a network ready to train from the settings: backbone, branches, losses, trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dr_ovo.choices import PREPROCESSING_STEPS
from dr_ovo.dataset.index import Split
from dr_ovo.distributed.division import deal_branches
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import UserError, log
from dr_ovo.models.architectures import memory_format
from dr_ovo.models.backbone import InputSpec, create_backbone, input_spec
from dr_ovo.models.compilation import Compiler
from dr_ovo.models.input_size import check_size
from dr_ovo.models.losses import LossSettings, create_loss
from dr_ovo.models.memory_format import use_format
from dr_ovo.models.network import (
    BranchSpec,
    OvoNetwork,
    branch_specs,
    build_network,
    find_own_draws,
    leaves_blocks_out,
)
from dr_ovo.models.parts.starting_head import read_head
from dr_ovo.models.parts.stem import WHOLE
from dr_ovo.models.precision import Precision
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.sources import read_weights
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.micro_batch import MicroBatch
from dr_ovo.training.optimization.micro_batch_choice import choose_size, create_micro_batch
from dr_ovo.training.optimization.schedule import balanced_counts, create_schedule
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.numerics import (
    LOSS_VERSION,
    begun_frozen_stages,
    begun_loss,
    begun_memory_format,
)


@dataclass(frozen=True)
class Model:
    """A network ready to train, its branches, its input and its preprocessing."""

    network: OvoNetwork
    runs: dict[str, BranchRun]
    spec: InputSpec
    preprocessing: Preprocessing
    micro_batch: MicroBatch
    compiler: Compiler | None  # None: nothing is to be compiled
    ranks: Ranks
    window_ranks: Ranks  # that share the windows of the one branch
    branch_ranks: Ranks  # that have different branches

    @property
    def compiled(self) -> bool:
        """Whether training is compiled; before its first steps, whether that will be tried."""
        return self.compiler is not None and self.compiler.works


def load_backbone(config: TrainConfig, *, whole_input: bool = True) -> nn.Module:
    """The backbone with the weights that the settings name; random ones follow the seed.

    `whole_input`: the network must see every pixel. Raises UserError for a size or weights that
    don't fit, and for weights that can't be obtained.
    """
    (name,) = config.base_models
    check_size(name, config.img_size, whole_input=whole_input)
    wanted = config.pretrained or config.pretrained_path
    weights = read_weights(name, config.pretrained_path) if wanted else None
    torch.manual_seed(config.seed)
    return create_backbone(name, config.img_size, weights, config.drop_path)


def empty_backbone(config: TrainConfig) -> nn.Module:
    """The backbone of the settings, for weights that are loaded into it later."""
    (name,) = config.base_models
    return create_backbone(name, config.img_size, None, config.drop_path)


def load_head(config: TrainConfig) -> StateDict | None:
    """The head that the settings name, to begin with; None for a new one. Raises UserError for one
    that answers something else."""
    if not config.pretrained_head:
        return None
    (name,) = config.base_models
    (spec,) = branch_specs(config.head, config.ovo_mode, config.num_classes, config.trained_pairs)
    expected = {
        "head": config.head,
        "branch": spec.name,
        "class_names": list(config.grades),
        "pairs": [list(pair) for pair in spec.pairs],
    }
    return read_head(name, config.pretrained_path, expected)


def build_model(
    config: TrainConfig,
    backbone: nn.Module,
    train: Split,
    precision: Precision,
    begun_micro_batch: int | None = None,
    ranks: Ranks = ALONE,
    head: StateDict | None = None,
) -> Model:
    """The network of `config` on a backbone, with one trainer per branch. `head`: the weights that
    its one head begins with; None: those of the seed.

    `begun_micro_batch`: the size of micro-batches with which `--micro_batch auto` goes on. Of
    several ranks each has its own branches in independent mode, else the one branch.
    """
    (name,) = config.base_models
    specs = branch_specs(config.head, config.ovo_mode, config.num_classes, config.trained_pairs)
    divided = specs[0].independent
    window_ranks, branch_ranks = (ALONE, ranks) if divided else (ranks, ALONE)
    images = {spec.name: branch_images(config, spec, train) for spec in specs}
    own = own_branches(images, branch_ranks)
    network = _network(config, backbone, [s for s in specs if s.name in own], precision, head)
    micro_batch = create_micro_batch(config, network, window_ranks)
    losses = loss_settings(config, train, begun_loss(ResultsFolder(Path(config.output_dir))))
    runs = {}
    for spec in specs:
        schedule = create_schedule(config, -(-images[spec.name] // config.window))
        runs[spec.name] = BranchRun(spec.name, None, images[spec.name], schedule)
        if spec.name in own:
            runs[spec.name].trainer = BranchTrainer(
                spec,
                network.branch(spec.name),
                create_loss(config.head, losses, list(spec.pairs)),
                _grades(config, spec),
                images[spec.name],
                schedule,
                config,
                precision,
                micro_batch,
                window_ranks,
            )
    trainers = [run.trainer for run in runs.values() if run.trainer is not None]
    window_ranks.sum_into(torch.zeros(1, device=precision.device))  # allocates what that needs
    choose_size(config, network, trainers, begun_micro_batch, len(train.paths))
    compiler = _compiler(network, runs, precision.device) if config.compile else None
    if compiler is not None:
        micro_batch.on_change = compiler.forget
    return Model(
        network,
        runs,
        input_spec(name, config.img_size),
        preprocessing_of(config),
        micro_batch,
        compiler,
        ranks,
        window_ranks,
        branch_ranks,
    )


def _say_what_does_nothing(config: TrainConfig, network: OvoNetwork) -> None:
    """Warns of options for trained layers where there are none of their kind."""
    if network.frozen_stages == WHOLE:
        given = {"--layer_decay": config.layer_decay < 1, "--drop_path": config.drop_path > 0}
        for option in (option for option, is_given in given.items() if is_given):
            log.warning("%s has no effect: --freeze_stages 4 trains the head alone.", option)
    elif config.drop_path and not leaves_blocks_out(network, config.img_size):
        log.warning("--drop_path has no effect: no trained block can be left out.")


def _network(
    config: TrainConfig,
    backbone: nn.Module,
    specs: list[BranchSpec],
    precision: Precision,
    head: StateDict | None,
) -> OvoNetwork:
    """The network of these branches on its device, as the training in its folder began, if it
    has."""
    (name,) = config.base_models
    folder = ResultsFolder(Path(config.output_dir))
    frozen = begun_frozen_stages(folder, config.frozen_stages)
    network = build_network(
        backbone,
        specs,
        img_size=config.img_size,
        frozen_stages=frozen,
        dropout=config.ovo_dropout,
        seed=config.seed,
    )
    if head is not None:
        network.branch(specs[0].name).head.load_state_dict(head, strict=True)
    find_own_draws(network, config.img_size)
    _say_what_does_nothing(config, network)
    network = network.to(precision.device)
    begun = begun_memory_format(folder)
    use_format(network, begun or memory_format(name, precision.device.type, precision.name))
    if frozen and not network.frozen_stages:
        log.warning("%s can't be split into stages: nothing is frozen.", name)
    elif config.frozen_stages and not frozen:
        log.info("%s began with nothing frozen, and goes on so", folder.root)
    network.use_live_batchnorm(not (config.pretrained or config.pretrained_path))
    return network


def _compiler(network: OvoNetwork, runs: dict[str, BranchRun], device: torch.device) -> Compiler:
    """What compiles stem and branches when they first train."""
    compiler = Compiler(device)
    network.compile_stem(compiler)
    for run in runs.values():
        if run.trainer is not None:
            run.trainer.gradients.forward = compiler(run.trainer.branch)
    return compiler


def preprocessing_of(config: TrainConfig) -> Preprocessing:
    """The preprocessing that turns photographs into the network's input."""
    return Preprocessing(
        config.img_size,
        clahe_clip_limit=config.clahe_clip_limit,
        clahe_tile_grid_size=config.clahe_tile_grid_size,
        **{name: name in config.steps for name in PREPROCESSING_STEPS},
    )


def branch_images(config: TrainConfig, spec: BranchSpec, train: Split) -> int:
    """The images of an epoch that a branch sees."""
    counts = np.bincount(train.targets, minlength=config.num_classes)
    if config.sampler == "balanced":
        counts = balanced_counts(train.targets, train.weights)
    return int(counts[_grades(config, spec)].sum())


def _grades(config: TrainConfig, spec: BranchSpec) -> np.ndarray:
    """(C,) bool: the grades that a branch sees."""
    grades = np.arange(config.num_classes)
    return np.isin(grades, spec.pairs[0]) if spec.independent else np.ones(len(grades), dtype=bool)


def own_branches(images: Mapping[str, int], ranks: Ranks) -> list[str]:
    """The branches that this rank trains. Raises UserError for more ranks than branches."""
    if ranks.count > len(images):
        raise UserError(
            f"{ranks.count} processes for {len(images)} branches: start at most one for each."
        )
    return deal_branches(images, ranks.count)[ranks.index]


def loss_settings(config: TrainConfig, train: Split, version: int = LOSS_VERSION) -> LossSettings:
    """The parameters of the loss, as that version of the losses has them."""
    counts = np.bincount(train.targets, minlength=config.num_classes)
    weighted = config.enable_class_weights and config.sampler == "natural"
    if config.head == "ordinal" and version == 1:
        weighted = False
    alpha = config.focal_loss_alpha
    if len(alpha) == 1:
        alpha = alpha * config.num_classes
    return LossSettings(
        gamma=config.focal_loss_gamma if config.enable_focal_loss else 0.0,
        alpha=alpha if config.enable_focal_loss else (1.0,) * config.num_classes,
        smoothing=config.label_smoothing,
        weights=config.class_weights or None,
        counts=tuple(counts.tolist()) if weighted else None,
        drawn=_drawn(config, train, counts),
        distance=config.regression_loss,
        present=tuple(counts.tolist()),
    )


def _drawn(config: TrainConfig, train: Split, counts: np.ndarray) -> tuple[float, ...] | None:
    """(C,) how much more often than it occurs a picture of each grade is drawn; None: each once."""
    if config.sampler == "natural":
        return None
    drawn = balanced_counts(train.targets, train.weights)
    return tuple((drawn / np.maximum(counts[: len(drawn)], 1)).tolist())
