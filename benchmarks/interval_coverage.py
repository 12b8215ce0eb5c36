#!/usr/bin/env python3
"""Measures how often 95 % intervals cover the truth, in repeated draws of simulated models.

The two eyes of a patient are alike, so intervals that treat images as independent are too narrow.
usage: python benchmarks/interval_coverage.py [--draws 1000] [--patients 300]
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")  # there is one process per core

import numpy as np
from tqdm import tqdm

from dr_ovo.errors import run
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.differences import difference
from dr_ovo.statistics.intervals import estimates
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    brier_statistic,
    kappa_statistic,
    macro_auc_statistic,
    recall_statistic,
    sensitivity_and_specificity,
)
from dr_ovo.statistics.weighted_statistics import Statistic
from dr_ovo.synthetic.simulated_predictions import Simulation
from dr_ovo.tables import decimal, percent, table

MODELS = Simulation((0.82, 0.78), by_patient=0.5, by_image=0.1)
TRUTH_PATIENTS = 500_000


def statistics_of(answers: list[Predictions]) -> dict[str, Statistic]:
    """The statistics measured: of the first model, and its differences from the second."""
    first, second = answers
    sensitivity, specificity = sensitivity_and_specificity(first, "referable")
    return {
        "accuracy": accuracy_statistic(first),
        "balanced accuracy": balanced_accuracy_statistic(first),
        "quadratic weighted kappa": kappa_statistic(first),
        "macro AUC": macro_auc_statistic(first),
        "recall of grade 1": recall_statistic(first, 1),
        "referable sensitivity": sensitivity,
        "referable specificity": specificity,
        "Brier score": brier_statistic(first.targets, first.probabilities),
        "difference of accuracy": difference(accuracy_statistic, first, second),
        "difference of kappa": difference(kappa_statistic, first, second),
    }


def covered(seed: int, patients: int, truth: np.ndarray) -> np.ndarray:
    """(2, K): whether the truth (K,) is in the intervals by patient, and in those by image."""
    answers = MODELS.draw(patients, 2, seed)
    statistics = list(statistics_of(answers).values())
    by_patient = answers[0].patient_ids
    rows = []
    for units in (by_patient, np.arange(len(by_patient)).astype(str)):
        found = estimates(statistics, units)
        # An interval that can't be computed covers nothing.
        rows.append([e.low is not None and e.high is not None and e.low <= t <= e.high
                     for e, t in zip(found, truth, strict=True)])  # fmt: skip
    return np.array(rows)


def main() -> int:
    """Counts over all draws, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000, help="repeated draws [1000]")
    parser.add_argument("--patients", type=int, default=300, help="patients, two eyes each [300]")
    args = parser.parse_args()
    large = statistics_of(MODELS.draw(TRUTH_PATIENTS, 2, seed=0))
    ones = np.ones((2 * TRUTH_PATIENTS, 1))
    truth = np.array([float(statistic.compute(ones)[0]) for statistic in large.values()])
    counts = np.zeros((2, len(truth)))
    with ProcessPoolExecutor() as pool:
        seeds = range(1, args.draws + 1)
        jobs = pool.map(covered, seeds, [args.patients] * args.draws, [truth] * args.draws)
        for row in tqdm(jobs, total=args.draws, disable=None):
            counts += row
    share = counts / args.draws
    noise = 1.96 * (0.95 * 0.05 / args.draws) ** 0.5
    print(
        f"{args.draws} draws of {args.patients} patients with two eyes each; coverage of 95 % "
        f"intervals (sampling error of these shares: +-{percent(noise)})"
    )
    rows = [
        [name, decimal(value), percent(patient), percent(image)]
        for name, value, patient, image in zip(large, truth, *share, strict=True)
    ]
    print(table(["", "truth", "patients resampled", "images treated as independent"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
