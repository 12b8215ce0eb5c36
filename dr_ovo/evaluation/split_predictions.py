"""A trained network's predictions on a split of the dataset, as the predictions file holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.decoding.decoders import decode
from dr_ovo.decoding.heads import HEADS, head_of
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import MachineError, log
from dr_ovo.inference.trained_model import TrainedModel, fitted_for, pair_accuracy, predict
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.pairs import class_pairs
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.predictions.calibration import calibration_share
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.predictions.same_answer import ADVICE, only_grade, stopped_parts, stopped_words
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.loading import image_loader


def predict_split(
    model: TrainedModel,
    index: DatasetIndex,
    name: str,
    device: torch.device,
    config: TrainConfig,
    marks: list[str],
    ranks: Ranks = ALONE,
) -> Predictions:
    """The predictions on the split `name`, of which each rank computes its share. Raises
    MachineError for damaged files."""
    split, decoder = index.splits[name], config.decoder
    _, preprocessing = input_of(model.meta)
    with image_loader(config, index, split.paths, preprocessing, with_quality=True) as loader:
        outputs = predict(model, loader, device, ranks)
    if outputs.damaged:
        _stop(split, outputs.damaged)
    if outputs.changed and ranks.is_first:
        log.warning("%s", written_meanwhile([split.paths[i] for i in outputs.changed]))
    meta, head = model.meta, head_of(model.meta["head"])
    predicted, probabilities = decode(
        meta["head"],
        outputs.logits,
        meta["num_classes"],
        decoder,
        pair_accuracy(model),
        fitted_for(model, corrected=config.prior_correction),
    )
    found = Predictions(
        head=meta["head"],
        decoder=head.decoder(decoder),
        class_names=np.array(meta["class_names"]),
        sample_ids=np.array(split.sample_ids),
        patient_ids=np.array(split.patient_ids),
        eyes=np.array(split.eyes),
        quality=outputs.quality,
        calibration=_calibration_share(split),
        targets=split.targets,
        predicted=predicted,
        pairs=np.array(class_pairs(meta["num_classes"]) if head.paired else [], dtype=np.int64),
        logits=outputs.logits,
        probabilities=probabilities,
        marks=np.array(marks, np.str_),
    )
    if ranks.is_first and (stopped := stopped_parts(found)):
        log.warning("%s, on %s: %s %s", model.folder.root, name, stopped_words(stopped), ADVICE)
    return found


def say_only_grade(folder: Path, name: str, predictions: Predictions) -> None:
    """Says where every image of the split `name` gets one grade though the logits differ. For
    grades that are final: by the thresholds of the calibration, and of a mean as a whole."""
    is_network = predictions.head in HEADS  # a mean has no logits of its own that could stop
    stopped = is_network and stopped_parts(predictions)
    if not stopped and (grade := only_grade(predictions)):
        log.warning("%s, on %s: every image gets grade %s.", folder, name, grade)


def _stop(split: Split, damaged: dict[int, str]) -> None:
    """Raises the error about damaged files, given by position in the split, with their reasons."""
    files = [Damage(split.paths[i], reason) for i, reason in damaged.items()]
    raise MachineError(
        f"{len(files)} files in {split.name} can't be read:\n{describe(files)}\nRepair or remove "
        "them, then evaluate again."
    )


def _calibration_share(split: Split) -> np.ndarray:
    """(N,) bool: which pictures are left out of selection; of val alone."""
    if split.name != "val":
        return np.zeros(len(split), dtype=bool)
    return calibration_share(np.array(split.sample_ids), np.array(split.patient_ids), split.targets)
