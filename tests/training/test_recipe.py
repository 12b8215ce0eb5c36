"""A training by a recipe: what its log and its results folder say of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from dr_ovo.commands import rerun
from dr_ovo.errors import run
from dr_ovo.logs import close_log

PLAIN = """
description = "softmax, plain"
measured = "on drawn photographs, with no figure"
[settings]
head = "softmax"
enable_focal_loss = false
label_smoothing = 0.0
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "plain.toml"
    file.write_text(PLAIN)
    return file


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    """Flags as a wrapper's, which name a head and a loss themselves."""
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks", "--epochs", 1,
        "--train_sample", 0, "--head", "ovo", "--enable_focal_loss", "--label_smoothing", 0.1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(words, recipe, trainer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "out"
    flags = ("--recipe", recipe, "--label_smoothing", 0.2)
    outcome = trainer(*words, *flags, "--output_dir", folder)
    assert outcome.code == 0, outcome.stderr
    return folder


def test_the_log_names_it_before_the_settings(trained, recipe):
    lines = (trained / "train.log").read_text().splitlines()
    sha256 = hashlib.sha256(PLAIN.encode()).hexdigest()
    (place,) = [number for number, line in enumerate(lines) if " recipe /" in line[:30]]
    assert lines[place].endswith(
        f" recipe {recipe} (sha256 {sha256[:12]}), but set otherwise: --label_smoothing. It was "
        "measured only as it is: softmax, plain"
    )
    assert "dr_ovo" in lines[place - 2]  # the command; between them, that it is for research
    settings = {line.split()[2]: line for line in lines[place + 1 :] if line[20:22] == "  "}
    assert settings["head"].endswith(f"recipe {recipe}")
    assert settings["label_smoothing"].endswith("command line")


def test_its_measurement_is_that_of_the_whole(words, trainer, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(PLAIN + "tta_views = 1\nrotation_range = 10\n")
    given = (*words, "--recipe", file, "--output_dir", tmp_path / "out", "--dry_run")
    # What another source sets to the same value is not set otherwise.
    outcome = trainer(*given, "--label_smoothing", 0.0)
    assert outcome.code == 0, outcome.stderr
    assert "softmax, plain. Measured: on drawn photographs, with no figure\n" in outcome.stdout
    outcome = trainer(*given, "--tta_views", 2)
    assert "but set otherwise: --tta_views. It was measured only as it is" in outcome.stdout
    named_in_file = tmp_path / "c.toml"
    named_in_file.write_text(f'recipe = "{file}"\n')
    outcome = trainer(*words, "--config", named_in_file, *given[-3:])
    assert outcome.code == 0, outcome.stderr
    assert "but set otherwise: --head --enable_focal_loss --label_smoothing." in outcome.stdout
    assert "with no figure" not in outcome.stdout


def test_what_does_nothing_leaves_a_recipe_as_it_was_measured(words, trainer, tmp_path):
    given = (*words, "--recipe", "recommended", "--output_dir", tmp_path / "out", "--dry_run")
    outcome = trainer(*given, "--focal_loss_gamma", 2, "--label_smoothing", 0.1)
    assert outcome.code == 0, outcome.stderr
    assert "Measured: kappa" in outcome.stdout
    outcome = trainer(*given, "--regression_loss", "mse")
    assert "but set otherwise: --regression_loss." in outcome.stdout


def test_an_evaluation_with_another_head_names_it(trained, three_grades, trainer):
    where = ("--output_dir", trained, "--dataset_path", three_grades, "--device", "cpu")
    outcome = trainer("--mode", "evaluate", *where, "--recipe", "recommended")
    assert outcome.code == 2
    assert "--head regression: the checkpoint has softmax" in outcome.stderr
    assert "Of these, recipe recommended sets --head." in outcome.stderr


def test_config_json_holds_it(trained, recipe):
    config = json.loads((trained / "config.json").read_text())
    assert config["recipes"] == [
        {
            "name": str(recipe),
            "sha256": hashlib.sha256(PLAIN.encode()).hexdigest(),
            "description": "softmax, plain",
            "measured": "on drawn photographs, with no figure",
        }
    ]
    assert config["settings"]["head"] == "softmax"
    assert config["settings"]["label_smoothing"] == 0.2
    assert config["sources"]["head"] == f"recipe {recipe}"


def test_it_trains_what_its_flags_would(trained, words, trainer, tmp_path):
    flags = ("--head", "softmax", "--no-enable_focal_loss", "--label_smoothing", 0.2)
    assert trainer(*words, *flags, "--output_dir", tmp_path).code == 0
    name = "models/best_test_efficientnet_softmax.pth"
    states = [torch.load(where / name)["state_dict"] for where in (tmp_path, trained)]
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())
    assert json.loads((tmp_path / "config.json").read_text())["recipes"] == []


def test_it_is_resumed_by_the_same_command(trained, words, recipe, trainer):
    flags = ("--recipe", recipe, "--label_smoothing", 0.2, "--output_dir", trained, "--resume")
    outcome = trainer(*words, *flags)
    assert outcome.code == 0, outcome.stderr
    assert "is finished: nothing to do" in outcome.stdout


def test_a_recipe_that_has_changed_meanwhile_is_other_settings(trained, words, trainer, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "out")
    (tmp_path / "plain.toml").write_text(PLAIN.replace("false", "true"))
    flags = ("--recipe", tmp_path / "plain.toml", "--label_smoothing", 0.2)
    outcome = trainer(*words, *flags, "--output_dir", folder, "--resume")
    assert outcome.code == 2
    assert "--enable_focal_loss: False there, True now" in outcome.stderr
    assert outcome.stderr.count("\n  --") == 1


def test_it_is_trained_again_from_config_json(trained, tmp_path):
    code = run(lambda: rerun.main([str(trained), "--output", str(tmp_path / "again")], "rerun"))
    close_log()
    assert code == 0
    compared = json.loads((tmp_path / "again" / "rerun.json").read_text())["compared"]
    assert all(one["same"] for one in compared), compared
