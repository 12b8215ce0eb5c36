"""From settings to the parts of a run, each checked before anything is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dr_ovo.config import TrainConfig
from dr_ovo.config_checks import PREPROCESSING_STEPS
from dr_ovo.data.augment import Augmentation
from dr_ovo.data.damage import Damage, describe, find_damage, without
from dr_ovo.data.index import SPLITS, DatasetIndex, Split, scan_dataset
from dr_ovo.data.preprocess import Preprocessing
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.calibration import calibration_share
from dr_ovo.hardware import amp_dtype, check_gpu, select_device
from dr_ovo.models.architectures import ARCHITECTURES, alias_of, resolve_architecture
from dr_ovo.models.backbone import InputSpec, check_size, create_backbone, input_spec
from dr_ovo.models.losses import LossSettings, create_loss
from dr_ovo.models.network import BranchSpec, OvoNetwork, branch_specs, build_network
from dr_ovo.models.weights import read_weights
from dr_ovo.training.folder import ResultsFolder
from dr_ovo.training.loop import LoopSettings, TrainingData
from dr_ovo.training.resume import BranchRun
from dr_ovo.training.schedule import balanced_counts, create_schedule
from dr_ovo.training.step import BranchTrainer, Precision, StepSettings

DEBUG_IMAGES, DEBUG_EPOCHS = 8, 2
STEM_BATCH_LIMIT = 32
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Memory of the activations of one 224 px image in training, in GiB: the largest seen among the
# seven architectures in float32, doubled. Scaled by area it decides when `auto` recomputes them.
ACTIVATIONS_GIB = 1.0


def resolve_models(config: TrainConfig) -> list[TrainConfig]:
    """One configuration for each architecture: its timm name, its input size, its folder.

    Raises UserError for unknown names, and sizes that an architecture can't take.
    """
    if not config.base_models:
        raise UserError(f"--base_models is missing. Short names: {', '.join(ARCHITECTURES)}.")
    names = list(dict.fromkeys(resolve_architecture(name) for name in config.base_models))
    single = len(names) == 1
    return [
        dataclasses.replace(
            config,
            base_models=(name,),
            img_size=input_spec(name, config.img_size).size,
            class_names=config.grades,
            output_dir=str(model_folder(config, name, single=single)),
            epochs=min(config.epochs, DEBUG_EPOCHS) if config.debug_mode else config.epochs,
        )
        for name in names
    ]


def model_folder(config: TrainConfig, timm_name: str, *, single: bool) -> Path:
    """The results folder of an architecture: `--output_dir` itself for a single one."""
    own = f"{alias_of(timm_name)}_{config.num_classes}class_results"
    if config.output_dir:
        return Path(config.output_dir) if single else Path(config.output_dir, own)
    if config.experiment_name:
        named = Path(config.output_root, config.experiment_name)
        return named if single else named / own
    return Path(config.output_root, own)


def joint_folder(config: TrainConfig) -> Path:
    """The folder of several architectures: theirs stand in it, and what they give together."""
    return Path(config.output_dir or Path(config.output_root, config.experiment_name))


def choose_precision(config: TrainConfig) -> Precision:
    """The device and number format. Raises UserError for a device that can't be used."""
    device = select_device(config.device)
    check_gpu(device)
    wanted = config.amp == "on" or (config.amp == "auto" and device.type == "cuda")
    return Precision(device, DTYPES[amp_dtype(device)] if wanted else None)


def open_dataset(
    config: TrainConfig, splits: tuple[str, ...] = SPLITS
) -> tuple[DatasetIndex, list[Damage]]:
    """The photographs of a run, and the damaged ones that `--skip_damaged` leaves out.

    Raises UserError, listing them all, for damaged files without `--skip_damaged`.
    """
    index = scan_dataset(Path(config.dataset_path), config.grades, splits)
    damaged = find_damage(index, decode=config.skip_damaged)
    if damaged and not config.skip_damaged:
        raise UserError(
            f"{len(damaged)} files in {config.dataset_path} can't be used:\n{describe(damaged)}\n"
            "Repair or remove them, or go on without them with --skip_damaged."
        )
    if damaged:
        index = without(index, damaged)
        log.warning("Going on without %d damaged files:\n%s", len(damaged), describe(damaged))
    return (_few(index) if config.debug_mode else index), damaged


def _few(index: DatasetIndex) -> DatasetIndex:
    """At most DEBUG_IMAGES images a grade and split."""
    splits = {}
    for name, split in index.splits.items():
        chosen = [
            np.flatnonzero(split.targets == grade)[:DEBUG_IMAGES]
            for grade in range(len(index.class_names))
        ]
        splits[name] = split.take(np.sort(np.concatenate(chosen)))
    return dataclasses.replace(index, splits=splits)


@dataclass(frozen=True)
class Model:
    """A network ready to train, its branches, and what goes in."""

    network: OvoNetwork
    runs: dict[str, BranchRun]
    spec: InputSpec
    preprocessing: Preprocessing
    checkpointing: bool


def load_backbone(config: TrainConfig) -> nn.Module:
    """The backbone with the weights that the settings name; random ones are drawn from the seed.

    Raises UserError for a size or weights that don't fit, and weights that can't be had.
    """
    (name,) = config.base_models
    check_size(name, config.img_size)
    wanted = config.pretrained or config.pretrained_path
    weights = read_weights(name, config.pretrained_path) if wanted else None
    torch.manual_seed(config.seed)
    return create_backbone(name, config.img_size, weights)


