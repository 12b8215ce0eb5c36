"""Brings several models' predictions to the same samples, or reports what differs (--intersect)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.results.model_results import ModelResults

SHOWN = 5  # samples listed in a message


def align(models: Sequence[ModelResults], *, intersect: bool) -> list[ModelResults]:
    """The models on the same samples, ordered by id, with one calibration share of val: what any of
    them leaves out of selection, none is chosen on.

    Raises UserError, listing what differs, for different samples (unless `intersect` keeps the
    common ones), different grades of a sample, different classes, the same model twice, some
    models judged out of fold beside others on val, and where nothing is left to choose on.
    """
    _refuse_some_folds(models)
    val = _with_one_share(
        models, _align_split("val", models, [model.val for model in models], intersect)
    )
    test = _align_split("test", models, [model.test for model in models], intersect)
    aligned = [replace(m, val=v, test=t) for m, v, t in zip(models, val, test, strict=True)]
    _refuse_same_answers(aligned)
    return aligned


def _refuse_some_folds(models: Sequence[ModelResults]) -> None:
    folds = [model for model in models if model.out_of_fold]
    others = [model for model in models if model not in folds]
    if folds and others:
        raise UserError(
            f"{folds[0].folder} is of --folds and judged out of fold, on train and val together; "
            f"{others[0].folder} on val alone. Models need the same images: give only models of "
            "--folds, or only others."
        )


def _align_split(
    split: str, models: Sequence[ModelResults], predictions: list[Predictions], intersect: bool
) -> list[Predictions]:
    first = predictions[0]
    for model, other in zip(models[1:], predictions[1:], strict=True):
        if not np.array_equal(first.class_names, other.class_names):
            raise UserError(
                f"{models[0].folder} has the classes {', '.join(first.class_names)}, and "
                f"{model.folder} {', '.join(other.class_names)}. Models need the same classes."
            )
    common = first.sample_ids
    for other in predictions[1:]:
        common = np.intersect1d(common, other.sample_ids)
    if any(len(common) != len(split_predictions.sample_ids) for split_predictions in predictions):
        _refuse_different_samples(split, models, predictions, common, intersect)
    common = np.sort(common)
    aligned = [_ordered(split_predictions, common) for split_predictions in predictions]
    for model, other in zip(models[1:], aligned[1:], strict=True):
        differing = common[aligned[0].targets != other.targets]
        if len(differing):
            raise UserError(
                f"{models[0].folder} and {model.folder} have different grades for the same {split} "
                f"images: {_shortened(differing)}. Evaluate both on the same dataset."
            )
    return aligned


def _with_one_share(models: Sequence[ModelResults], vals: list[Predictions]) -> list[Predictions]:
    """Val of all models with the union of their calibration shares, which differ where a model
    lacks some images."""
    joint = np.any([val.calibration for val in vals], axis=0)
    if joint.all() and not all(model.val.calibration.all() for model in models):
        raise UserError(
            f"The {len(joint)} val images that the models have in common are all in the "
            "calibration share of one or another: none is left to choose on. Evaluate all models "
            "on the same dataset."
        )
    return [replace(val, calibration=joint) for val in vals]


def _ordered(predictions: Predictions, ids: np.ndarray) -> Predictions:
    order = np.argsort(predictions.sample_ids)
    return take(predictions, order[np.searchsorted(predictions.sample_ids[order], ids)])


def _refuse_different_samples(
    split: str,
    models: Sequence[ModelResults],
    predictions: list[Predictions],
    common: np.ndarray,
    intersect: bool,
) -> None:
    if intersect and len(common):
        return
    lines = []
    for model, model_predictions in zip(models, predictions, strict=True):
        own = np.setdiff1d(model_predictions.sample_ids, common)
        if len(own):
            lines.append(f"- {model.folder}: {len(own)} not in all others: {_shortened(own)}")
    advice = (
        "Evaluate all models on the same dataset, or add --intersect to use the common ones."
        if len(common)
        else "Evaluate all models on the same dataset."
    )
    raise UserError(
        f"The models have different {split} images ({len(common)} in common):\n"
        + "\n".join(lines)
        + f"\n{advice}"
    )


def _shortened(ids: np.ndarray) -> str:
    return ", ".join(ids[:SHOWN].tolist()) + (", ..." if len(ids) > SHOWN else "")


def _refuse_same_answers(models: Sequence[ModelResults]) -> None:
    for number, model in enumerate(models):
        for other in models[:number]:
            if np.array_equal(model.test.probabilities, other.test.probabilities):
                raise UserError(
                    f"{other.folder} and {model.folder} have the same predictions: one model "
                    "twice. Leave one out."
                )
