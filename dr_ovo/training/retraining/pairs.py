"""`--pairs` on a finished network: retrains single classifiers, keeping new ones only if better.

The new classifier starts from the pretrained weights and shares the frozen stem. Old and new are
evaluated on the current val; the worse one is moved to `models/replaced/`.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from dr_ovo.errors import log
from dr_ovo.models.checkpoints.assembly import load_single
from dr_ovo.models.checkpoints.files import backbone_state, input_of, load_checkpoint
from dr_ovo.outputs import MEASURE_BATCH, branch_outputs
from dr_ovo.pairs import Pair
from dr_ovo.predictions.pair_metrics import pair_metrics
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.fitting.fit import fit, open_loop, require_room_for_features
from dr_ovo.training.measure import Score, pair_score
from dr_ovo.training.resume.kept_states import require_whole_state
from dr_ovo.training.retraining.checks import changed_settings, pair_checkpoint, work_folder
from dr_ovo.training.retraining.placing import decide, remove_work
from dr_ovo.training.writing.opening_lines import opening_lines
from dr_ovo.training.writing.run import Run
from dr_ovo.training.writing.run_writer import RunWriter


def retrain_pairs(run: Run) -> None:
    """Retrains the pairs of the settings; a new classifier replaces a worse or missing one."""
    folder = run.folder
    _take_stem(run, folder)
    require_room_for_features(run)
    work = dataclasses.replace(
        run, config=dataclasses.replace(run.config, output_dir=str(work_folder(folder).root))
    )
    for line in opening_lines(work):
        log.info("%s", line)
    _train(work)
    for pair in run.config.trained_pairs:
        if pair_checkpoint(
            run.config, work.folder, pair
        ).is_file():  # else done before an interruption
            _keep_better(run, folder, work.folder, pair)
    remove_work(folder)
    log.info(
        "The evaluations in the folder are of the previous network: run --mode evaluate again."
    )
    log.info("done: %s", folder.root)


def _take_stem(run: Run, folder: ResultsFolder) -> None:
    """Loads the frozen stem from a checkpoint of the network: a random one depends on the seed."""
    stem = run.model.network.stem
    existing = sorted(folder.models.glob("best_*.pth"))
    if stem is not None and existing:
        state = backbone_state(load_checkpoint(existing[0]))
        stem.load_state_dict({name: state[name] for name in stem.state_dict()}, strict=True)


def _train(work: Run) -> None:
    """Trains into the work folder, resuming an interrupted retraining."""
    require_whole_state(work.folder)
    begun = work.folder.has_begun()
    writer = RunWriter.resumed(work) if begun else RunWriter.begun(work)
    if not work.folder.is_finished():
        fit(writer)


def _keep_better(run: Run, folder: ResultsFolder, work: ResultsFolder, pair: Pair) -> None:
    """Keeps the better of old and new as the pair's checkpoint; says which, and why."""
    current = pair_checkpoint(run.config, folder, pair)
    candidate = work.models / current.name
    name = f"{pair[0]}-{pair[1]}"
    kept, replaced, said = "new", None, f"pair {name}: was missing; now in place"
    if current.is_file():
        old, new = _val_score(run, current), _val_score(run, candidate)
        kept = "new" if new.better_than(old) else "old"
        replaced = f"{current.stem}.{time.strftime('%Y%m%d-%H%M%S')}.pth"
        said = (
            f"pair {name}: val AUC {old.value:.4f} before, {new.value:.4f} now: the {kept} one is "
            f"kept, the other is now {folder.models / 'replaced' / replaced}"
        )
    entry = {
        "pair": list(pair),
        "kept": kept,
        "said": said,
        "settings": changed_settings(run.config, folder.read_config()["settings"]),
        "data_hash": run.index.content_hash(),
    }
    decide(folder, work, current.name, replaced, entry)
    log.info("%s", said)


def _val_score(run: Run, path: Path) -> Score:
    """The score of one pair's checkpoint on the selection share of the current val."""
    network, meta = load_single(path)
    spec, preprocessing = input_of(meta)
    device, branch, pair = run.precision.device, meta["branch"], tuple(meta["pairs"][0])
    network = network.to(device)
    model = dataclasses.replace(run.model, spec=spec, preprocessing=preprocessing)
    with open_loop(dataclasses.replace(run, model=model)) as loop:
        data, first = loop.data, len(loop.data.train)
        chosen = np.flatnonzero(np.isin(data.val.targets, pair) & ~data.calibration)
        batches = loop.batches(first + chosen, MEASURE_BATCH)
        views = meta["tta_views"]
        outputs = branch_outputs(network, batches, spec, device, {branch: None}, views)[branch]
    targets = data.targets[outputs.positions]
    rows = pair_metrics(targets, outputs.logits, [pair])
    return pair_score(pair, rows[0]["auc"], outputs.logits, targets)
