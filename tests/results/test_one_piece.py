"""The files of a results folder belong together: a mixture is refused, an absent file is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, made_from
from dr_ovo.results.one_piece import (
    check_one_piece,
    decoded_alike,
    is_verified,
    require_one_decoding,
)
from dr_ovo.results.training_files import FILES, files_of_training
from dr_ovo.sealed_json import write_sealed
from tests.fixtures.sealed import edit

HISTORY = "epoch,branch,train_loss\n1,ovo,0.6\n2,ovo,0.5\n"
STATE = {"epoch": 1, "finished": False, "branches": {}}


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """A training, after the first epoch of a history that already has two."""
    folder = ResultsFolder(tmp_path / "out")
    folder.resume.mkdir(parents=True)
    folder.models.mkdir()
    folder.config.write_text(json.dumps({"settings": {"seed": 1}, "resumed": []}))
    folder.history.write_text(HISTORY)
    (folder.models / "best_a_ovo.json").write_text(json.dumps({"epoch": 1}))
    write_sealed(folder.progress, {**STATE, FILES: files_of_training(folder, 1)})
    return folder


def finish(folder: ResultsFolder) -> None:
    state = {**STATE, "epoch": 2, "finished": True}
    write_sealed(folder.progress, {**state, FILES: files_of_training(folder, None)})


def test_a_training_that_is_whole(folder):
    assert is_verified(folder)
    finish(folder)
    assert is_verified(folder)


def test_rows_after_a_state_are_of_a_later_one(folder):
    folder.history.write_text(HISTORY.replace("0.5", "0.4") + "3,ovo,0.3\n")
    assert is_verified(folder)
    folder.history.write_text(HISTORY.replace("0.6", "0.7"))
    with pytest.raises(UserError, match=r"history.csv is not the one that the training .* wrote"):
        is_verified(folder)


def test_a_finished_training_has_no_more_rows(folder):
    finish(folder)
    folder.history.write_text(HISTORY + "3,ovo,0.3\n")
    with pytest.raises(UserError, match=r"history.csv is not the one"):
        is_verified(folder)


def test_config_json_may_note_what_came_later_and_nothing_else(folder):
    config = {"settings": {"seed": 1}, "resumed": [{"after_epoch": 1}], "retrained": []}
    folder.config.write_text(json.dumps(config))
    assert is_verified(folder)
    folder.config.write_text(json.dumps(config | {"settings": {"seed": 2}}))
    with pytest.raises(UserError, match=r"config.json is not the one"):
        is_verified(folder)


def test_a_descriptor_may_be_newer_than_a_state_and_is_said_after_the_end(folder, caplog):
    path = folder.models / "best_a_ovo.json"
    path.write_text(json.dumps({"epoch": 2}))
    assert is_verified(folder)
    finish(folder)
    path.write_text(json.dumps({"epoch": 3}))
    assert not caplog.messages
    assert is_verified(folder)
    assert f"{path} is not the one that the training" in caplog.text


def test_what_is_absent_is_no_mixture(folder):
    finish(folder)
    for path in (folder.history, folder.config, folder.models / "best_a_ovo.json"):
        path.unlink()
        assert is_verified(folder)
    shutil.rmtree(folder.resume)
    assert is_verified(folder)


def test_a_state_is_recognised_as_changed(folder):
    content = json.loads(folder.progress.read_text())
    folder.progress.write_text(json.dumps(content | {"epoch": 2}))
    with pytest.raises(UserError, match=r"progress.json is damaged: it is not as it was written"):
        is_verified(folder)


def test_a_folder_of_an_earlier_version_is_said_once(folder, caplog):
    earlier = {**STATE, "branches": {"ovo": {
        "best": None, "best_epoch": 0, "progress": None, "progress_epoch": 0, "ended": None,
        "file": None,
    }}}  # fmt: skip
    folder.progress.write_text(json.dumps(earlier))
    folder.history.write_text("epoch,branch\n")
    with caplog.at_level("WARNING", "dr_ovo"):
        check_one_piece([folder, folder])
    (said,) = caplog.messages
    assert said.count(str(folder.root)) == 2
    assert "of an earlier version" in said


# --- evaluations


@pytest.fixture
def evaluated(results):
    """Two simulated models with digests as an evaluation writes them."""
    folders = results("coatnet", "convnext")
    for folder in folders:
        source = made_from(ResultsFolder(folder), {}, ["test"])["test"]
        content = json.loads((folder / "evaluation.json").read_text())
        write_sealed(folder / "evaluation.json", content | {MADE_FROM: source, "simulated": False})
    return folders


def test_an_evaluation_that_is_whole(evaluated):
    assert is_verified(ResultsFolder(evaluated[0]), ["val", "test"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("calibration.json", "another calibration.json"),
        ("predictions_test.npz", "another predictions_test.npz"),
    ],
)
def test_files_of_two_evaluations(name, said, evaluated):
    one, other = evaluated
    shutil.copy(other / name, one / name)
    with pytest.raises(UserError, match=said):
        is_verified(ResultsFolder(one), ["val", "test"])
    (one / name).unlink()
    assert is_verified(ResultsFolder(one), ["val", "test"])


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("models", "evaluate --output_dir {folder} --dataset_path ./mydata"),
        ("folds.json", "evaluate --output_dir {folder} --dataset_path ./mydata"),
        ("", "evaluate --base_models ... --output_dir {parent} --dataset_path ./mydata"),
    ],
)
def test_the_command_that_evaluates_again_names_the_dataset(place, command, evaluated):
    one, other = evaluated
    shutil.rmtree(one / "models", ignore_errors=True)
    if place == "models":
        (one / place).mkdir()
    elif place:
        (one / place).write_text("{}")
    (one / "config.json").write_text(json.dumps({"settings": {"dataset_path": "./mydata"}}))
    content = json.loads((one / "evaluation.json").read_text())
    source = made_from(ResultsFolder(one), {}, ["test"])["test"]
    write_sealed(one / "evaluation.json", content | {MADE_FROM: source})
    shutil.copy(other / "calibration.json", one / "calibration.json")
    with pytest.raises(UserError) as error:
        is_verified(ResultsFolder(one), ["test"])
    assert str(error.value).endswith(command.format(folder=one, parent=one.parent))
    (one / "config.json").unlink()
    with pytest.raises(UserError, match=r"--dataset_path DATASET$"):
        is_verified(ResultsFolder(one), ["test"])


def test_a_changed_figure_is_recognised(evaluated):
    folder = evaluated[0]
    path = folder / "evaluation.json"
    content = json.loads(path.read_text())
    content["accuracy"]["value"] += 0.01
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"evaluation.json is damaged: it is not as it was"):
        is_verified(ResultsFolder(folder), ["test"])


def test_an_evaluation_without_digests_is_not_verified(evaluated):
    folder = evaluated[0]
    edit(folder / "evaluation.json", lambda content: content.pop("made_from"))
    assert not is_verified(ResultsFolder(folder), ["val", "test"])


def test_an_evaluation_that_was_stopped(evaluated):
    folder = evaluated[0]
    (folder / "evaluating.json").write_text('{"schema": 1, "splits": ["val", "test"]}')
    with pytest.raises(UserError, match=r"is being written .* or was stopped.*--mode evaluate"):
        is_verified(ResultsFolder(folder), ["val", "test"])


ALIKE = {"head": "ovo", "decoder": "coupling", "prior_corrected": False}
OTHERWISE = [
    {"decoder": "vote"},
    {"prior_corrected": True},
    {"grade_from": "expected"},
]


@pytest.mark.parametrize("other", OTHERWISE)
def test_val_and_test_are_of_one_decoding(other, evaluated):
    """What only one of them says is no difference: earlier versions say less."""
    folder = ResultsFolder(evaluated[0])
    alike = ALIKE | {"grade_from": "argmax"}
    edit(folder.evaluation("test"), lambda content: content.update(alike))
    write_sealed(folder.evaluation("val"), alike)
    require_one_decoding(folder)
    write_sealed(folder.evaluation("val"), alike | other)
    with pytest.raises(UserError, match=r"Evaluate both splits in one way: --mode evaluate"):
        require_one_decoding(folder)
    is_verified(folder, ["val", "test"])  # grading reports nothing on test
    (key,) = other
    edit(folder.evaluation("test"), lambda content: content.pop(key))
    require_one_decoding(folder)


def test_a_number_is_not_corrected_whatever_earlier_versions_say():
    number = {"head": "regression", "decoder": "expected"}
    val, test = number | {"prior_corrected": False}, number | {"prior_corrected": True}
    assert decoded_alike(val, test)
    assert not decoded_alike(val | {"head": "softmax"}, test | {"head": "softmax"})
