"""What trained networks say together of the photographs of another data set."""

from __future__ import annotations

import dataclasses

import torch

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoding.heads import decoder_option, head_of
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.ensembles.combination import replaced
from dr_ovo.evaluation.split_predictions import predict_split
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import can_be_corrected
from dr_ovo.predictions.predictions_file import Predictions, marks_of
from dr_ovo.results.folder import EXTERNAL
from dr_ovo.settings.train_config import TrainConfig


def predict_external(
    ensemble: Ensemble,
    index: DatasetIndex,
    config: TrainConfig,
    device: torch.device,
    ranks: Ranks,
    *,
    leaky: bool,
) -> Predictions:
    """The predictions of the networks together; their true grades are numbers of classes. `leaky`:
    some of the photographs have been seen. Each rank computes its share."""
    sources = [model.meta for model in ensemble.models]
    marked = marks_of([*sources, {"leaky": leaky, "synthetic": index.synthetic}], [])
    parts = []
    rows = zip(ensemble.models, ensemble.decoders, ensemble.fitted, strict=True)
    for model, decoder, fitted in rows:
        corrected = fitted.prior_shift is not None
        own = dataclasses.replace(
            config, decoder=decoder_option(decoder), prior_correction=corrected
        )
        parts.append(predict_split(model, index, EXTERNAL, device, own, marked, ranks))
    grades, probabilities, _ = ensemble.grade([part.logits for part in parts])
    if is_single(ensemble, config):
        return dataclasses.replace(parts[0], predicted=grades, probabilities=probabilities)
    return replaced(parts[0], ensemble.method, grades, probabilities)


def is_single(ensemble: Ensemble, config: TrainConfig) -> bool:
    """Whether the predictions are those of a model itself."""
    return len(ensemble.models) == 1 and not config.ensemble


def decoder_of(ensemble: Ensemble, config: TrainConfig) -> str:
    """What gives the grades, as a predictions file names it."""
    if not is_single(ensemble, config):
        return ensemble.method
    return head_of(ensemble.models[0].meta["head"]).decoder(ensemble.decoders[0])


def can_any_be_corrected(ensemble: Ensemble) -> bool:
    """Whether a network of these is of a head whose prior can be corrected."""
    return any(can_be_corrected(model.meta["head"]) for model in ensemble.models)


def is_corrected(ensemble: Ensemble) -> bool:
    """Whether what class weights added to the logits is taken from them."""
    return any(fitted.prior_shift is not None for fitted in ensemble.fitted)
