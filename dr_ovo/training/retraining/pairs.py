"""`--pairs` on a finished independent network: one weak classifier anew, kept only when better.

The new classifier starts from the pretrained weights beside the same frozen stem. Old and new are
measured on today's val; the loser goes to `models/replaced/`.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.models.checkpoint import backbone_state, input_of, load_checkpoint, load_single
from dr_ovo.pairs import Pair, pair_name
from dr_ovo.predictions.pair_metrics import pair_metrics
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.epochs.loop import MEASURE_BATCH
from dr_ovo.training.fit import fit
from dr_ovo.training.measure import Score, branch_outputs, pair_score
from dr_ovo.training.resume.state import begin, load_progress, save_stem
from dr_ovo.training.retraining.checks import changed_settings, pair_checkpoint, work_folder
from dr_ovo.training.setup import training_data
from dr_ovo.training.writing.opening_lines import opening_lines
from dr_ovo.training.writing.record import Record


def retrain_pairs(record: Record) -> None:
    """Trains the pairs of the settings; each takes its place where it is better, or missing."""
    folder = record.folder
    _same_stem(record, folder)
    work = dataclasses.replace(
        record, config=dataclasses.replace(record.config, output_dir=str(work_folder(folder).root))
    )
    for line in opening_lines(work):
        log.info("%s", line)
    _train(work)
    for pair in record.config.trained_pairs:
        if pair_checkpoint(
            record.config, work.folder, pair
        ).is_file():  # else settled before a stop
            outcome = _settle(record, folder, work.folder, pair)
            log.info("%s", outcome["said"])
            _note(record, folder, outcome)
    shutil.rmtree(work.folder.root)
    log.info("Evaluations in the folder are of the network as it was: run --mode evaluate anew.")
    log.info("done: %s", folder.root)


def _same_stem(record: Record, folder: ResultsFolder) -> None:
    """Takes the frozen stem from a checkpoint of the network: a random one follows the seed."""
    stem = record.model.network.stem
    standing = sorted(folder.models.glob("best_*.pth"))
    if stem is not None and standing:
        state = backbone_state(load_checkpoint(standing[0]))
        stem.load_state_dict({name: state[name] for name in stem.state_dict()}, strict=True)


def _train(work: Record) -> None:
    """Trains into the work folder, going on where a stopped retraining left it."""
    done = work.folder.finished_epochs()
    if done:
        load_progress(work.folder, work.model.runs)
    else:
        begin(work.folder)
        work.write_config()
        if work.model.network.stem is not None:
            save_stem(work.folder, work.model.network.stem.state_dict())
    if not work.folder.is_finished():
        fit(work, done)


def _settle(
    record: Record, folder: ResultsFolder, work: ResultsFolder, pair: Pair
) -> dict[str, Any]:
    """Puts the better of old and new in the pair's place; what was decided, and why."""
    place = pair_checkpoint(record.config, folder, pair)
    candidate = work.models / place.name
    name = f"{pair[0]}-{pair[1]}"
    if not place.is_file():
        _take_place(folder, work, candidate, place, pair)
        said = f"pair {name}: was missing; now in place"
        return {"pair": list(pair), "kept": "new", "said": said}
    old, new = _val_score(record, place), _val_score(record, candidate)
    better = new.better_than(old)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    loser = folder.models / "replaced" / f"{place.stem}.{stamp}.pth"
    _move(place if better else candidate, loser)
    if better:
        _take_place(folder, work, candidate, place, pair)
    said = (
        f"pair {name}: val AUC {old.value:.4f} before, {new.value:.4f} now: the "
        f"{'new' if better else 'old'} one is kept, the other is {loser}"
    )
    return {"pair": list(pair), "kept": "new" if better else "old", "said": said}


def _take_place(
    folder: ResultsFolder, work: ResultsFolder, candidate: Path, place: Path, pair: Pair
) -> None:
    """Moves the new checkpoint in, and its epochs into the network's history."""
    _move(candidate, place)
    last = sys.maxsize
    others = [row for row in folder.read_history(last) if row["branch"] != pair_name(pair)]
    own = [row for row in work.read_history(last) if row["branch"] == pair_name(pair)]
    folder.write_history(others + own)


def _move(source: Path, target: Path) -> None:
    """Moves a checkpoint and the JSON beside it, unless a stop came between the two."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.with_suffix(".json").is_file():
        source.with_suffix(".json").replace(target.with_suffix(".json"))
    source.replace(target)


def _val_score(record: Record, path: Path) -> Score:
    """The score of one pair's checkpoint on the selection share of today's val."""
    network, meta = load_single(path)
    spec, preprocessing = input_of(meta)
    data = training_data(record.config, record.index)
    pair = tuple(meta["pairs"][0])
    positions = np.flatnonzero(np.isin(data.val.targets, pair) & ~data.calibration)
    network = network.to(record.precision.device)
    with ImageLoader(data.val.paths, preprocessing, record.config.num_workers) as loader:
        outputs = branch_outputs(
            network,
            loader.batches(positions, MEASURE_BATCH),
            spec,
            record.precision.device,
            {meta["branch"]: None},
            meta["tta_views"],
        )[meta["branch"]]
    targets = data.val.targets[outputs.positions]
    rows = pair_metrics(targets, outputs.logits, [pair])
    return pair_score(pair, rows[0]["auc"], outputs.logits, targets)


def _note(record: Record, folder: ResultsFolder, outcome: dict[str, Any]) -> None:
    """Adds the retraining of a pair to the network's config.json."""
    held = folder.read_config()
    entry = {
        **outcome,
        "settings": changed_settings(record.config, held["settings"]),
        "data_hash": record.index.content_hash(),
    }
    write_json(folder.config, {**held, "retrained": [*held["retrained"], entry]})
