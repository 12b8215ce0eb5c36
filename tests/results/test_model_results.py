"""Results folders: what is read of them, and what is said of those that can't be read."""

import json
import shutil

import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.results.model_results import read_facts, read_results

META = {
    "architecture": "coatnet_0_rw_224",
    "head": "ovo",
    "parameters": 100,
    "trained_parameters": 60,
    "bytes": 400,
}


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_simulated_folder(simulated):
    model = read_results(simulated / "coatnet_5class_results", "coatnet")
    assert (model.name, len(model.test.targets), len(model.val.targets)) == ("coatnet", 120, 60)
    facts = model.facts
    assert (facts.architecture, facts.family, facts.paradigm) == (
        "coatnet_0_rw_224", "hybrid", "both",
    )  # fmt: skip
    assert facts.marks == ("SIMULATED",)
    assert (facts.parameters, facts.bytes, facts.training_seconds) == (None, None, None)


def test_branches_count_the_stem_once(tmp_path):
    for pair in ("0_1", "0_2", "1_2"):
        write(tmp_path, f"models/best_coatnet_0_rw_224_{pair}.json", META)
    facts = read_facts(tmp_path, "ovo")
    assert facts.parameters == 40 + 3 * 60
    assert facts.bytes == 1200


def test_training_time_is_that_of_branches_side_by_side(tmp_path):
    rows = ["epoch,branch,seconds", "1,0_1,10", "1,0_2,12", "2,0_1,11"]
    (tmp_path / "history.csv").write_text("\n".join(rows))
    assert read_facts(tmp_path, "ovo").training_seconds == 23.0
    (tmp_path / "history.csv").write_text("epoch,branch\n1,0_1\n")
    assert read_facts(tmp_path, "ovo").training_seconds is None


@pytest.mark.parametrize("mark", ["synthetic", "simulated", "leaky"])
def test_marks_come_from_the_settings_and_the_evaluation(tmp_path, mark):
    write(tmp_path, "config.json", {mark: True})
    assert read_facts(tmp_path, "ovo").marks == (mark.upper(),)
    (tmp_path / "config.json").unlink()
    write(tmp_path, "evaluation.json", {mark: True})
    assert read_facts(tmp_path, "ovo").marks == (mark.upper(),)


def test_marks_come_from_predictions_that_were_moved_alone(simulated, tmp_path):
    source = simulated / "coatnet_5class_results"
    for name in ("predictions_val.npz", "predictions_test.npz", "calibration.json"):
        shutil.copy(source / name, tmp_path / name)
    assert read_results(tmp_path, "moved").facts.marks == ("SIMULATED",)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not there; expected a results folder"):
        read_results(tmp_path / "nowhere", "x")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file is a file; expected a results folder"):
        read_results(tmp_path / "file", "x")
    with pytest.raises(UserError, match=r"has neither config.json nor predictions"):
        read_results(tmp_path, "x")


@pytest.mark.parametrize(
    "missing", ["predictions_val.npz", "predictions_test.npz", "calibration.json"]
)
def test_what_is_missing_is_named_with_the_command_that_makes_it(results, missing):
    (folder,) = results("coatnet")
    write(folder, "config.json", {"settings": {"dataset_path": "./mydata"}})
    (folder / missing).unlink()
    with pytest.raises(UserError) as error:
        read_results(folder, "coatnet")
    text = str(error.value)
    assert f"has no {missing}." in text
    assert "ensemble_5class_trainer.py --mode evaluate" in text
    assert f"--output_dir {folder} --dataset_path ./mydata" in text


def test_a_trained_folder_without_evaluation(tmp_path):
    write(tmp_path, "config.json", {})
    with pytest.raises(UserError, match=r"predictions_val.npz, predictions_test.npz.*DATASET"):
        read_results(tmp_path, "x")


@pytest.mark.parametrize("name", ["predictions_test.npz", "predictions_val.npz"])
def test_a_damaged_npz(results, name):
    (folder,) = results("coatnet")
    whole = (folder / name).read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2], whole[:200] + b"\0" * len(whole)):
        (folder / name).write_bytes(damaged)
        with pytest.raises(UserError, match=rf"{name} can't be read.*Evaluate the model again"):
            read_results(folder, "coatnet")


@pytest.mark.parametrize("name", ["calibration.json", "config.json", "evaluation.json"])
@pytest.mark.parametrize("content", ["", "{", "[1]", "\ufffe", '"text"'])
def test_a_damaged_json(results, name, content):
    (folder,) = results("coatnet")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}.*(Restore it|Evaluate the model again)"):
        read_results(folder, "coatnet")


def test_json_that_is_no_text(results):
    (folder,) = results("coatnet")
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"config.json can't be read"):
        read_results(folder, "coatnet")


def test_another_schema(results):
    (folder,) = results("coatnet")
    path = folder / "predictions_test.npz"
    with np.load(path) as stored:
        arrays = {**stored, "schema": 9}
    np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match=r"has schema 9; this version reads schema 1"):
        read_results(folder, "coatnet")


def test_another_schema_of_the_calibration(results):
    (folder,) = results("coatnet")
    stored = json.loads((folder / "calibration.json").read_text())
    write(folder, "calibration.json", {**stored, "schema": 9})
    with pytest.raises(UserError, match=r"calibration.json has schema 9; this version reads 1"):
        read_results(folder, "coatnet")


@pytest.mark.parametrize("content", [{"settings": [1]}, {"settings": "text"}])
def test_settings_that_are_no_object(results, content):
    (folder,) = results("coatnet")
    write(folder, "config.json", content)
    with pytest.raises(UserError, match=r"config.json is damaged: its settings is .*an object"):
        read_results(folder, "coatnet")


@pytest.mark.parametrize("models", [5, "coatnet", [None], [{}], {"a": 1}])
def test_models_that_are_no_names(results, models):
    (folder,) = results("coatnet")
    write(folder, "config.json", {"settings": {"base_models": models}})
    with pytest.raises(UserError, match=r"config.json is damaged: its settings.base_models"):
        read_results(folder, "coatnet")
