"""`python -m dr_ovo simulate`."""

from __future__ import annotations

import json

import pytest

from dr_ovo.commands.simulate import main
from dr_ovo.errors import UserError
from dr_ovo.results.result_sets import open_results
from dr_ovo.synthetic.simulated_predictions import ACCURACIES


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    assert main(["--output", str(folder), "--patients", "250", "--seed", "1"], "simulate") == 0
    return folder


def test_the_folders_open_and_say_that_they_are_simulated(simulated):
    results = open_results(sorted(simulated.glob("*_results")), [], intersect=False)
    assert set(results.names) == set(ACCURACIES)
    assert results.marks == ["SIMULATED"]
    assert results.named("convnext_tiny").facts.family == "modern CNN"
    assert all(len(model.test.targets) == 500 for model in results.models)
    assert results.models[0].val.calibration.any()  # val has the 200 images to be divided


def test_the_truth_is_written_beside_them(simulated):
    truth = json.loads((simulated / "truth.json").read_text())
    results = open_results(sorted(simulated.glob("*_results")), [], intersect=False)
    for model in results.models:
        accuracy = (model.test.predicted == model.test.targets).mean()
        assert accuracy == pytest.approx(truth["accuracy"][model.name], abs=0.06)
    assert len(truth["both_wrong"]) == 21


def test_too_few_patients(tmp_path):
    with pytest.raises(UserError, match="20 or more"):
        main(["--output", str(tmp_path), "--patients", "3"], "simulate")
