"""Writes, at the end of a training, the features by which pictures unlike its own are told."""

from __future__ import annotations

import time

import numpy as np
import torch

from dr_ovo.batches.features.frozen_features import FrozenFeatures
from dr_ovo.decoding.heads import head_of
from dr_ovo.errors import log
from dr_ovo.files import known_sha256
from dr_ovo.full_memory import first_line
from dr_ovo.gates.features_file import save_features
from dr_ovo.gates.nearest_features import LEVEL, calibrated, folded, one_each_first
from dr_ovo.logs import duration
from dr_ovo.models.checkpoints.assembly import load_network
from dr_ovo.models.checkpoints.files import find_checkpoints
from dr_ovo.models.network import OvoNetwork
from dr_ovo.outputs import MEASURE_BATCH, branch_outputs
from dr_ovo.pairs import class_pairs
from dr_ovo.training.data.feature_views import measured_views
from dr_ovo.training.data.training_data import TrainingData
from dr_ovo.training.epochs.interruption import WatchedBatches
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.writing.run import Run


def write_train_features(run: Run, loop: TrainingLoop) -> None:
    """Writes train_features.npz: the features that the kept checkpoints have of train pictures, and
    how far those of val are from them. One process does it, while others wait.

    Leaves it out, saying so, where the pairs are not all there, too few pictures are, or the GPU's
    memory is full. Raises Interrupted where the run is to stop.
    """
    config, folder = run.config, run.folder
    folder.train_features.unlink(missing_ok=True)  # of other checkpoints
    if head_of(config.head).paired and config.trained_pairs != class_pairs(config.num_classes):
        return
    start, data = time.monotonic(), loop.data
    train, val = _positions(data, loop.features)
    files = find_checkpoints(folder.models, config.base_models[0])
    try:
        network = run.model.network  # whose frozen backbone is that of the checkpoints
        if loop.features is None:
            with torch.random.fork_rng(devices=[]):  # later trainings draw their own numbers
                network = load_network(files)[0].to(run.precision.device)
        features = _features(run, loop, network, [*train, *val])
    except torch.OutOfMemoryError as error:
        log.warning("features of train are not kept: memory is full (%s)", first_line(error))
        return
    patients = np.array([data.train.patient_ids[at] or str(at) for at in train])
    found = calibrated(features[: len(train)], patients, features[len(train) :])
    if found is None:
        log.info("features of train are not kept: too few pictures to tell which are unlike them")
        return
    save_features(folder.train_features, found, {path.name: known_sha256(path) for path in files})
    log.info(
        "kept the features of %d train pictures, calibrated on %d of %s, in %s",
        len(found.features), len(found.distances), found.calibrated_on,
        duration(time.monotonic() - start),
    )  # fmt: skip


def _positions(data: TrainingData, frozen: FrozenFeatures | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the loader of the train pictures that are kept, and of one val picture of each
    patient: of the calibration share, which selected nothing, where that is enough.

    With --feature_views, of the train pictures that were measured: no others are in memory.
    """
    train = data.train if frozen is None else data.train.take(data.sample)
    kept = one_each_first(train.patient_ids, train.sample_ids)
    own = np.arange(len(data.val))
    if np.count_nonzero(data.calibration) * LEVEL > 1:
        own = np.flatnonzero(data.calibration)
    val = data.val.take(own)
    held_out = own[one_each_first(val.patient_ids, val.sample_ids, one_each=True)]
    return (kept if frozen is None else data.sample[kept]), len(data.train) + held_out


def _features(
    run: Run, loop: TrainingLoop, network: OvoNetwork, positions: list[int]
) -> np.ndarray:
    """(n, F) float32 of the pictures at these positions, as `folded` gives them: the pooled ones of
    all branches side by side, in plain preprocessing, the mean over the flips of evaluation."""
    batches = WatchedBatches(loop.loader, loop.batches.asked)
    frozen = loop.features
    if frozen is not None:
        batches = batches.instead(frozen.batches(measured_views(run.config)))
    names = [*network.branches]
    outputs = branch_outputs(
        network,
        batches(np.array(positions), MEASURE_BATCH),
        run.model.spec,
        run.precision.device,
        dict.fromkeys(names),
        run.config.tta_views,
        are_features=frozen is not None,
        with_features=True,
    )
    found = [outputs[name].features for name in names]
    return folded(np.concatenate([each for each in found if each is not None], axis=1))
