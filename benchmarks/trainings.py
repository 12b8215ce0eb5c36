"""The trainer itself, up to its training loop, for benchmarks that time parts of a training.

Settings, dataset, network, cache and loop are made by the functions that `--mode train` calls. What
is left out precedes a training once: the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.results import NotMeasured
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import UserError
from dr_ovo.models.architectures import CHANNELS_LAST
from dr_ovo.models.network import OvoNetwork
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model, build_model, load_backbone
from dr_ovo.training.data.loading import decodable, image_loader
from dr_ovo.training.data.opening import open_dataset
from dr_ovo.training.data.training_data import training_data
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.setup import choose_precision, resolve_models, results_folder

NETWORK = "tf_efficientnet_lite0"


@dataclass
class Training:
    """A training that is ready for its epochs."""

    config: TrainConfig
    index: DatasetIndex
    folder: ResultsFolder
    model: Model
    loader: ImageLoader
    loop: TrainingLoop
    epoch: int = 0

    @property
    def network(self) -> OvoNetwork:
        """The network in training."""
        return self.model.network

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format in which the network trains."""
        last = self.network.memory_format == CHANNELS_LAST
        return torch.channels_last if last else torch.contiguous_format

    @property
    def trainers(self) -> list[BranchTrainer]:
        """The trainers of the branches of this process."""
        return [run.trainer for run in self.model.runs.values() if run.trainer is not None]

    def train_epoch(self, between: Callable[[int], None] | None = None) -> dict[str, float]:
        """The training part of the next epoch; the mean loss of each branch. `between` is called
        after each batch, with its number from 1."""
        self.epoch += 1
        active = [run for run in self.model.runs.values() if run.trainer is not None]
        return self.loop.train_epoch(self.epoch, active, between)


@contextmanager
def training(dataset: Path, output: Path, *flags: str, ranks: Ranks = ALONE) -> Iterator[Training]:
    """The training that `--mode train --dataset_path DATASET` with these flags begins, in one of
    several `ranks` where these have joined.

    On the CPU, in float32 unless the flags say otherwise. The cache of decoded photographs is
    filled. Raises NotMeasured where the weights can't be had.
    """
    settings = parse_settings(
        [
            *("--mode", "train", "--device", "cpu", "--base_models", NETWORK),
            *("--dataset_path", str(dataset), "--output_dir", str(output)),
            *("--output_root", str(output.parent), *flags),
        ]
    )
    (config,) = resolve_models(settings.config)
    precision = choose_precision(config)
    folder = results_folder(config)
    index, _ = open_dataset(config, [folder])
    try:
        backbone = load_backbone(config)
    except UserError as error:
        raise NotMeasured(str(error)) from error
    torch.manual_seed(config.seed)
    model = build_model(config, backbone, index.splits["train"], precision, ranks=ranks)
    data = training_data(config, index)
    paths = (*data.train.paths, *data.val.paths)
    decodable(config, index, model.preprocessing, leave_out=False)
    with image_loader(config, index, paths, model.preprocessing) as loader:
        loop = TrainingLoop(model, data, loader, precision, config)
        yield Training(config, index, folder, model, loader, loop)
