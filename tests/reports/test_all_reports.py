"""What the processes that make the reports start with, and what all reports say of val."""

import os
import signal
from dataclasses import replace

import pytest

from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS
from dr_ovo.predictions.conformal import OUT_OF_FOLD
from dr_ovo.reports.all_reports import (
    MATRIX_THREADS,
    _inherited_by_workers,
    mean_ensemble,
    summary,
)
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.reports.criteria.criteria_file import DEFAULT, read_checklist
from dr_ovo.reports.criteria.report import validation_report
from dr_ovo.reports.criteria.validation import validate
from dr_ovo.results.result_sets import ResultSet, open_results


def test_workers_multiply_matrices_in_one_thread_unless_told_otherwise(monkeypatch):
    for name in MATRIX_THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with _inherited_by_workers():
        started_with = {name: os.environ[name] for name in MATRIX_THREADS}
    assert started_with == {
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    left = {name: os.environ[name] for name in MATRIX_THREADS if name in os.environ}
    assert left == {"OMP_NUM_THREADS": "3"}


def test_ctrl_c_is_restored_also_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    started = _inherited_by_workers()
    started.__enter__()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    error = ValueError("broken")
    assert not started.__exit__(ValueError, error, None)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(("chosen", "val"), [([], "val"), ([OUT_OF_FOLD], VAL_OF_FOLDS)])
def test_what_stands_in_place_of_val_is_named(simulated, chosen, val):
    folders = sorted(simulated.glob("*_5class_results"))[:2]
    models = [
        replace(model, calibration=fit_calibration(model.val, chosen))
        for model in open_results(folders, [], intersect=False).models
    ]
    results, images = ResultSet(tuple(models)), len(models[0].val.targets)
    assert f"made on {images} images of {val}, never on test." in summary(results)
    reports = {
        "clinical": compare(results),
        "validation_criteria": validation_report(validate(results, read_checklist(DEFAULT), None)),
        "ensemble_figures_2": mean_ensemble(results),
    }
    for name, report in reports.items():
        tables = [table for section in report.sections for table in section.tables]
        (note,) = [table.note for table in tables if table.name == name]
        assert any(f"fixed on {val}{end}" in note for end in ".;")
