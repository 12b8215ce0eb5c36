"""The loader of a run's photographs, and what ends a training whose photographs change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.row_source import CacheChoice, open_source
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.places import cache_dir
from dr_ovo.device import select_device
from dr_ovo.errors import MachineError
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig


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
        Path(config.cache_dir).expanduser()
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
        device=select_device(config.device),
        several_passes=config.mode == "train",
    )


def require_undamaged(loader: ImageLoader) -> None:
    """Raises MachineError if a photograph became unreadable after training began."""
    if loader.damaged:
        position, reason = next(iter(loader.damaged.items()))
        raise MachineError(
            f"{loader.paths[position]} {reason}. It was readable, or was not checked, "
            "when training began. The last finished epoch is saved. Restore the file and "
            "continue with --resume, or start again with --skip_damaged in another folder."
        )
