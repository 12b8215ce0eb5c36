"""`dr_ovo rerun`: a training again from its config.json, and what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dr_ovo.commands import rerun
from dr_ovo.errors import run
from dr_ovo.logs import close_log
from dr_ovo.results.folder import LATER_SETTINGS, ResultsFolder
from dr_ovo.settings.train_config import FIELDS
from dr_ovo.training.retraining.rerun import command_line
from tests.fixtures.sealed import edit


@pytest.fixture(scope="module")
def trained(small, three_grades, trainer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "out"
    outcome = trainer(
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks", "--epochs", 2,
        "--ovo_mode", "independent", "--learning_rate", "1e-3", "--micro_batch", 4,
        "--decoder", "vote", "--prior_correction", "--output_dir", folder,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return folder


def again(*words: object) -> int:
    try:
        return run(lambda: rerun.main([str(word) for word in words], "rerun"))
    finally:
        close_log()


def compared(folder: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((folder / "rerun.json").read_text())
    return {one["what"]: one for one in content["compared"]}


def test_it_is_the_same_bit_by_bit(trained, tmp_path, capsys):
    assert again(trained, "--output", tmp_path / "again") == 0
    found = compared(tmp_path / "again")
    weights = [name for name in found if name.startswith("weights in ")]
    assert len(weights) == 3
    assert all(one["same"] for one in found.values()), found
    assert (found["micro_batch"]["now"], found["threads"]["now"]) == ("4", "1")
    settings = json.loads((tmp_path / "again" / "config.json").read_text())["settings"]
    assert (settings["decoder"], settings["prior_correction"]) == ("vote", True)
    shown = capsys.readouterr().out
    assert "equal bit by bit" in shown
    assert "DIFFERS" not in shown


def test_what_differs_is_named(trained, tmp_path, capsys):
    before = shutil.copytree(trained, tmp_path / "before")
    config = json.loads((before / "config.json").read_text())
    config["settings"]["learning_rate"] = 2e-3
    config["versions"]["timm"] = "0.9.0"
    config["effective"]["threads"] = 7
    (before / "config.json").write_text(json.dumps(config))
    (before / "models" / "best_test_efficientnet_0_1.pth").unlink()
    assert again(before, "--output", tmp_path / "again") == 0
    found = compared(tmp_path / "again")
    different = {name for name, one in found.items() if not one["same"]}
    assert different == {
        "threads", "version of timm", "figures in history.csv",
        *(f"weights in best_test_efficientnet_{pair}.pth" for pair in ("0_1", "0_2", "1_2")),
    }  # fmt: skip
    assert found["version of timm"]["before"] == "0.9.0"
    assert "from epoch 1 on" in found["figures in history.csv"]["now"]
    assert "apart" in found["weights in best_test_efficientnet_1_2.pth"]["now"]
    assert "weights differ" in capsys.readouterr().out
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert written["settings"]["learning_rate"] == 2e-3


@pytest.mark.slow
def test_a_moved_dataset_is_named(trained, three_grades, tmp_path):
    moved = shutil.copytree(three_grades, tmp_path / "moved")
    words = (trained, "--output", tmp_path / "again", "--dataset_path", moved)
    assert again(*words) == 0
    assert all(one["same"] for one in compared(tmp_path / "again").values())


@pytest.mark.parametrize("kind", ["unfinished", "empty", "itself"])
def test_what_can_not_be_trained_again(kind, trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "out")
    output = tmp_path / "again"
    if kind == "unfinished":
        edit(folder / "resume" / "progress.json", lambda content: content.update(finished=False))
    elif kind == "empty":
        shutil.rmtree(folder)
    else:
        output = folder
    assert again(folder, "--output", output) == 2
    said = capsys.readouterr().err
    assert "holds no finished training" in said or "expected another folder" in said
    assert not (tmp_path / "again").exists()


def test_what_was_no_choice_then_is_as_then(trained, tmp_path, monkeypatch):
    """Of a folder that has no such setting, the value counts that its version had fixed."""
    folder = shutil.copytree(trained, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    del config["settings"]["keep_epoch"]
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(LATER_SETTINGS, "keep_epoch", FIELDS["keep_epoch"].default)
    assert "--keep_epoch" not in command_line(ResultsFolder(folder), tmp_path / "again", {})
    monkeypatch.setitem(LATER_SETTINGS, "keep_epoch", "best")
    words = command_line(ResultsFolder(folder), tmp_path / "again", {})
    assert words[words.index("--keep_epoch") + 1] == "best"
