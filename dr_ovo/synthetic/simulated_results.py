"""Writes results folders of simulated models, and their truth, for trying out the reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dr_ovo.files import write_json
from dr_ovo.models.architectures import ARCHITECTURES
from dr_ovo.predictions.calibration import calibration_share, fit_calibration
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.predictions_file import Predictions, save_predictions
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.results.result_sets import SUFFIX
from dr_ovo.synthetic.simulated_predictions import ACCURACIES, Simulation

SCHEMA = 1


def simulate(output: Path, patients: int, seed: int) -> None:
    """Writes results folders named after the seven architectures to `output`, and truth.json."""
    simulation = Simulation(tuple(ACCURACIES.values()))
    val = simulation.draw(max(10, patients // 2), 2, seed + 1)
    test = simulation.draw(patients, 2, seed)
    for name, in_val, in_test in zip(ACCURACIES, val, test, strict=True):
        share = calibration_share(in_val.sample_ids, in_val.patient_ids, in_val.targets)
        _write(output / f"{name}{SUFFIX}", name, replace(in_val, calibration=share), in_test)
    names = list(ACCURACIES)
    write_json(
        output / "truth.json",
        {
            "schema": SCHEMA,
            "accuracy": ACCURACIES,
            "recall": dict(zip(names, simulation.recalls().tolist(), strict=True)),
            "correlation_of_difficulty": simulation.correlation,
            "both_wrong": {
                f"{first} {second}": simulation.both_wrong(i, i + 1 + j)
                for i, first in enumerate(names)
                for j, second in enumerate(names[i + 1 :])
            },
        },
    )


def _write(folder: Path, name: str, val: Predictions, test: Predictions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    architecture = ARCHITECTURES[name].timm_name
    settings = {"base_models": [architecture], "head": test.head, "num_classes": test.num_classes}
    write_json(folder / "config.json", {"schema": SCHEMA, "simulated": True, "settings": settings})
    calibration = fit_calibration(val, ["the figures are simulated"])
    save_calibration(folder / "calibration.json", calibration, ["SIMULATED"])
    for split, predictions in (("val", val), ("test", test)):
        marked = replace(predictions, marks=np.array(["SIMULATED"]))
        save_predictions(folder / f"predictions_{split}.npz", marked)
    report = evaluation_report(test, calibration, "test")
    write_json(folder / "evaluation.json", {**report, "simulated": True})
