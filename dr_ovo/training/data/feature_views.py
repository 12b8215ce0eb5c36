"""`--feature_views`: which features of the frozen backbone a training needs."""

from __future__ import annotations

import numpy as np
import torch

from dr_ovo.batches.augmentation import Augmentation
from dr_ovo.batches.features.frozen_features import Backbone, FrozenFeatures
from dr_ovo.batches.features.views import View, Views
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import MachineError
from dr_ovo.settings.groups.network import NetworkOptions
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model
from dr_ovo.training.data.loading import cache_choice
from dr_ovo.training.data.training_data import TrainingData


def view_of_epoch(epoch: int, views: int) -> View:
    """The view on which an epoch, from 1 on, trains: the epochs take turns."""
    return View(augmented=True, number=(epoch - 1) % views)


def measured_views(options: NetworkOptions) -> list[View]:
    """The views on which val, and the sample of train, are measured."""
    return [View(augmented=False, number=number) for number in range(options.tta_views)]


def frozen_features(
    config: TrainConfig,
    index: DatasetIndex,
    model: Model,
    data: TrainingData,
    device: torch.device,
) -> FrozenFeatures | None:
    """The features that a training will need, none of them read or computed yet; None without
    `--feature_views`."""
    if not config.feature_views:
        return None
    train = np.arange(len(data.train))
    measured = np.concatenate([data.sample, np.arange(len(data.val)) + len(train)])
    trained_on = [view_of_epoch(e, config.feature_views) for e in range(1, config.epochs + 1)]
    wanted = dict.fromkeys(trained_on, train) | dict.fromkeys(measured_views(config), measured)
    paths = (*data.train.paths, *data.val.paths)
    if unread := [path for path in paths if not index.contents[path]]:
        raise MachineError(f"{unread[0]} could not be read. Restore it, or remove it.")
    branch = model.network.branch(next(iter(model.network.branches)))
    return FrozenFeatures(
        Backbone(
            model.network,
            config.base_models[0],
            model.preprocessing,
            device,
            branch.head.in_features,
        ),
        Views(Augmentation(config), config.seed, model.spec),
        wanted,
        [index.contents[path] for path in paths],
        cache_choice(config, index),
    )
