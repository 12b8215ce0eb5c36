"""The seven wrappers: their settings, their Python, their exit codes and signals."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.recipe import read_recipe
from dr_ovo.settings.train_config import FIELDS

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("coatnet", "convnext", "swinv2", "densenet", "efficientnet", "resnet", "seresnext")
# The settings that all seven wrappers share: those that differ from the trainer's defaults, and
# those that the guide names...
SHARED = {
    "mode": "train",
    "num_classes": 5,
    "ovo_mode": "shared",
    "head": "ovo",
    "epochs": 100,
    "scheduler": "cosine",
    "warmup_epochs": 10,
    "patience": 28,
    "enable_focal_loss": True,
    "focal_loss_gamma": 3.0,
    "focal_loss_alpha": (2.5,),
    "enable_class_weights": True,
    "label_smoothing": 0.1,
    "enable_clahe": True,
    "clahe_clip_limit": 3.0,
    "enable_medical_augmentation": True,
    "rotation_range": 25.0,
    "brightness_range": 0.2,
    "contrast_range": 0.2,
    "amp": "auto",
    "grad_checkpointing": "auto",
    "num_workers": 4,
    "seed": 42,
}
# ... and those of each: model, size, frozen stages, batch, accumulation, rate, decay, dropout.
OWN = {
    "coatnet": ("coatnet_0_rw_224", 224, 2, 2, 4, 5e-5, 2.5e-4, 0.28),
    "convnext": ("convnext_tiny", 224, 2, 2, 4, 5e-5, 2.5e-4, 0.28),
    "swinv2": ("swinv2_tiny_window8_256", 256, 2, 2, 4, 5e-5, 2.5e-4, 0.28),
    "densenet": ("densenet121", 384, 0, 2, 4, 5e-5, 5e-4, 0.40),
    "efficientnet": ("efficientnet_b2", 384, 0, 4, 2, 6e-5, 2.2e-4, 0.26),
    "resnet": ("resnet50", 224, 0, 4, 2, 6e-5, 3e-4, 0.30),
    "seresnext": ("seresnext50_32x4d", 224, 0, 2, 4, 5e-5, 2.5e-4, 0.28),
}


def test_the_wrappers_are_seven():
    assert {path.name for path in ROOT.glob("train_*.sh")} == {f"train_{n}.sh" for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_a_wrapper(name, tmp_path, echo, run_script):
    outcome = run_script(
        ROOT / f"train_{name}.sh", "--epochs", "3", "a b", cwd=tmp_path, PYTHON=echo
    )
    folder, trainer, *argv = outcome.stdout.splitlines()
    assert Path(folder) == tmp_path
    assert Path(trainer) == ROOT / "ensemble_5class_trainer.py"
    assert argv[-3:] == ["--epochs", "3", "a b"]
    assert not {"--dataset_path", "--output_dir"} & set(argv)

    settings = parse_settings(argv[:-3])
    config = settings.config
    assert {field: getattr(config, field) for field in SHARED} == SHARED
    assert SHARED.keys() <= settings.given().keys()
    assert config.log_file == f"{name}_training_log.txt"
    own = (*config.base_models, config.img_size, config.frozen_stages, config.batch_size)
    own += (config.gradient_accumulation_steps, config.learning_rate, config.weight_decay)
    assert (*own, config.ovo_dropout) == OWN[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_beats_a_wrapper_s_own_flags(name, tmp_path, echo, run_script):
    outcome = run_script(ROOT / f"train_{name}.sh", cwd=tmp_path, PYTHON=echo)
    argv = outcome.stdout.splitlines()[2:]
    own = parse_settings(argv)
    assert parse_settings([*argv, "--recipe", "guide"]).config == own.config
    recommended = parse_settings([*argv, "--recipe", "recommended"])
    held = read_recipe("recommended").values
    assert {name: getattr(recommended.config, name) for name in held} == held
    others = {name: getattr(own.config, name) for name in FIELDS.keys() - held.keys()}
    assert {name: getattr(recommended.config, name) for name in others} == others


@pytest.mark.parametrize("name", NAMES)
def test_a_wrapper_shows_what_users_edit_one_a_line(name):
    lines = [line.strip(" \\") for line in (ROOT / f"train_{name}.sh").read_text().splitlines()]
    batch, accumulation = OWN[name][3:5]
    assert f"--batch_size {batch}" in lines
    assert f"--gradient_accumulation_steps {accumulation}" in lines
    assert f"--img_size {OWN[name][1]}" in lines
    assert "--num_workers 4" in lines
    assert lines[-1] == '"$@"'


def test_exit_code_of_the_trainer_is_the_wrappers(tmp_path, make_stub, run_script):
    four = make_stub(tmp_path / "four", "exit 4")
    assert run_script(ROOT / "train_coatnet.sh", cwd=tmp_path, PYTHON=four).returncode == 4


def test_a_signal_reaches_the_trainer(tmp_path, make_stub, clean_environment):
    waiting = make_stub(
        tmp_path / "waiting", "trap 'kill $!; exit 77' TERM; echo ready; sleep 20 & wait"
    )
    command = [ROOT / "train_coatnet.sh"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(PYTHON=waiting), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) == 77


@pytest.mark.parametrize(
    ("python", "changes"),
    [
        ("chosen", {"PYTHON": "chosen", "VIRTUAL_ENV": "active", "CONDA_PREFIX": "conda"}),
        ("active/bin/python", {"VIRTUAL_ENV": "active", "CONDA_PREFIX": "conda"}),
        ("conda/bin/python", {"CONDA_PREFIX": "conda", "CONDA_DEFAULT_ENV": "dr"}),
        ("a copy/.venv/bin/python", {"CONDA_PREFIX": "conda", "CONDA_DEFAULT_ENV": "base"}),
        ("a copy/.venv/bin/python", {}),
        ("path/python3", {}),
    ],
)
def test_the_python_of_a_wrapper(python, changes, tmp_path, installed, make_stub, run_script):
    options = ["chosen", "active/bin/python", "conda/bin/python", "path/python3"]
    if python != "path/python3":
        options.append("a copy/.venv/bin/python")
    for option in options:
        make_stub(tmp_path / option, f"echo '{option}'")
    full = {n: v if n == "CONDA_DEFAULT_ENV" else str(tmp_path / v) for n, v in changes.items()}
    full["PATH"] = f"{tmp_path / 'path'}:{os.environ['PATH']}"
    outcome = run_script(installed / "train_resnet.sh", cwd=tmp_path, **full)
    assert outcome.stdout.strip() == python, outcome.stderr


def test_a_wrapper_without_python_says_what_to_do(tmp_path, run_script):
    outcome = run_script(ROOT / "train_resnet.sh", cwd=tmp_path, PYTHON=tmp_path / "gone")
    assert outcome.returncode == 2
    assert "quickstart.sh" in outcome.stderr
    assert str(tmp_path / "gone") in outcome.stderr


def test_a_wrapper_works_through_a_link(tmp_path, echo, run_script):
    link = tmp_path / "train"
    link.symlink_to(ROOT / "train_swinv2.sh")
    assert (
        str(ROOT / "ensemble_5class_trainer.py")
        in run_script(link, cwd=tmp_path, PYTHON=echo).stdout
    )
