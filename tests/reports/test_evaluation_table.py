"""The table is checked on reports that `evaluation_report` made, so that both stay in step."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from dr_ovo.decoding.decoders import decode
from dr_ovo.pairs import class_pairs, pair_signs
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.reports.evaluation_table import evaluation_table
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.tables import RESEARCH_USE, WIDTH

DECODERS = {
    "coupling": {"accuracy": 0.61, "balanced_accuracy": 0.52, "quadratic_kappa": 0.7},
    "weighted": {"accuracy": 0.6, "balanced_accuracy": 0.51, "quadratic_kappa": 0.69},
    "vote": {"accuracy": 0.59, "balanced_accuracy": 0.5, "quadratic_kappa": -0.01},
}


def report_of(classes: int, absent: int | None = None) -> dict[str, Any]:
    """A report on 40 images whose logits mostly prefer the true grade."""
    rng = np.random.default_rng(3)
    grades = [grade for grade in range(classes) if grade != absent]
    targets = np.array([grades[i % len(grades)] for i in range(40)])
    pairs = class_pairs(classes)
    signs = pair_signs(pairs, classes)[targets]
    logits = 1.5 * signs + rng.normal(0, 1, signs.shape)
    predicted, probabilities = decode("ovo", logits, classes)
    ids = [f"{i}.png" for i in range(40)]
    predictions = Predictions(
        head="ovo",
        decoder="coupling",
        class_names=np.array([str(grade) for grade in range(classes)]),
        sample_ids=np.array(ids),
        patient_ids=np.array(ids),
        eyes=np.full(40, ""),
        quality=np.full(40, np.nan),
        calibration=np.zeros(40, dtype=bool),
        targets=targets,
        predicted=predicted,
        pairs=np.array(pairs),
        logits=logits,
        probabilities=probabilities,
    )
    return evaluation_report(predictions, fit_calibration(predictions, []), "test")


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return report_of(5)


def line_with(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if re.match(start, line)]
    return line.split()


def test_every_figure_is_in_it_within_a_hundred_columns(full: dict[str, Any]) -> None:
    text = evaluation_table(full, DECODERS)
    accuracy = {end: f"{100 * full['accuracy'][end]:.1f}" for end in ("value", "low", "high")}
    assert line_with(text, "accuracy") == [
        "accuracy", accuracy["value"], "%", accuracy["low"], "-", accuracy["high"],
    ]  # fmt: skip
    kappa = f"{full['quadratic_kappa']['value']:.3f}"
    assert line_with(text, "quadratic weighted kappa")[3] == kappa
    recall = f"{100 * full['per_class'][3]['recall']['value']:.1f}"
    assert line_with(text, r"3 +8 +\d+\.\d %")[2] == recall
    assert line_with(text, "0-4")[:3] == [
        "0-4", "16", f"{100 * full['pairs'][3]['accuracy']['value']:.1f}",
    ]  # fmt: skip
    threshold = full["referable"]["high_sensitivity"]["threshold"]
    assert text.count("high sensitivity") == 2
    assert f"{threshold:.3f}" in text
    confusion = text[text.index("true \\ predicted") :].splitlines()[2:7]
    assert [list(map(int, row.split()[1:])) for row in confusion] == full["confusion"]
    assert f"{full['calibration']['tempered']['brier']['value']:.3f}" in line_with(text, "tempered")
    assert "too small to be divided" in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count(RESEARCH_USE) == 1
    assert "SYNTHETIC" not in text


def test_sets_of_likely_grades_and_why_nothing_is_guaranteed(full: dict[str, Any]) -> None:
    sets = full["conformal"]
    text = " ".join(evaluation_table(full, DECODERS).split())
    assert f"all {100 * sets['covered']['value']:.1f} % (" in text
    assert f"on average {sets['mean_size']:.2f} grades." in text
    assert "No coverage is guaranteed" not in text
    chosen = {**full, "conformal": {**sets, "chosen": ["one reason", "another"]}}
    text = " ".join(evaluation_table(chosen, DECODERS).split())
    assert "No coverage is guaranteed: one reason; another." in text
    earlier = {**full, "conformal": {"value": None, "reason": "by an earlier version"}}
    assert "Sets of likely grades" not in evaluation_table(earlier, DECODERS)


def test_the_decoder_of_the_figures_is_marked(full: dict[str, Any]) -> None:
    text = evaluation_table({**full, "decoder": "vote"}, DECODERS)
    assert [line.split()[0] for line in text.splitlines() if "<-" in line] == ["vote"]
    assert "-0.010" in line_with(text, "vote")
    assert "decoder" not in evaluation_table(full, {})


def test_metrics_without_a_value_print_as_a_dash_with_the_reason_below() -> None:
    text = evaluation_table(report_of(5, absent=3), DECODERS)
    assert line_with(text, "3 +0 +- ")[2] == "-"
    assert line_with(text, "macro AUC") == ["macro", "AUC", "-", "-"]
    reasons = " ".join(text[text.index("Without a value") :].split())
    for name in ("macro auc", "grade 3 recall", "pair 0-3 auc"):
        assert name in reasons[: reasons.index(": no image of grade 3")]
    assert max(map(len, text.splitlines())) <= WIDTH


def test_three_classes_have_no_referable_grade() -> None:
    text = evaluation_table(report_of(3), {})
    assert "Referable (grade >= 2): -" in text
    assert "- referable, vision threatening:" in text


def test_large_counts_and_perfect_figures_fit(full: dict[str, Any]) -> None:
    perfect = {"value": 1.0, "low": 0.999, "high": 1.0}
    lines = [{**line, "n": 88_702, **dict.fromkeys(("recall", "f1"), perfect)}
             for line in full["per_class"]]  # fmt: skip
    text = evaluation_table({**full, "per_class": lines, "synthetic": True}, DECODERS)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "99.9 - 100.0" in text
    assert "SYNTHETIC" in text
