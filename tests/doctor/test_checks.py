from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from dr_ovo.commands.doctor import format_report, main
from dr_ovo.doctor import checks
from dr_ovo.doctor.checks import Finding
from dr_ovo.errors import run
from dr_ovo.models.architectures import SEVEN

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "idrid_small"
needs_photographs = pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(), reason="needs ../shared/data/idrid_small"
)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def doctor(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess:
    variables = {"PYTHONPATH": str(ROOT), "DR_OVO_DATASET_PATH": ""} | changes
    return subprocess.run(
        [sys.executable, "-m", "dr_ovo", "doctor", *arguments],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@needs_photographs
def test_a_ready_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(lambda: main(["--dataset_path", str(PHOTOGRAPHS)], "doctor")) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert (lines[-1], said.err) == ("Ready for training.", "")
    assert f"  torch {importlib.metadata.version('torch')}" in lines
    assert [line.split()[0] for line in lines if "M parameters" in line] == list(SEVEN)
    train = next(line for line in lines if line.strip().startswith("train"))
    assert train.split("images")[1] == (
        " (grade 0: 12, grade 1: 10, grade 2: 12, grade 3: 12, grade 4: 12)"
    )


def test_a_missing_dataset_is_a_problem_and_no_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DR_OVO_DATASET_PATH", "./nowhere")
    assert run(lambda: main([], "doctor")) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "Not ready for training: see Dataset."
    assert "PROBLEM: Dataset folder nowhere does not exist" in said.out
    assert said.err == ""


def test_a_wrong_setting_is_exit_2(tmp_path):
    outcome = doctor("--num_classes", "many", cwd=tmp_path)
    assert outcome.returncode == 2
    assert "'many' is not a whole number" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_commands_are_listed_and_an_unknown_one_is_exit_2():
    base = [sys.executable, "-m", "dr_ovo"]
    shown = subprocess.run([*base, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "doctor" in shown.stdout
    assert "synthetic" in shown.stdout
    wrong = subprocess.run([*base, "heal"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "invalid choice: 'heal'" in wrong.stderr


def test_report_layout():
    findings = [
        Finding("GPU", ("none",)),
        Finding("Dataset", ("here",), ("a is empty.", "b is empty.")),
        Finding("Disk", (), ("full.",)),
    ]
    assert format_report(findings) == (
        "GPU\n  none\n\n"
        "Dataset\n  here\n  PROBLEM: a is empty.\n  PROBLEM: b is empty.\n\n"
        "Disk\n  PROBLEM: full.\n\n"
        "Not ready for training: see Dataset, Disk."
    )
    assert format_report(findings[:1]).splitlines()[-1] == "Ready for training."


def test_requirements_that_are_absent_or_out_of_range():
    finding = checks.check_requirements(
        ["timm>=99", "no-such-package-of-dr-ovo>=1", "numpy>=1", 'absent; python_version < "3"']
    )
    assert finding.problems == (
        'timm >=99 is expected. Run pip install "timm>=99"',
        "no-such-package-of-dr-ovo is not installed. Run pip install "
        '"no-such-package-of-dr-ovo>=1"',
    )
    assert f"numpy {importlib.metadata.version('numpy')}" in finding.lines


def test_what_is_needed_is_known_installed_or_not(monkeypatch):
    def not_installed(_name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(checks.importlib.metadata, "requires", not_installed)
    from_checkout = {Requirement(text).name for text in checks.declared_requirements()}
    assert {"torch", "timm", "tomli"} < from_checkout
    given = ["torch>=2.10,<2.14", 'ruff>=0.8; extra == "dev"']
    monkeypatch.setattr(checks.importlib.metadata, "requires", lambda _name: given)
    assert checks.declared_requirements() == given[:1]


def test_nothing_else_is_tried_where_requirements_are_missing(monkeypatch, capsys):
    broken = Finding("Versions", (), ("torch is not installed.",))
    monkeypatch.setattr(checks, "check_requirements", lambda _requirements: broken)
    assert main(["--dataset_path", "nowhere"], "doctor") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Not ready for training: see Versions."


def nvidia_smi(folder: Path, answer: str) -> str:
    """A PATH in which nvidia-smi gives `answer`."""
    script = folder / "nvidia-smi"
    script.write_text(f"#!/bin/sh\n{answer}\n")
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@without_gpu
def test_a_card_that_torch_does_not_see_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, "echo 'Tesla V100, 535.54'"))
    (problem,) = checks.check_gpu().problems
    for word in ("Tesla V100, 535.54", "driver 580", "cu126", torch.__version__):
        assert word in problem


@without_gpu
@pytest.mark.parametrize("answer", ["exit 9", "true"])
def test_a_machine_without_cards_trains_on_the_cpu(answer, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, answer))
    finding = checks.check_gpu()
    assert finding.problems == ()
    assert "CPU" in finding.lines[0]


def test_an_architecture_that_timm_cannot_build_is_named(monkeypatch):
    from dr_ovo.models.architectures import ARCHITECTURES, Architecture

    unknown = Architecture("resnet50", "no_such_model", "", "")
    monkeypatch.setitem(ARCHITECTURES, "resnet50", unknown)
    (problem,) = checks.check_architectures().problems
    assert "no_such_model" in problem


def test_little_disk_is_a_problem(tmp_path, monkeypatch):
    folder = tmp_path / "not" / "yet"
    assert checks.check_disk(folder).lines[0].endswith(str(folder))
    monkeypatch.setattr(checks, "MIN_DISK", 1e18)
    (problem,) = checks.check_disk(folder).problems
    assert "Free some" in problem