def build_model(
    config: TrainConfig, backbone: nn.Module, train: Split, precision: Precision
) -> Model:
    """The network of `config` on a backbone, with a trainer for every branch."""
    (name,) = config.base_models
    specs = branch_specs(config.head, config.ovo_mode, config.num_classes, config.trained_pairs)
    network = build_network(
        backbone,
        specs,
        img_size=config.img_size,
        frozen_stages=config.frozen_stages,
        dropout=config.ovo_dropout,
        seed=config.seed,
    ).to(precision.device)
    if config.frozen_stages and not network.frozen_stages:
        log.warning("%s can't be split into stages: nothing is frozen.", name)
    live = not (config.pretrained or config.pretrained_path)
    checkpointing = _wants_checkpointing(config, precision.device, live_batchnorm=live)
    for branch_name in network.branches:
        branch = network.branch(branch_name)
        branch.live_batchnorm = live
        checkpointing = branch.set_checkpointing(checkpointing)
    if config.grad_checkpointing == "on" and not checkpointing:
        why = "would count live BatchNorm statistics twice" if live else f"is unknown to {name}"
        log.warning("--grad_checkpointing on %s: it stays off.", why)
    runs = {
        spec.name: BranchRun(spec.name, _trainer(config, spec, network, train, precision))
        for spec in specs
    }
    return Model(
        network,
        runs,
        input_spec(name, config.img_size),
        preprocessing_of(config),
        checkpointing,
    )


def preprocessing_of(config: TrainConfig) -> Preprocessing:
    """How photographs become the network's input."""
    return Preprocessing(
        config.img_size,
        clahe_clip_limit=config.clahe_clip_limit,
        clahe_tile_grid_size=config.clahe_tile_grid_size,
        **{name: name in config.steps for name in PREPROCESSING_STEPS},
    )


def _wants_checkpointing(
    config: TrainConfig, device: torch.device, *, live_batchnorm: bool
) -> bool:
    # It runs the forward pass twice, which would update live BatchNorm statistics twice.
    if config.grad_checkpointing == "off" or live_batchnorm:
        return False
    if config.grad_checkpointing == "on":
        return True
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    needed = ACTIVATIONS_GIB * config.batch_size * (config.img_size / 224) ** 2
    return needed > free / 2**30 / 2


def _trainer(
    config: TrainConfig, spec: BranchSpec, network: OvoNetwork, train: Split, precision: Precision
) -> BranchTrainer:
    grades = np.ones(config.num_classes, dtype=bool)
    if spec.independent:
        grades = np.isin(np.arange(config.num_classes), spec.pairs[0])
    counts = np.bincount(train.targets, minlength=config.num_classes)
    drawn = counts
    if config.sampler == "balanced":
        drawn = balanced_counts(train.targets, train.weights)
    samples = int(drawn[grades].sum())
    settings = StepSettings(
        config.batch_size,
        config.gradient_accumulation_steps,
        config.weight_decay,
        config.max_grad_norm,
        config.ema_decay,
        config.seed,
    )
    schedule = create_schedule(
        config.scheduler,
        config.learning_rate,
        config.min_lr,
        epochs=config.epochs,
        warmup_epochs=config.warmup_epochs,
        epoch_steps=-(-samples // settings.window),
    )
    loss = create_loss(config.head, loss_settings(config, counts), list(spec.pairs))
    branch = network.branch(spec.name)
    return BranchTrainer(spec, branch, loss, grades, samples, schedule, settings, precision)


def loss_settings(config: TrainConfig, counts: np.ndarray) -> LossSettings:
    """What shapes the loss; `counts` (C,) are train's."""
    weighted = config.enable_class_weights and config.sampler == "natural"
    alpha = config.focal_loss_alpha
    if len(alpha) == 1:
        alpha = alpha * config.num_classes
    return LossSettings(
        gamma=config.focal_loss_gamma if config.enable_focal_loss else 0.0,
        alpha=alpha if config.enable_focal_loss else (1.0,) * config.num_classes,
        smoothing=config.label_smoothing,
        weights=config.class_weights or None,
        counts=tuple(counts.tolist()) if weighted and config.head != "ordinal" else None,
    )


def training_data(config: TrainConfig, index: DatasetIndex) -> TrainingData:
    """Train and val, the sample of train measured each epoch, and val's calibration share."""
    train, val = index.splits["train"], index.splits["val"]
    share = calibration_share(np.array(val.sample_ids), np.array(val.patient_ids), val.targets)
    return TrainingData(train, val, _sample(train.targets, config.train_sample, config.seed), share)


def _sample(targets: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` positions with train's own share of each grade, and at least one of each."""
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng([seed, count])
    chosen = []
    for grade in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == grade))
        chosen.append(members[: max(1, round(count * len(members) / len(targets)))])
    return np.sort(np.concatenate(chosen))


def loop_settings(config: TrainConfig) -> LoopSettings:
    """What the loop needs of the settings."""
    window = config.batch_size * config.gradient_accumulation_steps
    return LoopSettings(
        head=config.head,
        num_classes=config.num_classes,
        epochs=config.epochs,
        warmup_epochs=config.warmup_epochs,
        patience=config.patience,
        min_delta=config.min_delta,
        sampler=config.sampler,
        seed=config.seed,
        tta_views=config.tta_views,
        stem_batch=max(config.batch_size, min(window, STEM_BATCH_LIMIT)),
    )


def augmentation(config: TrainConfig) -> Augmentation:
    """The augmentation of training images."""
    return Augmentation(
        config.enable_medical_augmentation,
        config.rotation_range,
        config.brightness_range,
        config.contrast_range,
    )


def results_folder(config: TrainConfig) -> ResultsFolder:
    """Where the results of a resolved configuration stand."""
    return ResultsFolder(Path(config.output_dir))
