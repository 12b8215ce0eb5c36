"""How quality and patients are printed."""

from __future__ import annotations

import numpy as np

from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.reports.evaluation_table import evaluation_table
from dr_ovo.results.evaluation_file import evaluation_report, patient_report


def predictions(patients: int, *, quality: bool = True) -> Predictions:
    """60 images of five grades, two in three of which are graded right."""
    rng = np.random.default_rng(0)
    targets = np.arange(60) % 5
    predicted = np.where(rng.uniform(size=60) < 2 / 3, targets, (targets + 1) % 5)
    probabilities = np.full((60, 5), 0.1)
    probabilities[np.arange(60), predicted] = 0.6
    return Predictions(
        head="softmax",
        decoder="argmax",
        class_names=np.array(list("01234")),
        sample_ids=np.array([f"{i}.png" for i in range(60)]),
        patient_ids=np.array([f"p{i % patients}" for i in range(60)]),
        eyes=np.full(60, ""),
        quality=np.linspace(0.1, 1, 60) if quality else np.full(60, np.nan),
        calibration=np.zeros(60, dtype=bool),
        targets=targets,
        predicted=predicted,
        pairs=np.zeros((0, 2)),
        logits=np.log(probabilities),
        probabilities=probabilities,
    )


def printed(p: Predictions, *, patient_level: bool) -> str:
    calibration = fit_calibration(p, [])
    report = evaluation_report(p, calibration, "test")
    if patient_level:
        report["patient_level"] = patient_report(p, calibration)
    text = evaluation_table(report, {})
    assert max(map(len, text.splitlines())) <= 100
    return text


def test_the_thirds_of_quality_are_printed():
    p = predictions(60)
    text = printed(p, patient_level=False)
    assert "Ungradable (quality below 0.250): 10 of 60 photographs, 16.7 % (" in text
    for name, part in zip(("lowest", "middle", "highest"), np.split(np.arange(60), 3), strict=True):
        (line,) = (line for line in text.splitlines() if line.startswith(name))
        hits = (p.targets == p.predicted)[part].mean()
        span = f"{p.quality[part[0]]:.3f} - {p.quality[part[-1]]:.3f}"
        assert line.split()[1:6] == [*span.split(), "20", f"{100 * hits:.1f}"]
    assert "Per patient" not in text


def test_unknown_quality_is_a_dash_with_its_reason():
    text = printed(predictions(60, quality=False), patient_level=False)
    assert "By quality: -" in text
    assert "by quality: no photograph has a known quality" in text.replace("\n", " ")


def test_figures_per_patient_are_printed_beside_those_per_image():
    text = printed(predictions(40), patient_level=True)
    assert "Per patient, by the worse eye: 40 patients, 20 of them with a single image" in text
    assert sum(line.startswith("accuracy") for line in text.splitlines()) == 2
    assert "Referable (grade >= 2), patients: AUC" in text


def test_patients_with_one_image_each_are_said_so():
    text = printed(predictions(60), patient_level=True)
    assert "Per patient: -" in text
    assert "patient level: no patient has two images" in text.replace("\n", " ")


def test_image_statistics_alone_are_beside_the_model():
    made = predictions(30)
    report = evaluation_report(made, fit_calibration(made, []), "test")
    alone = {"value": 0.31, "low": 0.2, "high": 0.4}
    both = {"accuracy": alone, "quadratic_kappa": alone, "macro_auc": alone}
    lines = evaluation_table(report | {"statistics_only": both}, {}).splitlines()
    (header,) = [line for line in lines if line.startswith("overall")]
    assert "image statistics alone" in header
    (accuracy,) = [line for line in lines if line.startswith("accuracy")]
    assert accuracy.split()[-4:] == ["%", "20.0", "-", "40.0"]
    unknown = {"value": None, "reason": "measured on test alone"}
    text = evaluation_table(report | {"statistics_only": dict.fromkeys(both, unknown)}, {})
    assert "image statistics alone" not in text
    assert "measured on test alone" in " ".join(text.split())
