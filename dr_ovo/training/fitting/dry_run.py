"""`--dry_run`: memory, time and disk space of a training, measured on its first steps."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.batches.features.frozen_features import FrozenFeatures
from dr_ovo.choices import CACHE_OFF
from dr_ovo.errors import MachineError, log
from dr_ovo.logs import duration
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.feature_views import view_of_epoch
from dr_ovo.training.epochs.epoch_report import peak_memory_mb
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.fitting.fit import open_loop
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.schedule import epoch_order
from dr_ovo.training.writing.opening_lines import opening_lines
from dr_ovo.training.writing.run import Run, count_parameters

STEPS = 2
TRIED = 4  # photographs whose features are timed


@dataclass(frozen=True)
class DiskNeed:
    """Bytes on disk: of the best checkpoints, of one state to resume from, and of all that a
    training holds at most."""

    checkpoints: int
    state: int
    training: int

    def of_members(self, count: int) -> DiskNeed:
        """That of so many networks which are trained one after another: by then those before have
        only their checkpoints left."""
        before = (count - 1) * self.checkpoints
        return DiskNeed(count * self.checkpoints, self.state, before + self.training)


def dry_run(run: Run, members: int = 1) -> None:
    """Two optimizer steps and one val batch at full size: memory, time and disk; writes nothing.

    Of so many `members` of `--folds`, which are alike, one is measured. Raises MachineError where
    the disk has no room for all of them.
    """
    for line in opening_lines(run):
        log.info("%s", line)
    config = run.config
    before = 0.0
    with open_loop(run) as loop:
        if loop.features is not None:
            before = _feature_seconds(loop, loop.features)
        train_rate = _training_rate(loop, config)
        val_rate = _validation_rate(loop)
        decodes = loop.loader.decodes
    measured = len(loop.data.val) + len(loop.data.sample)
    epoch_seconds = len(loop.data.train) / train_rate + measured / val_rate
    log.info("dry run: nothing was written")
    log.info("peak memory       %.0f MiB", peak_memory_mb(run.precision.device))
    if loop.features is not None:
        log.info("time for features %s before the first epoch", duration(before))
    log.info(
        "time per epoch    %s (%.1f images/s in training)", duration(epoch_seconds), train_rate
    )
    if decodes and config.cache != CACHE_OFF:
        log.info("                  decoding anew; the training decodes once, then reads the cache")
    log.info("time of the run   %s", _time(before + epoch_seconds * config.epochs, config, members))
    _report_disk(run, members)


def _time(seconds: float, config: TrainConfig, members: int) -> str:
    """The time of all `members`, one after another, by the `seconds` of one of them."""
    if members == 1:
        return f"at most {duration(seconds)} for {config.epochs} epochs"
    return (
        f"{members} members, each at most {duration(seconds)} for {config.epochs} epochs: "
        f"at most {duration(seconds * members)} together"
    )


def _feature_seconds(loop: TrainingLoop, features: FrozenFeatures) -> float:
    """The time that the missing features of --feature_views will take, from a few photographs. From
    then on the loop has numbers in their place, since its steps take the same time on any."""
    missing = features.count_missing()
    log.info("%s", features.said(missing))
    positions = np.arange(min(TRIED, len(loop.data.train)))
    view = view_of_epoch(1, loop.feature_views)
    seconds = []
    for number, (found, images) in enumerate(loop.loader.batches(positions, 1)):
        start = time.monotonic()
        features.compute(images, found, [[(view, str(number))]])
        seconds.append(time.monotonic() - start)
    features.make_up()
    loop.use_features()
    return missing * min(seconds)


def _training_rate(loop: TrainingLoop, config: TrainConfig) -> float:
    """Images per second over STEPS windows after a first one, which warms up caches and workers."""
    settings, train = loop.settings, loop.data.train
    trainers = [one.trainer for one in loop.runs.values() if one.trainer is not None]
    # An independent branch sees two of the C grades: it needs C/2 windows of images to fill one.
    wanted = (STEPS + 1) * config.window * max(1, config.num_classes // 2)
    order = epoch_order(train.targets, settings.sampler, settings.seed, 1, train.weights)[:wanted]
    numbers = loop.augmentation.draw(settings.seed, 1, len(order))
    done, start, timed = 0, time.monotonic(), 0
    batches = loop.loader.batches(order, settings.stem_batch)
    if loop.features is not None:
        batches = loop.epoch_batches(1, order, trainers)
    for number, (positions, given) in enumerate(batches):
        loop.train_batch(positions, given, numbers[done : done + len(positions)], trainers)
        done += len(positions)
        if number == 0:
            _finish(trainers)
            start = time.monotonic()
        else:
            timed += len(positions)
    _finish(trainers)
    if not timed:  # train is a single batch
        return done / max(1e-6, time.monotonic() - start)
    return timed / (time.monotonic() - start)


def _finish(trainers: list[BranchTrainer]) -> None:
    """Waits for the device to have done its steps. Raises MachineError for bad gradients."""
    for trainer in trainers:
        trainer.require_finite()


def _validation_rate(loop: TrainingLoop) -> float:
    """Images per second in validation, from one batch of val."""
    trainers = [one.trainer for one in loop.runs.values() if one.trainer is not None]
    first = len(loop.data.train)
    positions = np.arange(first, first + min(MEASURE_BATCH, len(loop.data.val)))
    start = time.monotonic()
    loop.validation.outputs(positions, trainers)
    return len(positions) / (time.monotonic() - start)


def _report_disk(run: Run, members: int) -> None:
    trained, total = count_parameters(run.model)
    averaged = bool(run.config.ema_decay)
    one = disk_need(trained, total - trained, len(run.model.runs), averaged=averaged)
    need = one.of_members(members)
    root = Path(run.config.output_dir).absolute()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    log.info(
        "resume state      %s each, of which up to three are kept until the end", _size(need.state)
    )
    log.info(
        "disk              %s while training, %s afterwards; %s free in %s",
        _size(need.training), _size(need.checkpoints), _size(free), existing,
    )  # fmt: skip
    if members > 1:
        log.info(
            "                  for %d members, of which each keeps %s",
            members, _size(one.checkpoints),
        )  # fmt: skip
    if free < need.training:
        raise MachineError(f"There is not enough disk space in {existing} for this training.")


def disk_need(trained: int, stem: int, branches: int, *, averaged: bool) -> DiskNeed:
    """What a network takes, by its parameters: those `trained` in all its branches, and those of
    the frozen stem. `averaged`: with --ema_decay.

    Best checkpoints, each with the stem, and four times the resume state: the three that are kept
    stay until another is complete.
    """
    checkpoints = 4 * (trained + branches * stem)
    copies = 4 if averaged else 3  # weights, two moments, moving average
    state = 4 * copies * trained
    return DiskNeed(checkpoints, state, checkpoints + 4 * state + 4 * stem)


def _size(count: int) -> str:
    """Bytes as `12 MiB` or `3.4 GiB`."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
