"""The cache and the loader of a run's photographs, and what ends a training that loses one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.batches.loader import BatchSource, ImageLoader
from dr_ovo.batches.row_source import CacheChoice, fill_rows, open_source, require_room
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.places import cache_dir
from dr_ovo.device import select_device
from dr_ovo.errors import MachineError, UserError, log
from dr_ovo.integrity.damaged_files import APART, Splits, without
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.resume.files_begun_with import LEARNED_FROM


def check_cache(
    config: TrainConfig,
    index: DatasetIndex,
    preprocessing: Preprocessing,
    splits: Sequence[str] = LEARNED_FROM,
) -> None:
    """Raises UserError where --cache is on and the decoded photographs of the splits have no room
    on the disk."""
    contents = [index.contents[path] for path in index.paths(splits)]
    require_room(contents, preprocessing, cache_choice(config, index))


def decodable(
    config: TrainConfig,
    index: DatasetIndex,
    preprocessing: Preprocessing,
    splits: Sequence[str] = LEARNED_FROM,
    *,
    leave_out: bool,
    known: Sequence[Damage] = (),
    needed: Sequence[Splits] = APART,
) -> tuple[DatasetIndex, list[Damage]]:
    """Decodes into the cache what it lacks of the splits, and says what they take on the disk. The
    dataset without the files that can't be decoded, and these; of some that may be `known`. Splits
    that are `needed`, those of a group together, must keep their grades.

    Raises UserError, listing them, unless they may be left out.
    """
    paths = index.paths(splits)
    damaged = [damage for damage in known if damage.path in paths]
    bad = {damage.path for damage in damaged}
    files = {path: index.contents[path] for path in paths if path not in bad}
    damaged += fill_rows(files, preprocessing, cache_choice(config, index))
    if not damaged:
        return index, []
    if not leave_out:
        raise UserError(
            f"{len(damaged)} of the files can't be decoded:\n{describe(damaged)}\nRepair or remove "
            "them, or start without them with --skip_damaged."
        )
    clean = without(index, damaged, needed)
    log.warning("Continuing without %d damaged files:\n%s", len(damaged), describe(damaged))
    return clean, damaged


def cache_choice(config: TrainConfig, index: DatasetIndex) -> CacheChoice:
    """How the settings have decoded photographs, and features, kept. A dry run keeps none."""
    named = Path(config.cache_dir).expanduser() if config.cache_dir else None
    return CacheChoice(
        config.cache,
        named or cache_dir(index.root, Path(config.output_root)),
        config.num_workers,
        fill=not config.dry_run,
    )


def image_loader(
    config: TrainConfig,
    index: DatasetIndex,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    *,
    with_quality: bool = False,
) -> ImageLoader:
    """A loader of these files of the dataset, from the cache of decoded photographs where that has
    them."""
    contents = [index.contents[path] for path in paths]
    source = open_source(contents, preprocessing, cache_choice(config, index))
    return ImageLoader(
        paths,
        preprocessing,
        config.num_workers,
        with_quality=with_quality,
        max_megapixels=config.max_megapixels,
        judged=index.written,
        source=source,
        device=select_device(config.device),
        several_passes=config.mode == "train" and not config.feature_views,
    )


def require_undamaged(loader: BatchSource) -> None:
    """Raises MachineError if a photograph became unreadable after training began."""
    if loader.damaged:
        position, reason = next(iter(loader.damaged.items()))
        raise MachineError(
            f"{loader.paths[position]} {reason}. It was readable, or was not checked, when "
            "training began. The training so far is saved. Restore the file and continue with "
            "--resume, or remove it and start again in another folder."
        )
