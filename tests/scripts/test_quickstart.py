"""quickstart.sh and run_tests.sh, and the syntax of every script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*ROOT.glob("*.sh"), *ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_syntax(script):
    subprocess.run(["bash", "-n", script], check=True)
    sourced = script.parent.name == "scripts" and not script.read_text().startswith("#!")
    assert os.access(script, os.X_OK) is not sourced


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("quickstart.sh", ["--dataset_path"], "--dataset_path DIR"),
        ("quickstart.sh", ["--dataset_path", "gone"], "'gone' does not exist"),
        ("quickstart.sh", ["--dataset_path=gone"], "'gone' does not exist"),
        ("quickstart.sh", ["--fast"], "'--fast'"),
        ("quickstart.sh", ["."], "'.'"),
        ("run_tests.sh", ["--fast"], "'--fast'"),
        ("run_tests.sh", ["--slow", "tests"], "'--slow tests'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_set_up(
    script, arguments, said, installed, run_script
):
    outcome = run_script(installed / script, *arguments, cwd=installed)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert not list(installed.glob(".venv*"))


def test_quickstart_trains_evaluates_and_analyses(
    tmp_path, environment_stub, run_script, prepare, calls
):
    assert prepare(environment_stub).returncode == 0
    calls()
    outcome = run_script(environment_stub / "quickstart.sh", cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    steps = calls()
    order = [
        "efficientnet-lite0",
        "dr_ovo synthetic",
        "--mode train",
        "--mode evaluate",
        "analyzer",
    ]
    assert [word in step for word, step in zip(order, steps, strict=True)] == [True] * 5
    assert "--base_models tf_efficientnet_lite0" in steps[2]
    assert "--resume" in steps[2]
    assert "--dataset_path ./synthetic_dataset" in steps[3]
    assert "./quickstart_results/synthetic" in outcome.stdout


def test_quickstart_keeps_the_results_of_two_datasets_apart(
    tmp_path, environment_stub, run_script, prepare, calls
):
    assert prepare(environment_stub).returncode == 0
    folders = set()
    for parent in ("one", "two", "one"):
        dataset = tmp_path / parent / "photographs"
        dataset.mkdir(parents=True, exist_ok=True)
        calls()
        run_script(environment_stub / "quickstart.sh", "--dataset_path", str(dataset), cwd=tmp_path)
        (train,) = calls("--mode train")
        words = train.split()
        assert words[words.index("--dataset_path") + 1] == str(dataset)
        folders.add(words[words.index("--output_dir") + 1])
    assert len(folders) == 2
    assert all(folder.startswith("./quickstart_results/photographs_") for folder in folders)


def test_quickstart_ends_where_training_fails(
    tmp_path, environment_stub, run_script, prepare, calls
):
    assert prepare(environment_stub).returncode == 0
    (tmp_path / "untrainable").touch()
    outcome = run_script(environment_stub / "quickstart.sh", cwd=tmp_path)
    assert outcome.returncode == 4
    assert "Done" not in outcome.stdout
    assert calls("--mode evaluate") == []


@pytest.mark.parametrize(("arguments", "marks"), [([], "-m not slow"), (["--slow"], "-m  ")])
def test_run_tests_runs_every_step_and_names_what_failed(
    arguments, marks, tmp_path, installed, make_stub, run_script, calls
):
    body = (
        f'printf "%s " "$@" >>"{tmp_path}/calls"; echo >>"{tmp_path}/calls"\n'
        f'case "$*" in *purelib*) echo "{tmp_path}" ;; "-m mypy") exit 1 ;; esac'
    )
    make_stub(installed / ".venv-tests" / "bin" / "python", body)
    outcome = run_script(installed / "run_tests.sh", *arguments, cwd=tmp_path)
    steps = calls()[-4:]
    assert [step.split()[1] for step in steps] == ["ruff", "ruff", "mypy", "pytest"]
    assert marks in steps[3]
    assert outcome.returncode == 1
    assert "failed: mypy" in outcome.stderr
