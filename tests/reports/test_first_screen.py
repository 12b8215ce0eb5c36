"""The answers with which report.py begins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.grading.workload import own_test
from dr_ovo.predictions.conformal import OUT_OF_FOLD
from dr_ovo.reports.all_reports import all_reports
from dr_ovo.reports.criteria.criteria import NOT_MET
from dr_ovo.reports.criteria.criteria_file import DEFAULT, read_checklist
from dr_ovo.reports.first_screen import _next, _read_photographs, _rules, first_screen
from dr_ovo.results.folder import SUPER_FILE, ResultsFolder
from dr_ovo.results.result_sets import ResultSet, open_results
from dr_ovo.synthetic.simulated_results import simulate
from tests.fixtures.sealed import edit


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, patients=120, seed=2)
    return folder


def answers(folders: list[Path]) -> dict[str, str]:
    results = open_results(folders, None, intersect=False)
    report = first_screen(results, all_reports(results, read_checklist(DEFAULT)))
    found = report.data["answers"]
    assert [row[0] for row in report.sections[0].tables[0].rows] == [*found]
    return found


@pytest.mark.usefixtures("blank_figures", "reports_here")
def test_they_are_those_of_the_reports(simulated):
    folders = sorted(simulated.glob("*_5class_results"))[:2]
    found = answers(folders)
    assert "the best by kappa on val" in found["Which model?"]
    assert "sensitivity" in found["How good is it, on test?"]
    assert found["Does the ensemble help?"].startswith("The ensemble is")
    assert "after tempering" in found["Is it calibrated?"]
    assert "random numbers" in found["Is the data clean?"]
    assert found["How much work does it save?"].startswith("Of 1,000 eyes, ")
    assert found["What to do next?"].startswith("Train on photographs")


@pytest.mark.usefixtures("blank_figures", "reports_here")
def test_one_model_has_no_ensemble(simulated):
    found = answers(sorted(simulated.glob("*_5class_results"))[:1])
    assert "it takes two models" in found["Does the ensemble help?"]
    assert "there is no other here" in found["Which model?"]


def test_the_work_saved_is_counted_by_eye(simulated):
    folder = min(simulated.glob("*_5class_results"))
    results = open_results([folder], None, intersect=False)
    (model,) = results.models
    block = own_test(ResultsFolder(folder), _rules(model))
    assert block["eyes"] == len(model.test.targets)
    threshold = model.calibration.referable.high_sensitivity.threshold
    below = model.test.probabilities[:, 2:].sum(axis=1) < threshold
    missed = below & (model.test.targets >= 2)
    # Sets and grades that reach 2 send some of them to a person.
    assert 0 < block["no_person"]["value"] <= below.mean()
    assert block["missed"]["value"] <= missed.mean()


def test_only_an_ensemble_of_single_networks_is_to_be_exported(simulated):
    (model,) = open_results([min(simulated.glob("*_5class_results"))], None, intersect=False).models
    best = {"calibration": {"tempered": {"ece": {"value": 0.01}}}}
    better = {"words": "The ensemble is better than its best member."}
    data = {"validation": {"counts": {NOT_MET: 0}}, "super_ensemble": better}
    said = [
        any("--export" in line for line in _next(model, best, data, {}, [], exportable=single))
        for single in (True, False)
    ]
    assert said == [True, False]


@pytest.mark.parametrize(
    ("grade", "missed", "advised"), [(None, 0, False), ("F", 0, False), ("C", 1, True)]
)
def test_criteria_that_are_not_met_are_to_be_seen_where_there_are_any(
    simulated, grade, missed, advised
):
    (model,) = open_results([min(simulated.glob("*_5class_results"))], None, intersect=False).models
    best = {"calibration": {"tempered": {"ece": {"value": 0.01}}}}
    data = {"validation": {"grade": grade, "counts": {NOT_MET: missed}}}
    said = " ".join(_next(model, best, data, {}, [], exportable=True))
    assert ("criteria" in said) == advised


def test_an_ensemble_reads_photographs_by_its_manifest(simulated, tmp_path):
    folder = min(simulated.glob("*_5class_results"))
    (single,) = open_results([folder], None, intersect=False).models
    assert _read_photographs(single).endswith(f"predict.py --models {folder}.")
    ensemble = replace(single.test, head="ensemble", decoder="mean", logits=np.zeros((240, 5)))
    ensemble = replace(ensemble, pairs=np.zeros((0, 2), np.int64))
    model = replace(single, folder=tmp_path, test=ensemble)
    manifest = tmp_path / "ensemble.json"
    said = _read_photographs(model)
    assert f"evaluate_super_ensemble.py --results_dirs MEMBERS --export {manifest}." in said
    assert said.endswith(f"predict.py --models {manifest}.")
    (tmp_path / "super_ensemble.json").touch()
    said = _read_photographs(model)
    assert f"the command that made {tmp_path} again, with --export {manifest}." in said
    manifest.touch()
    assert _read_photographs(model) == f"Read photographs: python predict.py --models {manifest}."
    (tmp_path / "folds.json").touch()
    assert _read_photographs(model) == f"Read photographs: python predict.py --models {tmp_path}."


def test_a_mixture_saves_nothing(simulated, tmp_path):
    folder = min(simulated.glob("*_5class_results"))
    (model,) = open_results([folder], None, intersect=False).models
    for path in folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    edit(tmp_path / "calibration.json", lambda content: content.update(temperature=3.0))
    block = own_test(ResultsFolder(tmp_path), _rules(model))
    assert "of other operating points" in json.dumps(block)


def test_an_ensemble_of_cross_validations_has_no_manifest_to_read_by(simulated, tmp_path):
    folder = min(simulated.glob("*_5class_results"))
    (single,) = open_results([folder], None, intersect=False).models
    conformal = replace(single.calibration.conformal, chosen=(OUT_OF_FOLD,))
    test = replace(single.test, head="ensemble", decoder="mean", logits=np.zeros((240, 5)))
    model = replace(
        single, folder=tmp_path, test=replace(test, pairs=np.zeros((0, 2), np.int64)),
        calibration=replace(single.calibration, conformal=conformal),
    )  # fmt: skip
    (tmp_path / SUPER_FILE).touch()
    assert _read_photographs(model).startswith("Read photographs with a member of")
    assert ResultSet((model,)).val_words == "train and val, out of fold"
    assert ResultSet((single,)).val_words == "val"
