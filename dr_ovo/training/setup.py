"""From settings to the architectures, results folders, device and precision of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from dr_ovo.device import amp_dtype, check_gpu, select_device
from dr_ovo.errors import UserError
from dr_ovo.freed_memory import keep_freed_memory
from dr_ovo.locks.folders import TRAINING, joint_writers, only_writer
from dr_ovo.models.architectures import ARCHITECTURES, alias_of, resolve_architecture
from dr_ovo.models.backbone import input_spec
from dr_ovo.models.precision import Precision
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig

DEBUG_EPOCHS = 2
BY_FOLDS = "--folds"  # as the source of a setting
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_models(config: TrainConfig) -> list[TrainConfig]:
    """One configuration per architecture: its timm name, its input size, its folder.

    Raises UserError for missing or unknown names.
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


def fold_members(config: TrainConfig) -> list[TrainConfig]:
    """The settings of the networks that `--folds` asks for, each with its fold and its folder
    below that of the architecture; without folds, those given."""
    if not config.folds:
        return [config]
    return [
        dataclasses.replace(
            config, fold=fold, output_dir=str(fold_folder(Path(config.output_dir), fold))
        )
        for fold in ([config.fold] if config.fold else range(1, config.folds + 1))
    ]


def member_sources(config: TrainConfig, sources: dict[str, str]) -> dict[str, str]:
    """Where the settings of `fold_members` came from, by the `sources` of `config`: `--folds` gives
    each its folder and, where `--fold` names none, its fold."""
    if not config.folds:
        return sources
    own = ("output_dir",) if config.fold else ("fold", "output_dir")
    return sources | dict.fromkeys(own, BY_FOLDS)


def never_ended_by_its_fold(config: TrainConfig) -> TrainConfig:
    """The settings of a network; where it holds out a fold and keeps its last epoch, it is not
    ended by what it scores on that fold."""
    if config.fold and config.keep_epoch == "last":
        return dataclasses.replace(config, patience=config.epochs)
    return config


@contextmanager
def only_trainer(config: TrainConfig, held: ExitStack) -> Iterator[None]:
    """No other process trains into the results folders, until what is `held` ends; within the
    context, none writes what the members of `--folds` share. A dry run locks nothing.

    Raises InUse where another process does. Each member of `--folds` may have a process of its own.
    """
    configs = [] if config.dry_run else resolve_models(config)
    for member in (member for own in configs for member in fold_members(own)):
        held.enter_context(only_writer(results_folder(member).root, TRAINING))
    with joint_writers([results_folder(own).root for own in configs if own.folds]):
        yield


def fold_folder(root: Path, fold: int) -> Path:
    """The results folder of the member that holds out a fold."""
    return root / f"fold_{fold}"


def model_folder(config: TrainConfig, timm_name: str, *, single: bool) -> Path:
    """The results folder of an architecture: `--output_dir` itself for a single one."""
    own = f"{alias_of(timm_name)}_{config.num_classes}class_results"
    if config.output_dir:
        return Path(config.output_dir) if single else Path(config.output_dir, own)
    if config.experiment_name:
        named = Path(config.output_root, config.experiment_name)
        return named if single else named / own
    return Path(config.output_root, own)


def trained_folders(config: TrainConfig) -> dict[str | None, ResultsFolder]:
    """The results folders of the trained networks that `--base_models` and `--output_dir` name, by
    timm name; None: of whatever architecture is there. Raises UserError where nothing is named."""
    names = list(dict.fromkeys(map(resolve_architecture, config.base_models)))
    if not names and not config.output_dir:
        raise UserError("Name a model with --base_models, or its folder with --output_dir.")
    if not names:
        return {None: results_folder(config)}
    single = len(names) == 1
    return {name: ResultsFolder(model_folder(config, name, single=single)) for name in names}


def joint_folder(config: TrainConfig) -> Path:
    """The parent of several architectures' results folders; their joint results go there too."""
    return Path(config.output_dir or Path(config.output_root, config.experiment_name))


def mean_folder(config: TrainConfig) -> ResultsFolder:
    """The results folder of the mean of several architectures."""
    return ResultsFolder(joint_folder(config) / "ensemble")


def choose_device(config: TrainConfig) -> torch.device:
    """The device that computes; for the CPU, memory is kept from now on. Raises UserError if it
    can't compute."""
    device = select_device(config.device)
    check_gpu(device)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def choose_precision(config: TrainConfig) -> Precision:
    """The device and number format of a training. Raises UserError for an unusable device."""
    device = choose_device(config)
    wanted = config.amp == "on" or (config.amp == "auto" and device.type == "cuda")
    return Precision(device, DTYPES[amp_dtype(device)] if wanted else None)


def results_folder(config: TrainConfig) -> ResultsFolder:
    """The results folder of a resolved configuration."""
    return ResultsFolder(Path(config.output_dir))
