"""What the gates say of the photographs of another data set: which they would stop, and the metrics
of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.evaluation.external.metrics.class_map import Merged
from dr_ovo.evaluation.external.metrics.external_metrics import rest_metrics
from dr_ovo.gates.gated import Gated
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.photograph_reading import open_reader
from dr_ovo.photographs.gradability import ungradable
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.weighted_statistics import Proportion

CHUNK = 512  # photographs that are read together
LISTED = 20  # photographs that are named


def gated_photographs(
    ensemble: Ensemble, paths: Sequence[Path], config: TrainConfig, device: torch.device
) -> Gated:
    """What the gates say of N photographs, which are read anew; nothing of one that can no more be
    read."""
    count, models = len(paths), len(ensemble.models)
    quality, no_fundus = np.full(count, np.nan), [""] * count
    p_values = np.full((models, count), np.nan)
    levels = np.array([gate.level for gate in ensemble.gates])
    workers, limit = config.num_workers, config.max_megapixels
    with open_reader(ensemble, paths, device, workers, limit) as reader:
        for start in range(0, count, CHUNK):
            read = reader.read(np.arange(start, min(start + CHUNK, count)))
            if not len(read.positions):
                continue
            quality[read.positions] = read.gated.quality
            p_values[:, read.positions] = read.gated.p_values
            for place, why in zip(read.positions.tolist(), read.gated.no_fundus, strict=True):
                no_fundus[place] = why
    return Gated(quality, no_fundus, p_values, levels)


def gates_block(
    gated: Gated, found: Merged, calibration: Calibration, unavailable: Sequence[str]
) -> dict[str, Any]:
    """The block `gates`: the share of the photographs that each gate stops, and any of them, and
    the metrics of those that pass (None: all do). `unavailable`: why networks can't tell what is
    unlike their training."""
    p = found.of_classes
    stopped = np.array([bool(why) for why in gated.reasons])
    names = [str(name) for name in p.sample_ids]
    unlike: dict[str, Any] = {"value": None, "reason": "; ".join(dict.fromkeys(unavailable))}
    if len(unavailable) < len(gated.levels):
        unlike = {**_stopped(np.array(gated.unlike)), "levels": gated.levels.tolist()}
    tree = {
        "no_fundus": _stopped(np.array([bool(why) for why in gated.no_fundus])),
        "unlike_training": unlike,
        "ungradable": _stopped(ungradable(gated.quality)),
        "stopped": _stopped(stopped),
    }
    listed = [
        {"file": name, "reasons": list(why)}
        for name, why in zip(names, gated.reasons, strict=True)
        if why
    ]
    rest: dict[str, Any] | None = None
    if stopped.all():
        rest = {"value": None, "reason": "no photograph passes"}
    elif stopped.any():
        rest = rest_metrics(found.take(~stopped), calibration)
    return {**with_intervals(tree, p.patient_ids), "listed": listed[:LISTED], "passed": rest}


def _stopped(which: np.ndarray) -> dict[str, Any]:
    every = np.ones(len(which), dtype=bool)
    return {"n": int(which.sum()), "share": Proportion("no images", which, every)}
