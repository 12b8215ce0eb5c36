"""What the kept predictions say: figures of runs, differences, decoders, rules for the epoch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.skill.saved import Saved
from dr_ovo.decoding.decoders import Fitted, decode
from dr_ovo.decoding.heads import EXPECTED, head_of
from dr_ovo.decoding.tempering import log_probabilities, temper
from dr_ovo.evaluation.out_of_fold import decoded_across
from dr_ovo.gates.gated import ungated
from dr_ovo.grading.reading import Reading
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.workload import KnownEyes
from dr_ovo.predictions.calibration import fit_calibration, fit_temperature, tempered_log_loss
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.predictions.kappa_error import kappa_standard_error
from dr_ovo.predictions.metrics import confusion_matrix, quadratic_kappa
from dr_ovo.predictions.pair_metrics import pair_metrics
from dr_ovo.predictions.predictions_file import PER_SAMPLE, Predictions
from dr_ovo.predictions.same_answer import same_for_all
from dr_ovo.statistics.differences import Difference
from dr_ovo.statistics.intervals import Estimate, estimates
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    kappa_statistic,
    macro_auc_statistic,
    sensitivity_and_specificity,
)
from dr_ovo.statistics.weighted_statistics import Resampled, Statistic, mean_of
from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.schedule import Schedule
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.epoch_choice import RULES, Rule

PERCENT = ("accuracy", "balanced accuracy", "referable sensitivity", "referable specificity")


@dataclass(frozen=True)
class LogLosses:
    """Mean log loss, in nats, of raw probabilities, and of those tempered by the temperature of the
    other folds."""

    raw: float
    tempered: float


def decoded(saved: Saved, decoder: str = "", *, corrected: bool = False) -> Predictions:
    """The predictions of a run under a decoder (its head's own by default), across folds;
    `corrected`: without what class weights added to the logits. The decoder `weighted` weights the
    pairs by their accuracy on the other folds."""
    kept = saved.predictions
    head = head_of(kept.head)
    used = head.decoder(decoder or head.decoders[0])
    predicted, probabilities = kept.predicted.copy(), kept.probabilities.copy()
    for fold, shift in enumerate(saved.prior_shift, 1):
        own = saved.folds == fold
        if not own.any():
            continue
        fitted = Fitted(prior_shift=tuple(shift) if corrected else None)
        predicted[own], probabilities[own] = decode(
            kept.head,
            kept.logits[own],
            kept.num_classes,
            used,
            _pair_accuracy(kept, ~own) if used == "weighted" else None,
            fitted,
        )
    whole = dataclasses.replace(
        kept, decoder=used, predicted=predicted, probabilities=probabilities
    )
    return decoded_across(whole, saved.folds).predictions


def _pair_accuracy(p: Predictions, chosen: np.ndarray) -> np.ndarray:
    """(P,) the accuracy of each pair on the samples where (N,) bool is true."""
    pairs = [(int(a), int(b)) for a, b in p.pairs]
    rows = pair_metrics(p.targets[chosen], p.logits[chosen], pairs)
    return np.array([row["accuracy"] for row in rows])


def rounded(saved: Saved) -> Predictions:
    """The grades nearest to the expected ones, by probabilities tempered on the other folds."""
    kept = decoded(saved, EXPECTED)
    if head_of(kept.head).is_number:
        values = kept.logits[:, 0]
    else:
        values = tempered_across(kept, saved.folds) @ np.arange(kept.num_classes)
    grades = np.floor(values + 0.5).clip(0, kept.num_classes - 1).astype(np.int64)
    return dataclasses.replace(kept, predicted=grades)


def tempered_across(p: Predictions, folds: np.ndarray) -> np.ndarray:
    """Probabilities (N, C), each fold's tempered by the temperature of the others."""
    tempered = np.empty_like(p.probabilities)
    for fold in np.unique(folds):
        own = folds == fold
        temperature = fit_temperature(p.targets[~own], p.probabilities[~own])
        tempered[own] = temper(p.probabilities[own], temperature)
    return tempered


def log_losses(p: Predictions, folds: np.ndarray) -> LogLosses:
    """Of predictions out of fold."""
    rows = np.arange(len(p.targets))
    raw, tempered = (
        -float(log_probabilities(each)[rows, p.targets].mean())
        for each in (p.probabilities, tempered_across(p, folds))
    )
    return LogLosses(raw, tempered)


def _statistics(p: Predictions) -> dict[str, Statistic]:
    sensitivity, specificity = sensitivity_and_specificity(p, "referable", None)
    return {
        "kappa": kappa_statistic(p),
        "accuracy": accuracy_statistic(p),
        "balanced accuracy": balanced_accuracy_statistic(p),
        "macro AUC": macro_auc_statistic(p),
        "referable sensitivity": sensitivity,
        "referable specificity": specificity,
    }


def figures(seeds: Sequence[Predictions]) -> dict[str, Estimate]:
    """The figures of an arm, as means over its seeds, with 95 % intervals by patient."""
    parts = [_statistics(p) for p in seeds]
    means = {name: _mean([part[name] for part in parts]) for name in parts[0]}
    found = estimates(list(means.values()), seeds[0].patient_ids)
    return dict(zip(means, found, strict=True))


def kappa_difference(seeds: Sequence[Predictions], others: Sequence[Predictions]) -> Estimate:
    """Mean kappa of one arm minus that of another, on the same pictures, with its interval."""
    one, other = (_mean([kappa_statistic(p) for p in each]) for each in (seeds, others))
    (found,) = estimates([Difference("undefined", one, other)], seeds[0].patient_ids)
    return found


def constant_folds(saved: Saved) -> list[int]:
    """The folds whose member answers the same whatever the picture: it has stopped learning."""
    logits = saved.predictions.logits
    numbers = [int(fold) for fold in np.unique(saved.folds)]
    return [fold for fold in numbers if same_for_all(logits[saved.folds == fold]).all()]


def of_learned_folds(seeds: Sequence[Saved]) -> tuple[list[Saved], list[int]]:
    """The runs of an arm on the folds in which the member of each has learned, and those left out;
    nothing is left out where no fold would remain."""
    out = sorted({fold for saved in seeds for fold in constant_folds(saved)})
    kept = ~np.isin(seeds[0].folds, out)
    if not out or not kept.any():
        return list(seeds), []
    return [_on(saved, kept) for saved in seeds], out


def _on(saved: Saved, kept: np.ndarray) -> Saved:
    """A run on the pictures where (N,) bool is true."""
    epochs = saved.epochs[:, kept] if saved.epochs.ndim == 3 else saved.epochs
    rows = _rows(saved.predictions, kept)
    return dataclasses.replace(saved, predictions=rows, folds=saved.folds[kept], epochs=epochs)


def _mean(parts: Sequence[Statistic]) -> Statistic:
    """The mean over seeds; for one seed its own, whose interval may have a formula."""
    if len(parts) == 1:
        return parts[0]
    return Resampled("undefined for a seed", mean_of(list(parts), "").compute)  # type: ignore[arg-type]


def by_rule(saved: Saved, rule: str, patience: int = 0) -> Predictions:
    """The predictions with the epoch that a rule keeps: of each fold, half of the patients choose
    it for the other half. They also end the training, after `patience` epochs without a gain; with
    0, nothing ends it."""
    kept = saved.predictions
    halves = np.array([_half(patient) for patient in kept.patient_ids])
    logits = np.empty_like(kept.logits)
    for fold in np.unique(saved.folds):
        for half in (0, 1):
            judges = (saved.folds == fold) & (halves == half)
            judged = (saved.folds == fold) & (halves != half)
            epochs, targets = saved.epochs[:, judges], kept.targets[judges]
            epoch = _chosen(kept, epochs, targets, RULES[rule], patience or len(epochs))
            logits[judged] = saved.epochs[epoch - 1][judged]
    predicted, probabilities = decode(kept.head, logits, kept.num_classes)
    return dataclasses.replace(
        kept, logits=logits, predicted=predicted, probabilities=probabilities
    )


def _half(patient: str) -> int:
    return hashlib.sha256(patient.encode("utf-8", "surrogateescape")).digest()[0] % 2


def _chosen(
    p: Predictions, epochs: np.ndarray, targets: np.ndarray, rule: Rule, patience: int
) -> int:
    """The epoch, from 1, that a rule keeps, by logits (E, n, K) after each."""
    run = BranchRun("", None, 0, Schedule("none", 0.0, 0.0, 0, 0))
    for epoch, logits in enumerate(epochs, 1):
        predicted, probabilities = decode(p.head, logits, p.num_classes)
        loss = tempered_log_loss(targets, probabilities)
        kappa = quadratic_kappa(targets, predicted, p.num_classes)
        error = kappa_standard_error(confusion_matrix(targets, predicted, p.num_classes))
        score = Score(kappa, -loss, standard_error=error, log_loss=loss)
        run.note(score, epoch, rule, 0.0)
        if epoch - max(run.progress_epoch, 1) >= patience:  # one epoch of warm-up
            break
    return run.best_epoch


def read_across(p: Predictions, folds: np.ndarray) -> KnownEyes:
    """The pictures of each fold as `predict.py` reads them, by operating points and sets fitted on
    the other folds; each picture is an eye."""
    readings: dict[int, Reading] = {}
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        others = _rows(p, folds != fold)
        rules = Rules(
            class_names=tuple(map(str, p.class_names)),
            calibration=fit_calibration(others, []),
            uncalibrated="",
            coverage=COVERAGE,
            models="",
            members=1,
            marks=(),
        )
        part = _rows(p, own)
        gated = ungated(part.quality)
        found = rules.read(part.predicted, part.probabilities, part.predicted[None], gated)
        readings |= dict(zip(own.tolist(), found, strict=True))
    ordered = [readings[place] for place in range(len(folds))]
    return KnownEyes(ordered, p.targets, p.patient_ids)


def _rows(p: Predictions, chosen: np.ndarray) -> Predictions:
    return dataclasses.replace(p, **{name: getattr(p, name)[chosen] for name in PER_SAMPLE})
