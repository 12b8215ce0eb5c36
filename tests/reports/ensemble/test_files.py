"""The files of evaluate_super_ensemble.py: of one piece, and in no other evaluation's folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.commands.reports import ensemble
from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.reports.ensemble.files import check_targets, write_results
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.results.folder import SUPER_FILE, ResultsFolder
from dr_ovo.results.made_from import check_evaluation_files, made_from, seals_of
from dr_ovo.results.model_results import read_results
from dr_ovo.results.result_sets import ResultSet, open_results
from tests.fixtures.sealed import edit

CHECKPOINT = "best_coatnet_0_rw_224_ovo.pth"


@pytest.fixture
def opened(results) -> ResultSet:
    """coatnet, with a checkpoint, and convnext, as an earlier version would leave it."""
    folders = results("coatnet", "convnext")
    (folders[0] / "models").mkdir()
    save_checkpoint(folders[0], 1)
    coatnet = ResultsFolder(folders[0])
    source = made_from(coatnet, seals_of(coatnet), ["test"])["test"]
    edit(folders[0] / "evaluation.json", lambda content: content.update(made_from=source))
    found = open_results(folders, [], intersect=False)
    plain = tuple(replace(one, facts=replace(one.facts, marks=())) for one in found.models)
    return ResultSet(plain)


def save_checkpoint(folder: Path, number: int) -> None:
    torch.save({"weights": torch.full((3,), number)}, folder / "models" / CHECKPOINT)


def written(opened: ResultSet, output: Path) -> ResultsFolder:
    study = study_ensemble(opened, CombinationRule("mean"), [])
    write_results(study, output)
    (output / SUPER_FILE).write_text("{}")
    return ResultsFolder(output)


def test_the_folder_is_verified(opened, tmp_path, caplog):
    folder = written(opened, tmp_path / "sup")
    report = folder.read_evaluation("test")
    assert not report.get("simulated")
    assert report["members"] == ["coatnet", "convnext"]
    assert report["prior_corrected"] is False
    source = report["made_from"]
    name = f"coatnet_5class_results/{CHECKPOINT}"
    assert [*source["checkpoints"]] == [*source["directories"]] == [name]
    assert read_results(folder.root, "sup").verified
    open_results([folder.root], [], intersect=False)
    assert "of an earlier version" not in caplog.text
    assert not folder.evaluating.exists()


@pytest.mark.parametrize("name", ["predictions_test.npz", "predictions_val.npz"])
def test_predictions_that_were_replaced(name, opened, tmp_path):
    folder = written(opened, tmp_path / "sup")
    other = opened.models[0].test if "test" in name else opened.models[0].val
    save_predictions(folder.root / name, other)
    with pytest.raises(UserError, match=f"another {name}.*evaluate_super_ensemble.py"):
        read_results(folder.root, "sup")


def test_a_figure_that_was_changed(opened, tmp_path):
    folder = written(opened, tmp_path / "sup")
    content = json.loads(folder.evaluation("test").read_text())
    content["accuracy"]["value"] += 0.01
    folder.evaluation("test").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"evaluation.json is damaged"):
        read_results(folder.root, "sup")


def test_a_member_that_was_trained_again(opened, tmp_path):
    folder = written(opened, tmp_path / "sup")
    save_checkpoint(opened.models[0].folder, 2)
    with pytest.raises(UserError, match=f"another coatnet_5class_results/{CHECKPOINT}"):
        check_evaluation_files(folder, ["test"])


def test_another_folder_of_a_members_name_is_not_taken_for_it(opened, tmp_path):
    folder = written(opened, tmp_path / "elsewhere" / "sup")
    source = folder.read_evaluation("test")["made_from"]
    assert [*source["checkpoints"]] == [f"coatnet_5class_results/{CHECKPOINT}"]
    assert not source["directories"]
    other = tmp_path / "elsewhere" / "coatnet_5class_results"
    (other / "models").mkdir(parents=True)
    save_checkpoint(other, 3)
    assert check_evaluation_files(folder, ["test"])


def test_an_evaluation_that_was_stopped_is_refused_and_can_be_made_again(opened, tmp_path):
    folder = written(opened, tmp_path / "sup")
    write_json(folder.evaluating, {"schema": 1, "splits": ["val", "test"]})
    with pytest.raises(UserError, match=r"was stopped.*evaluate_super_ensemble.py"):
        read_results(folder.root, "sup")
    check_targets(opened, folder.root, None)
    assert read_results(written(opened, folder.root).root, "sup").verified


def test_an_ensemble_of_an_earlier_version_is_read_and_replaced(opened, tmp_path):
    folder = written(opened, tmp_path / "sup")
    edit(folder.evaluation("test"), lambda content: content.pop("made_from"))
    content = json.loads(folder.evaluation("test").read_text())
    del content["digest"], content["prior_corrected"]
    write_json(folder.evaluation("test"), content)
    assert not read_results(folder.root, "sup").verified
    check_targets(opened, folder.root, None)


@pytest.mark.parametrize("name", ["evaluation_val.json", "config.json", "folds.json"])
@pytest.mark.parametrize("with_ensemble", [True, False])
def test_a_folder_of_another_evaluation_is_refused(name, with_ensemble, opened, tmp_path):
    output = tmp_path / "ensemble"
    output.mkdir()
    if with_ensemble:  # which an earlier version put there
        written(opened, output)
    (output / name).write_text("{}")
    with pytest.raises(UserError, match=rf"holds another evaluation \({name}\)"):
        check_targets(opened, output, None)


def test_so_is_the_mean_of_networks(opened, tmp_path):
    output = written(opened, tmp_path / "ensemble").root
    (output / SUPER_FILE).unlink()
    with pytest.raises(UserError, match=r"holds another evaluation \(evaluation.json\)"):
        check_targets(opened, output, None)


@pytest.mark.usefixtures("blank_figures")
def test_an_export_into_the_output(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [str(model.folder) for model in opened.models]
    words = ["--results_dirs", *folders, "--output", "sup", "--export", "sup/made/e.json"]
    assert ensemble.main(words, "evaluate_super_ensemble.py") == 0
    assert (tmp_path / "sup" / "made" / "e.json").is_file()
    assert ensemble.main(words, "evaluate_super_ensemble.py") == 0  # as a second time


@pytest.mark.parametrize("name", ["evaluation.json", "predictions_val.npz", SUPER_FILE])
def test_an_export_over_the_results_is_refused(name, opened, tmp_path):
    with pytest.raises(UserError, match="a file of the ensemble's results"):
        check_targets(opened, tmp_path / "sup", tmp_path / "sup" / name)


def test_members_of_one_folder_name_are_told_apart(opened, tmp_path):
    first = opened.models[0]
    there = shutil.copytree(first.folder, tmp_path / "seed2" / first.folder.name)
    save_checkpoint(there, 5)
    again = ResultsFolder(there)
    source = made_from(again, seals_of(again), ["test"])["test"]
    edit(there / "evaluation.json", lambda content: content.update(made_from=source))
    turned = replace(first.test, probabilities=np.roll(first.test.probabilities, 1, axis=1))
    pair = ResultSet((first, replace(first, name="seed2", folder=there, test=turned)))
    found = written(pair, tmp_path / "sup").read_evaluation("test")["made_from"]["checkpoints"]
    assert [name.split("/")[-3] for name in found] == [tmp_path.name, "seed2"]
    assert len({*found.values()}) == 2
