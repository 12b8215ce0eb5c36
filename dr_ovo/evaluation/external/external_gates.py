"""What the gates say of the photographs of another data set: which they would stop, and the metrics
of the others; and which of the own test they stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.evaluation.external.metrics.class_map import Merged
from dr_ovo.evaluation.external.metrics.external_metrics import rest_metrics
from dr_ovo.evaluation.external.metrics.metric_blocks import difference
from dr_ovo.evaluation.external.shift import NO_TEST
from dr_ovo.gates.gated import Gated
from dr_ovo.gates.nearest_features import one_each_first
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.photograph_reading import open_reader
from dr_ovo.photographs.gradability import ungradable
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.weighted_statistics import Proportion

CHUNK = 512  # photographs that are read together
LISTED = 20  # photographs that are named
SAMPLE = 2000  # photographs of the own test that are read at most


def gated_photographs(
    ensemble: Ensemble, paths: Sequence[Path], config: TrainConfig, device: torch.device
) -> tuple[Gated, np.ndarray]:
    """What the gates say of N photographs, which are read anew, and which of them (N,) could be
    read: of another one nothing is said."""
    count, models = len(paths), len(ensemble.models)
    quality, no_fundus = np.full(count, np.nan), [""] * count
    p_values, readable = np.full((models, count), np.nan), np.zeros(count, dtype=bool)
    levels = np.array([gate.level for gate in ensemble.gates])
    workers, limit = config.num_workers, config.max_megapixels
    with open_reader(ensemble, paths, device, workers, limit) as reader:
        for start in range(0, count, CHUNK):
            read = reader.read(np.arange(start, min(start + CHUNK, count)))
            if not len(read.positions):
                continue
            readable[read.positions] = True
            quality[read.positions] = read.gated.quality
            p_values[:, read.positions] = read.gated.p_values
            for place, why in zip(read.positions.tolist(), read.gated.no_fundus, strict=True):
                no_fundus[place] = why
    return Gated(quality, no_fundus, p_values, levels), readable


def gates_block(
    gated: Gated,
    found: Merged,
    calibration: Calibration,
    unavailable: Sequence[str],
    own_test: dict[str, Any],
) -> dict[str, Any]:
    """The block `gates`: the share of the photographs that each gate stops, and any of them, beside
    that of the own test, and the metrics of those that pass (None: all do). `unavailable`: why
    networks can't tell what is unlike their training."""
    p = found.of_classes
    stopped = np.array([bool(why) for why in gated.reasons])
    names = [str(name) for name in p.sample_ids]
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
    shares = with_intervals(_shares(gated, unavailable), p.patient_ids)
    return {
        **shares,
        "listed": listed[:LISTED],
        "passed": rest,
        "own_test": own_test,
        "difference": _differences(shares, own_test),
    }


def own_test_gates(
    ensemble: Ensemble,
    own: DatasetIndex | str,
    unavailable: Sequence[str],
    config: TrainConfig,
    device: torch.device,
) -> dict[str, Any]:
    """What each gate stops of the own test, which is in the data set `own`: of at most SAMPLE of
    its photographs, a second one of a patient after one of each. {"value": None, "reason"} where
    they are not at hand (`own` then says why), or none can be read."""
    if isinstance(own, str):
        return {"value": None, "reason": own}
    test = own.splits["test"]
    if not len(test):
        return {"value": None, "reason": NO_TEST.format(own.root)}
    chosen = one_each_first(test.patient_ids, test.sample_ids, SAMPLE)
    paths = [test.paths[place] for place in chosen]
    gated, readable = gated_photographs(ensemble, paths, config, device)
    read = np.flatnonzero(readable)
    if not len(read):
        return {"value": None, "reason": f"no photograph of {own.root / 'test'} can be read"}
    patients = np.array(test.patient_ids)[chosen[read]]
    shares = with_intervals(_shares(gated.take(read), unavailable), patients)
    return {"n": len(read), "n_photographs": len(test.paths), **shares}


def _differences(there: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Each share there minus that of the own test; a reason where one of them has one."""
    if "reason" in own:
        return own
    return {
        name: difference(*(block[name].get("share", block[name]) for block in (there, own)))
        for name in there
    }


def _shares(gated: Gated, unavailable: Sequence[str]) -> dict[str, Any]:
    """The share that each gate stops, and any of them, as statistics."""
    unlike: dict[str, Any] = {"value": None, "reason": "; ".join(dict.fromkeys(unavailable))}
    if len(unavailable) < len(gated.levels):
        unlike = {**_stopped(np.array(gated.unlike)), "levels": gated.levels.tolist()}
    return {
        "no_fundus": _stopped(np.array([bool(why) for why in gated.no_fundus])),
        "unlike_training": unlike,
        "ungradable": _stopped(ungradable(gated.quality)),
        "stopped": _stopped(np.array([bool(why) for why in gated.reasons])),
    }


def _stopped(which: np.ndarray) -> dict[str, Any]:
    every = np.ones(len(which), dtype=bool)
    return {"n": int(which.sum()), "share": Proportion("no images", which, every)}
