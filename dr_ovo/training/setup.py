"""From settings to device, results folder, dataset, loop settings and augmentation of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.batches.augmentation import Augmentation
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.row_source import CacheChoice, open_source
from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.dataset.words import SPLITS
from dr_ovo.decoded.places import cache_dir
from dr_ovo.device import amp_dtype, check_gpu, select_device
from dr_ovo.errors import UserError, log
from dr_ovo.files import last_written
from dr_ovo.integrity.damaged_files import examine, remaining, without
from dr_ovo.models.architectures import ARCHITECTURES, alias_of, resolve_architecture
from dr_ovo.models.backbone import input_spec
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.predictions.calibration import calibration_share
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.epochs.loop import LoopSettings, TrainingData
from dr_ovo.training.optimization.branch_trainer import Precision
from dr_ovo.training.resume.files_begun_with import files_begun_with

DEBUG_IMAGES, DEBUG_EPOCHS = 8, 2
STEM_BATCH_LIMIT = 32
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
    """The parent of several architectures' results folders; their joint results go there too."""
    return Path(config.output_dir or Path(config.output_root, config.experiment_name))


def choose_precision(config: TrainConfig) -> Precision:
    """The device and number format. Raises UserError for an unusable device."""
    device = select_device(config.device)
    check_gpu(device)
    wanted = config.amp == "on" or (config.amp == "auto" and device.type == "cuda")
    return Precision(device, DTYPES[amp_dtype(device)] if wanted else None)


def open_dataset(
    config: TrainConfig,
    folders: Sequence[ResultsFolder],
    splits: tuple[str, ...] = SPLITS,
) -> tuple[DatasetIndex, list[Damage]]:
    """The photographs of a run that uses these results folders, and the files that are left out:
    with `--skip_damaged` those that can't be used, in a resumed training those that it left out.

    Raises UserError, listing all that can't be used, without `--skip_damaged`.
    """
    index = scan_dataset(Path(config.dataset_path), config.grades, splits)
    paths = [path for split in index.splits.values() for path in split.paths]
    index = dataclasses.replace(index, written={path: last_written(path) for path in paths})
    # With --resume, a finished training leaves everything as it is.
    finished = config.resume and all(folder.is_finished() for folder in folders)
    damaged = _damaged(config, index, folders[0], keep=not (config.dry_run or finished))
    begun = None
    if config.mode == "train" and config.resume:
        begun = files_begun_with(index, damaged, folders)
    if begun is None:
        index, left_out = _usable(config, index, damaged)
    else:
        index, left_out = remaining(index, begun.left_out), begun.left_out
        if begun.damaged:
            log.warning(
                "This training began with %d damaged files, and goes on with them:\n%s",
                len(begun.damaged),
                describe(begun.damaged),
            )
    if index.others:
        log.warning("%s", not_read(index.others))
    return (_debug_subset(index) if config.debug_mode else index), left_out


def _damaged(
    config: TrainConfig, index: DatasetIndex, folder: ResultsFolder, *, keep: bool
) -> list[Damage]:
    """The damaged files of the dataset; warns of those that are odd, but whole. The verdicts go to
    the audit's cache, unless not to `keep` them."""
    cache = cache_folder(index.root, folder.root)
    file = cache / DESCRIPTORS if cache else None
    found = examine(index, file, config.max_megapixels, keep=keep)
    if found.odd:
        log.warning("%d files are odd, but whole:\n%s", len(found.odd), describe(found.odd))
    return found.damaged


def _usable(
    config: TrainConfig, index: DatasetIndex, damaged: Sequence[Damage]
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset without the files that can't be used, and these."""
    in_grades = [path for path in index.others if path.parent.parent != index.root]
    unusable = [*damaged, *(Damage(path, "is not a photograph that is read") for path in in_grades)]
    if not unusable:
        return index, []
    if not config.skip_damaged:
        raise UserError(
            f"{len(unusable)} files in {config.dataset_path} can't be used:\n{describe(unusable)}\n"
            "Repair or remove them, or continue without them with --skip_damaged. "
            f"{not_read(in_grades)}".rstrip()
        )
    clean = without(index, damaged)
    log.warning("Continuing without %d damaged files:\n%s", len(unusable), describe(unusable))
    return clean, unusable


def _debug_subset(index: DatasetIndex) -> DatasetIndex:
    """At most DEBUG_IMAGES images per grade and split."""
    splits = {}
    for name, split in index.splits.items():
        chosen = [
            np.flatnonzero(split.targets == grade)[:DEBUG_IMAGES]
            for grade in range(len(index.class_names))
        ]
        splits[name] = split.take(np.sort(np.concatenate(chosen)))
    return dataclasses.replace(index, splits=splits)


def training_data(config: TrainConfig, index: DatasetIndex) -> TrainingData:
    """Train and val, the sample of train evaluated each epoch, and val's calibration share."""
    train, val = index.splits["train"], index.splits["val"]
    share = calibration_share(np.array(val.sample_ids), np.array(val.patient_ids), val.targets)
    return TrainingData(train, val, _sample(train.targets, config.train_sample, config.seed), share)


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


def loop_settings(config: TrainConfig) -> LoopSettings:
    """The settings that the training loop needs."""
    window = config.batch_size * config.gradient_accumulation_steps
    return LoopSettings(
        head=config.head,
        num_classes=config.num_classes,
        epochs=config.epochs,
        warmup_epochs=config.warmup_epochs,
        patience=config.patience,
        min_delta=config.min_delta,
        keep_epoch=config.keep_epoch,
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


def image_loader(
    config: TrainConfig,
    index: DatasetIndex,
    folder: ResultsFolder,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    *,
    with_quality: bool = False,
) -> ImageLoader:
    """A loader of these files of the dataset, from the cache of decoded photographs where --cache
    lets it. A dry run does not fill that."""
    audited = cache_folder(index.root, folder.root)
    choice = CacheChoice(
        config.cache,
        Path(config.cache_dir)
        if config.cache_dir
        else cache_dir(index.root, Path(config.output_root)),
        config.num_workers,
        fill=not config.dry_run,
        descriptors=audited / DESCRIPTORS if audited else None,
    )
    source = open_source(paths, preprocessing, choice)
    return ImageLoader(
        paths,
        preprocessing,
        config.num_workers,
        with_quality=with_quality,
        max_megapixels=config.max_megapixels,
        judged=index.written,
        source=source,
    )


def results_folder(config: TrainConfig) -> ResultsFolder:
    """The results folder of a resolved configuration."""
    return ResultsFolder(Path(config.output_dir))
